/* SPDX-License-Identifier: Apache-2.0
 *
 * signer: a process that holds one logged-in token session and answers "sign this" for the signing
 * gate. It reads what it signs (policy/tbs.h), signs by handles that it has proven, and can change
 * nothing on the token's files.
 */
#ifndef KEYD_SIGNER_SIGNER_H
#define KEYD_SIGNER_SIGNER_H

#include "keyd/process/msg.h"

/* The whole life of a signer: MSG_START on this channel, token, sandbox, table, MSG_READY, then
 * signatures until MSG_DRAIN or until the parent is gone. Returns the exit code: 0, or 1 after
 * MSG_FAILED has told the parent why. The caller must end by _exit(2): a token module's atexit
 * handlers do not survive exit(3). */
int signer_main(struct chan *parent);

#endif
