/* SPDX-License-Identifier: Apache-2.0
 *
 * start: from MSG_START to a logged-in token in a confined process.
 */
#ifndef KEYD_SIGNER_START_H
#define KEYD_SIGNER_START_H

#include "keyd/signer/state.h"

/* Reads MSG_START, confines the process to the token's files, opens the token and logs in once,
 * then takes the right to change those files and all system calls that it no longer needs away.
 * The PIN is wiped before this returns. */
bool start_up(struct signer *s, struct msg *m, struct err *err) MUST_USE;

#endif
