/* SPDX-License-Identifier: Apache-2.0
 *
 * spawn: a child's first moments: fork and exec of ourselves, so that each has an address layout of
 * its own, and MSG_START with what this kind of process needs, descriptors included.
 */
#ifndef KEYD_SPAWN_H
#define KEYD_SPAWN_H

#include "keyd/children.h"

/* Whether this kind of process is a gate. */
bool child_is_gate(enum proc proc);

/* "signer 1", "custodian": for people. Returns buf. */
const char *child_name(const struct child *c, char buf[32]);

/* Starts the child and tells it what it needs; its channel is open and its pid known afterwards. A
 * child that cannot be told is killed, and reaped like any other. */
bool spawn(struct parent *p, struct child *c, struct err *err) MUST_USE;

/* Hands a table (MSG_TABLE, MSG_ACCESS) as it was published last to a child that may have it.
 * False: it is gone. */
bool spawn_send_table(struct parent *p, struct child *c, enum msg_type type) MUST_USE;

/* Appends the limits that gates keep and the rules who is who, to MSG_START and MSG_RELOAD alike.
 */
void spawn_put_settings(struct chan *chan, const struct config *c);

/* Tells a gate what TLS needs, with its listener if it has none yet. False: it is gone. */
bool spawn_send_tls(struct parent *p, struct child *c, bool with_listener) MUST_USE;

/* Becomes a child: what `keyd --child KIND INDEX` runs. Does not return. */
_Noreturn void child_main(const char *kind, const char *index);

#endif
