/* SPDX-License-Identifier: Apache-2.0
 *
 * gate: the process that meets strangers. It has the listening socket, reads frames, knows who may
 * do what, queues, and hands calls on: the signing gate to the signers, the control gate to the
 * custodian. It never sees the token.
 */
#ifndef KEYD_GATE_GATE_H
#define KEYD_GATE_GATE_H

#include "keyd/process/msg.h"

/* Runs a gate; which of the two is said by parent->self. Returns the exit status, after a drain or
 * when the parent is gone. */
int gate_main(struct chan *parent);

#endif
