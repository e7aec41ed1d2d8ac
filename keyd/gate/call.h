/* SPDX-License-Identifier: Apache-2.0
 *
 * call: the record of one request, from its frame to its answer.
 */
#ifndef KEYD_GATE_CALL_H
#define KEYD_GATE_CALL_H

#include "keyd/gate/state.h"

/* A fresh record for a connection (NULL without memory). Records are used again with their first
 * block of memory: a busy gate allocates none. */
struct call *call_new(struct gate *g, struct conn *conn);

/* The open call with that handle; NULL if there is none any more. */
struct call *call_find(const struct gate *g, uint64_t handle);

/* Takes the call out of the list that it is in, and ends it without an answer. */
void call_free(struct gate *g, struct call *call);

/* Counts the call's memory among the gate's, to be done before it waits for anything; call_free
 * takes it off. BUSY when all calls have too much. */
bool call_charge(struct gate *g, struct call *call, struct err *err) MUST_USE;

/* Whether one more line about a failure may be logged: lines are kept from becoming a flood, and
 * what was left out is counted. */
bool call_may_log(struct gate *g);

/* Answers the client, if it still waits, and frees the call. The body's case is set by the caller;
 * the id is filled in. */
void call_answer(struct gate *g, struct call *call, envelope *answer);

/* As call_answer, with an envelope that is packed already and has the right id. */
void call_answer_packed(struct gate *g, struct call *call, const uint8_t *packed, size_t len);

/* Answers with an error, writes the one line of a failed call, counts, frees. */
void call_fail(struct gate *g, struct call *call, const struct err *err);

/* As call_fail, for what stands in the log already. */
void call_refuse(struct gate *g, struct call *call, const struct err *err);

/* Answers a call that is at a server with an error; what the server answers goes to nobody. */
void call_cut(struct gate *g, struct call *call, const struct err *err);

/* Tells the client that its deadline passed, but keeps the record: the caller frees it, or its
 * server still works on it. */
void call_expire(struct gate *g, struct call *call);

/* Puts a call at the end or the head of a list, takes it out of its list. */
void call_append(struct call_list *list, struct call *call);
/* See call_append. */
void call_prepend(struct call_list *list, struct call *call);
/* See call_append. */
void call_take_out(struct call *call);

#endif
