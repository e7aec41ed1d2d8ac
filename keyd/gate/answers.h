/* SPDX-License-Identifier: Apache-2.0
 *
 * answers: what the gate answers of itself: who somebody is and what he may do.
 */
#ifndef KEYD_GATE_ANSWERS_H
#define KEYD_GATE_ANSWERS_H

#include "keyd/gate/state.h"

/* verb: who keyd thinks one is, how it knows, and what one may do. */
void serve_whoami(struct gate *g, struct call *call);

#endif
