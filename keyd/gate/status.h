/* SPDX-License-Identifier: Apache-2.0
 *
 * status: how keyd is doing, asked by the control gate. The parent names the processes and passes
 * the question on; each answers with its figures; what has not come within a second is left out.
 */
#ifndef KEYD_GATE_STATUS_H
#define KEYD_GATE_STATUS_H

#include "keyd/gate/state.h"

/* Begins to answer a Status request. */
void status_ask(struct gate *g, struct call *call);

/* The parent's table of processes; another process's figures. */
void status_on_processes(struct gate *g, struct msg *m);
/* See status_on_processes. */
void status_on_stats(struct gate *g, struct msg *m);

/* Answers those that have waited long enough. Called by the tick. */
void status_check_time(struct gate *g);

/* The signing gate's own figures, for the parent to pass on. */
void status_report(struct gate *g, uint64_t ask);

#endif
