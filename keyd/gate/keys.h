/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: the gate's view of the keys: the whole table from the parent, changes from the custodian.
 */
#ifndef KEYD_GATE_KEYS_H
#define KEYD_GATE_KEYS_H

#include "keyd/gate/state.h"

/* Takes MSG_TABLE in. */
void keys_on_table(struct gate *g, struct msg *m);

/* Takes MSG_KEY in, which came from c, and confirms it there: true here from now on. */
void keys_on_change(struct gate *g, struct chan *c, struct msg *m);

/* What one signature with such a key takes by experience, in microseconds: read and learnt. */
uint32_t *keys_cost(struct gate *g, const struct table_key *key);

/* The key with that id. NULL with an error: not an id, not known yet, no such key. */
const struct table_key *keys_find(const struct gate *g, const ProtobufCBinaryData *id,
                                  struct err *err);

/* The key with that name, "tenant/name", or whose id alone begins with these 8 or more hex digits;
 * of the tenant `within` (empty: of any). NULL: err says why. */
const struct table_key *keys_named(const struct gate *g, const char *name, const char *within,
                                   struct err *err);

/* Says that there is no such key, or none that the caller may use: one answer for both. */
void keys_unknown(const ProtobufCBinaryData *id, struct err *err);

#endif
