/* SPDX-License-Identifier: Apache-2.0
 *
 * answers: what the gate answers of itself: who somebody is and what he may do.
 */
#ifndef KEYD_GATE_ANSWERS_H
#define KEYD_GATE_ANSWERS_H

#include "keyd/gate/state.h"

/* verb: who keyd thinks one is, how it knows, and what one may do. */
void serve_whoami(struct gate *g, struct call *call);

/* verb: the rules who is who. */
void serve_principals_list(struct gate *g, struct call *call);

/* verb: what a frontend could do now, and what is missing for it to serve. */
void serve_config_test(struct gate *g, struct call *call);

/* What keyd would do with these bytes, as far as the gate can tell: call->raw is the request with
 * that, for the custodian. False: there is no such key or principal, or too many bytes. */
bool explain_judge(struct gate *g, struct call *call, struct err *err) MUST_USE;

/* A call that is served here, and its answer. */
struct answering {
    struct gate *g;
    struct call *call;
    struct line as; /* as whom: not one of the queue's */
    char proof[PROOF_TEXT_MAX + 32];
};

/* As whom the caller asks: himself for an empty name, else whom a rule could make of it. ERR_DENIED
 * when he may not ask for others, ERR_NOT_FOUND. Ended with answering_done. */
bool answering_as(struct answering *a, const char *name, struct err *err) MUST_USE;

/* Frees. */
void answering_done(struct answering *a);

/* A principal in the reply's form; it borrows. */
Keyd__V1__Principal answering_principal(const struct answering *a);

#endif
