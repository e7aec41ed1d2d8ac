/* SPDX-License-Identifier: Apache-2.0
 *
 * A real signer in a process of its own, on a real token, with the test as its parent, its signing
 * gate and its custodian.
 */
#ifndef KEYD_TESTS_SIGNER_RIG_H
#define KEYD_TESTS_SIGNER_RIG_H

#include "tests/unit/token/fixture.h"

#include <sys/types.h>

#include "keyd/process/msg.h"
#include "keyd/process/table.h"
#include "keyd/token/keys.h"

struct rig {
    pid_t pid;
    struct chan parent, gate, custodian; /* our ends */
};

/* For main(): if this is the signer's process, runs it and never returns. */
void rig_child(int argc, char **argv);

/* Starts `mode` ("--signer") of this program with the channel to its parent. */
struct rig rig_spawn(const char *mode);

/* Sends MSG_START. */
void rig_start(struct rig *r, const char *uri, const char *pin);

/* Sends MSG_TABLE. */
void rig_table(struct rig *r, const struct table *t);

/* Introduces the test as gate or custodian; an older channel of ours is closed. */
void rig_peer(struct rig *r, struct chan *c, enum proc proc, uint32_t generation);

/* Spawns, starts, sends the table, waits for MSG_READY, introduces gate and custodian. */
struct rig rig_up(const char *uri, const struct table *t);

/* Waits up to 20 s for the next message. */
struct msg rig_next(struct chan *c);

/* As rig_next; the message must be of this type. */
struct msg rig_expect(struct chan *c, enum msg_type type);

/* Waits for the process to end; its exit code, or 128 + the signal. Closes the channels. */
int rig_wait(struct rig *r);

/* MSG_DRAIN, then rig_wait must give 0. */
void rig_down(struct rig *r);

/* Whether the channel ends within 20 s. */
bool rig_eof(struct chan *c);

/* A key made in the token, as the custodian would write it into the table. */
struct table_key rig_make_key(struct token *t, enum key_type type, const char *cka_id,
                              uint32_t purposes, token_handle *ret_handle);

#endif
