/* SPDX-License-Identifier: Apache-2.0
 *
 * tally: how much of one kind of work a process did: how long each piece took (histogram.h), and
 * how many there were in each of the last 64 seconds. A signer keeps one for each scheme; the
 * control gate adds up what all signers say. Counting is a few instructions and allocates nothing.
 */
#ifndef KEYD_PROCESS_TALLY_H
#define KEYD_PROCESS_TALLY_H

#include "keyd/process/histogram.h"
#include "keyd/process/msg.h"

#define TALLY_SECONDS 64 /* a power of two over the longest window */

struct tally { /* zeroed: nothing yet */
    struct histogram took;
    uint64_t second;                 /* of clock_us, that was counted last */
    uint32_t seconds[TALLY_SECONDS]; /* second s is at s % TALLY_SECONDS */
};

/* What several processes say together. Rates are in thousandths per second. */
struct tally_sum {
    struct histogram took;
    uint64_t rate_10s, rate_60s;
};

/* Counts one piece of work that took so many microseconds and is done at `now` (clock_us). */
void tally_count(struct tally *t, uint64_t now, uint32_t took_us);

/* How many there are a second, in thousandths, in the last `window` seconds (1 to TALLY_SECONDS)
 * before now: the second that has begun and those before it, but none before `started` (clock_us).
 * Less than a second counts as one. */
uint64_t tally_rate(const struct tally *t, unsigned window, uint64_t started, uint64_t now);

/* Writes a histogram into the message being put: u32 count of filled buckets, and for each u8
 * bucket, u64 count. */
void tally_put_took(struct chan *c, const struct histogram *h);

/* Reads what tally_put_took wrote and adds it to ret. A bucket that cannot be fails the message. */
void tally_get_took(struct msg *m, struct histogram *ret);

/* Writes the tally into the message being put: u64 rate over 10 s, u64 over 60 s, and the
 * histogram. */
void tally_put(struct chan *c, const struct tally *t, uint64_t started, uint64_t now);

/* Reads what tally_put wrote and adds it to ret; fails as tally_get_took does. */
void tally_get(struct msg *m, struct tally_sum *ret);

#endif
