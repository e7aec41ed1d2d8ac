/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/tally.h"

#define SECOND_US 1000000ull

static uint32_t *slot(struct tally *t, uint64_t second)
{
    return &t->seconds[second % TALLY_SECONDS];
}

/* Seconds in which nothing happened were nobody's turn to clear. */
static void move_to(struct tally *t, uint64_t second)
{
    uint64_t passed = second - t->second;

    for (uint64_t i = 1; i <= passed && i <= TALLY_SECONDS; i++)
        *slot(t, t->second + i) = 0;
    t->second = second;
}

void tally_count(struct tally *t, uint64_t now, uint32_t took_us)
{
    uint64_t second = now / SECOND_US;

    if (second > t->second)
        move_to(t, second);
    ++*slot(t, second);
    histogram_add(&t->took, took_us);
}

static uint64_t count_since(const struct tally *t, uint64_t from, uint64_t second)
{
    uint64_t n = 0, to = second < t->second ? second : t->second;

    for (; from <= to; from++)
        n += t->seconds[from % TALLY_SECONDS];
    return n;
}

uint64_t tally_rate(const struct tally *t, unsigned window, uint64_t started, uint64_t now)
{
    uint64_t second = now / SECOND_US;
    uint64_t from = second + 1 > window ? second + 1 - window : 0;
    uint64_t since = from * SECOND_US > started ? from * SECOND_US : started;
    uint64_t us = now - since;

    return count_since(t, from, second) * 1000 * SECOND_US / (us > SECOND_US ? us : SECOND_US);
}

void tally_put_took(struct chan *c, const struct histogram *h)
{
    uint32_t filled = 0;

    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        filled += h->buckets[i] > 0;
    put_u32(c, filled);
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if (h->buckets[i] == 0)
            continue;
        put_u8(c, (uint8_t)i);
        put_u64(c, h->buckets[i]);
    }
}

void tally_put(struct chan *c, const struct tally *t, uint64_t started, uint64_t now)
{
    put_u64(c, tally_rate(t, 10, started, now));
    put_u64(c, tally_rate(t, 60, started, now));
    tally_put_took(c, &t->took);
}

void tally_get_took(struct msg *m, struct histogram *ret)
{
    uint32_t filled = rd_u32(&m->body);

    for (uint32_t i = 0; i < filled && !m->body.failed; i++) {
        uint8_t bucket = rd_u8(&m->body);
        uint64_t count = rd_u64(&m->body);

        if (bucket >= HISTOGRAM_BUCKETS)
            m->body.failed = true;
        else
            histogram_add_bucket(ret, bucket, count);
    }
}

void tally_get(struct msg *m, struct tally_sum *ret)
{
    ret->rate_10s += rd_u64(&m->body);
    ret->rate_60s += rd_u64(&m->body);
    tally_get_took(m, &ret->took);
}
