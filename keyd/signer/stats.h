/* SPDX-License-Identifier: Apache-2.0
 *
 * stats: what this signer has done, for keydctl status. Counted beside every answer, so without a
 * lock, a system call or memory.
 */
#ifndef KEYD_SIGNER_STATS_H
#define KEYD_SIGNER_STATS_H

#include "keyd/signer/state.h"

/* Counts one answer, given at `now` (clock_us) after took_us of work: a signature by that scheme,
 * or a refusal (scheme NULL). */
void signer_stats_count(struct signer *s, const struct scheme *scheme, uint64_t now,
                        uint32_t took_us);

/* Puts MSG_STATS for the parent: u64 made, u64 failed, u32 count of schemes that were used, and for
 * each u32 code and its tally (tally.h). */
void signer_stats_put(struct signer *s, uint64_t ask);

#endif
