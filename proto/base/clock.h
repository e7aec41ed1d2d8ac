/* SPDX-License-Identifier: Apache-2.0
 *
 * clock: time that only goes forward (CLOCK_MONOTONIC), for deadlines and durations.
 */
#ifndef KEYD_PROTO_BASE_CLOCK_H
#define KEYD_PROTO_BASE_CLOCK_H

#include <stdint.h>

/* Microseconds since some moment before the start. */
uint64_t clock_us(void);

/* Milliseconds from now until the moment `until` of clock_us, rounded up, for poll(2): 0 when it
 * has passed, at most one minute. */
int clock_wait_ms(uint64_t until);

#endif
