/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "keyd/custodian/internal.h"

#define PAYS 1.10 /* less is noise, and each signer costs memory */

static const struct bench_point *best_of(const struct bench_point *p, size_t count)
{
    const struct bench_point *best = p;

    for (size_t i = 1; i < count; i++)
        if (p[i].per_second >= best->per_second * PAYS)
            best = &p[i];
    return best;
}

static void about_more(uint32_t signers, uint32_t cores, char *buf, size_t size)
{
    if (signers >= cores)
        snprintf(buf, size, "another would not: keyd may use %u core%s", cores,
                 cores == 1 ? "" : "s");
    else
        snprintf(buf, size, "another may pay too: keyd may use %u cores ([keyd] signers)", cores);
}

void bench_advice(const char *type, const struct bench_point *points, size_t count, uint32_t cores,
                  char *buf, size_t size)
{
    const struct bench_point *best = best_of(points, count), *last = &points[count - 1];
    char more[80], times[40] = "";

    about_more(last->signers, cores, more, sizeof(more));
    if (best->signers > 1)
        snprintf(times, sizeof(times), ": %.1f x one", best->per_second / points[0].per_second);
    if (count == 1)
        snprintf(buf, size, "%s: only %u signer runs; %s", type, last->signers, more);
    else if (best == last)
        snprintf(buf, size, "%s: %u signers pay%s; %s", type, best->signers, times, more);
    else
        snprintf(buf, size, "%s: %u signer%s%s; all %u together make no more", type, best->signers,
                 best->signers == 1 ? " is enough" : "s pay", times, last->signers);
}
