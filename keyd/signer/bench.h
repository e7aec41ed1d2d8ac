/* SPDX-License-Identifier: Apache-2.0
 *
 * bench: signing with a session key of its own for a while, for the custodian's token-bench, in
 * slices between the calls of the gate. The key is no token object: it is destroyed when the
 * custodian says so or is gone, and ends with the session whatever happens.
 */
#ifndef KEYD_SIGNER_BENCH_H
#define KEYD_SIGNER_BENCH_H

#include "keyd/signer/state.h"

/* Takes MSG_BENCH: forgets its key, or makes one, or goes on with the one it has; MSG_BENCHED is
 * put when that is done. Making a key is one call that nothing interrupts. False: the token is
 * lost. */
bool bench_take(struct signer *s, struct msg *m, struct err *err) MUST_USE;

/* Whether bench_slice has something to do. */
bool bench_going(const struct signer *s);

/* Signs for a few milliseconds. False: the token is lost. */
bool bench_slice(struct signer *s, struct err *err) MUST_USE;

/* Who asked is gone: forgets all of it. */
void bench_forget(struct signer *s);

#endif
