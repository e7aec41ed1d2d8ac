/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/clock.h"

#include <time.h>

#define WAIT_MAX_MS 60000

uint64_t clock_us(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

int clock_wait_ms(uint64_t until)
{
    uint64_t now = clock_us();

    if (until <= now)
        return 0;
    uint64_t ms = (until - now + 999) / 1000;
    return ms < WAIT_MAX_MS ? (int)ms : WAIT_MAX_MS;
}
