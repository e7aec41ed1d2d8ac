/* SPDX-License-Identifier: Apache-2.0
 *
 * load: how much a principal, or a key, may have signed: so many signatures a second, with the
 * burst of one second, and so many at once. The rate is a leaky bucket in one number, the moment at
 * which it will be empty (GCRA, ITU-T I.371).
 */
#ifndef KEYD_GATE_LOAD_H
#define KEYD_GATE_LOAD_H

#include "keyd/gate/state.h"

/* Whether one more fits in: `rate` a second, `most` at once (0: no limit). If not, *ret_wait_ms is
 * when it might. */
bool load_fits(const struct load *l, uint32_t rate, uint32_t most, uint64_t now_us,
               uint32_t *ret_wait_ms);

/* Counts one more in; load_less takes it out of those in flight. */
void load_more(struct load *l, uint32_t rate, uint64_t now_us);
/* See load_more. */
void load_less(struct load *l);

/* Whether the call fits into the limits of its principal and its key. ERR_BUSY says whose limit it
 * is, and when to come again. */
bool load_admit(const struct gate *g, const struct call *call, struct err *err) MUST_USE;

/* Counts an admitted call in, until load_call_ends. */
void load_call_begins(struct gate *g, struct call *call);
/* See load_call_begins; a call that was not counted is none. */
void load_call_ends(struct call *call);

#endif
