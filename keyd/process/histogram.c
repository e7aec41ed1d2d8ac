/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/histogram.h"

#define STEP_BITS 3 /* each power of two is cut into 2^3 buckets */
#define STEPS     (1u << STEP_BITS)

/* Values below STEPS are their own buckets. Above, a bucket is the place of the highest bit and the
 * STEP_BITS bits after it. */
static size_t bucket_of(uint32_t us)
{
    if (us < STEPS)
        return us;
    unsigned high = 31u - (unsigned)__builtin_clz(us);
    return (high - STEP_BITS + 1) * STEPS + (us >> (high - STEP_BITS)) % STEPS;
}

/* The middle of what bucket_of maps to i. */
static uint32_t middle_of(size_t i)
{
    if (i < STEPS)
        return (uint32_t)i;
    unsigned shift = (unsigned)(i / STEPS) - 1;
    uint32_t low = (uint32_t)(STEPS + i % STEPS) << shift;
    return low + ((1u << shift) - 1) / 2;
}

static uint64_t capped_sum(uint64_t a, uint64_t b)
{
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void histogram_add(struct histogram *h, uint32_t us)
{
    h->total++;
    h->buckets[bucket_of(us)]++;
}

void histogram_add_bucket(struct histogram *h, size_t i, uint64_t n)
{
    h->total = capped_sum(h->total, n);
    h->buckets[i] = capped_sum(h->buckets[i], n);
}

/* How many values of `total` make up the share, rounded up; without a product over 2^64. */
static uint64_t rank_of(uint64_t total, unsigned per_mille)
{
    return total / 1000 * per_mille + (total % 1000 * per_mille + 999) / 1000;
}

uint32_t histogram_percentile(const struct histogram *h, unsigned per_mille)
{
    uint64_t rank = rank_of(h->total, per_mille), seen = 0;

    if (h->total == 0)
        return 0;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen = capped_sum(seen, h->buckets[i]);
        if (seen >= rank)
            return middle_of(i);
    }
    return middle_of(HISTOGRAM_BUCKETS - 1);
}
