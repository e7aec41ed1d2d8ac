/* SPDX-License-Identifier: Apache-2.0 */
#ifndef KEYD_REGISTRY_INTERNAL_H
#define KEYD_REGISTRY_INTERNAL_H

#include "keyd/registry/db.h"
#include "keyd/registry/registry.h"

struct registry {
    struct db *db;
};

/* Seconds since 1970, UTC. */
uint64_t registry_now(void);

/* Milliseconds since 1970, UTC. */
int64_t registry_now_ms(void);

/* Takes an intent away, inside a transaction of the caller's. (intents.c) */
bool intent_delete(struct registry *r, const uint8_t id[INTENT_ID_LEN], struct err *err) MUST_USE;

/* Writes a key's row. (intents.c) */
bool key_insert(struct registry *r, const struct registry_key *key, struct err *err) MUST_USE;

#endif
