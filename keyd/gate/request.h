/* SPDX-License-Identifier: Apache-2.0
 *
 * request: a frame becomes a call: decoded, allowed, and served here or handed to the queue.
 */
#ifndef KEYD_GATE_REQUEST_H
#define KEYD_GATE_REQUEST_H

#include "keyd/gate/state.h"

/* Takes one packed Envelope from a connection; the bytes are the caller's. Every one gets an answer
 * at some time, unless its connection goes first. */
void request_receive(struct gate *g, struct conn *c, const uint8_t *payload, size_t len);

#endif
