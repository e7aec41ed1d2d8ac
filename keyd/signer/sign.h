/* SPDX-License-Identifier: Apache-2.0
 *
 * sign: one MSG_SIGN and its answer.
 */
#ifndef KEYD_SIGNER_SIGN_H
#define KEYD_SIGNER_SIGN_H

#include "keyd/signer/state.h"

/* Reads the message, signs if it is a shape that the key may sign, and puts MSG_SIGNED or
 * MSG_UNSIGNED into the channel to the gate (which the caller flushes). False: the token is lost;
 * then there is no answer, and the gate gives the call to another signer. */
bool sign_answer(struct signer *s, struct msg *m, struct err *err) MUST_USE;

#endif
