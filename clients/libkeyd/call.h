/* SPDX-License-Identifier: Apache-2.0
 *
 * call: what every function of the API goes through: take a connection, exchange, and try again
 * within the deadline when that cannot do harm.
 *
 * A broken connection may have been used for nothing or for everything that was sent on it. A
 * signature or a question may be repeated; a change may not, unless it was never sent whole. While
 * keyd restarts (about a second) connecting fails: a handshake that waits is better off than one
 * that fails, a person at a terminal wants to be told. But a keyd that stayed away for a whole
 * deadline is not waited for again until it is back: a worker that serves other things too would
 * stand still at every handshake.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_CALL_H
#define KEYD_CLIENTS_LIBKEYD_CALL_H

#include "clients/libkeyd/exchange.h"
#include "clients/libkeyd/keyd.h"

#define CLIENT_NAME_MAX  64 /* Hello.client */
#define CLIENT_TOKEN_MAX 255

struct keyd_client {
    struct endpoint endpoint;
    struct remote *remote; /* NULL: keyd is at the endpoint, on this machine */
    struct pools pools;
    uint32_t deadline_ms;
    atomic_bool away; /* keyd was not there for a whole deadline, and has not been since */
    char name[CLIENT_NAME_MAX + 1];
    char token[CLIENT_TOKEN_MAX + 1]; /* wiped at the end; not in a struct secret: forks need it */
};

/* The deadline of a call that begins now, as clock_us. */
uint64_t call_deadline(const struct keyd_client *client);

/* Runs the job: all its calls are finished afterwards. False if one failed; err is about the one
 * with the lowest index. The job's arena is the caller's to free. */
bool call_run(struct keyd_client *client, struct job *job, struct err *err) MUST_USE;

/* Runs one call. *ret is its answer, of the wanted kind, in the arena `a`, until a is used again.
 */
bool call_one(struct keyd_client *client, enum job_kind kind, uint64_t deadline,
              const envelope *request, Keyd__V1__Envelope__BodyCase want, struct arena *a,
              const envelope **ret, struct err *err) MUST_USE;

/* The end of an API function: KEYD_OK if ok, else err's code, with err put into *error (which may
 * be NULL). */
int call_result(bool ok, const struct err *err, struct keyd_error *error);

#endif
