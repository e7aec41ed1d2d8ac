/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/signer/stats.h"

#include "proto/base/clock.h"

void signer_stats_count(struct signer *s, const struct scheme *scheme, uint64_t now,
                        uint32_t took_us)
{
    if (!scheme) {
        s->failed++;
        return;
    }
    s->made++;
    tally_count(&s->tallies[scheme_index(scheme)], now, took_us);
}

static uint32_t used_schemes(const struct signer *s)
{
    uint32_t n = 0;

    for (size_t i = 0; i < SCHEME_COUNT; i++)
        n += s->tallies[i].took.total > 0;
    return n;
}

void signer_stats_put(struct signer *s, uint64_t ask)
{
    struct chan *p = s->parent;
    uint64_t now = clock_us();

    chan_put(p, MSG_STATS);
    put_u64(p, ask);
    put_u8(p, PROC_SIGNER);
    put_u32(p, s->index);
    put_u64(p, s->made);
    put_u64(p, s->failed);
    put_u32(p, used_schemes(s));
    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        if (s->tallies[i].took.total == 0)
            continue;
        put_u32(p, scheme_at(i)->code);
        tally_put(p, &s->tallies[i], s->started, now);
    }
    chan_end(p);
}
