/* SPDX-License-Identifier: Apache-2.0
 *
 * histogram: how long things took, in a fixed number of buckets, so that counting allocates nothing
 * and histograms of several processes can be added up (percentiles cannot). Each power of two is
 * cut into 8 buckets: a percentile is off by a sixteenth at most, from 1 us to over an hour.
 */
#ifndef KEYD_PROCESS_HISTOGRAM_H
#define KEYD_PROCESS_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#define HISTOGRAM_BUCKETS 240 /* every uint32_t has its bucket */

struct histogram { /* zeroed: empty */
    uint64_t total;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

/* Counts one value, in microseconds. */
void histogram_add(struct histogram *h, uint32_t us);

/* Counts n values of bucket i, as another histogram has them; i below HISTOGRAM_BUCKETS. A sum over
 * 2^64 - 1 stays there. */
void histogram_add_bucket(struct histogram *h, size_t i, uint64_t n);

/* The value that a share of `per_mille` (1 to 1000) of all values does not exceed (nearest rank),
 * as the middle of its bucket; 0 for an empty histogram. */
uint32_t histogram_percentile(const struct histogram *h, unsigned per_mille);

#endif
