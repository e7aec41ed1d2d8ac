/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/bench/bench.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static uint64_t clock_ns(clockid_t clock)
{
    struct timespec t;

    clock_gettime(clock, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

uint64_t now_ns(void)
{
    return clock_ns(CLOCK_MONOTONIC);
}

uint64_t own_cpu_ns(void)
{
    return clock_ns(CLOCK_PROCESS_CPUTIME_ID);
}

/* ---- histogram: the power of two, then the five bits below it */

void histogram_add(struct histogram *h, uint64_t ns)
{
    uint64_t v = ns | 32;
    unsigned power = 63 - (unsigned)__builtin_clzll(v);

    h->buckets[power * 32 + (v >> (power - 5) & 31)]++;
    h->count++;
}

void histogram_merge(struct histogram *h, const struct histogram *from)
{
    h->count += from->count;
    for (size_t i = 0; i < sizeof(h->buckets) / sizeof(*h->buckets); i++)
        h->buckets[i] += from->buckets[i];
}

double histogram_us(const struct histogram *h, double share)
{
    uint64_t seen = 0;

    for (unsigned i = 5 * 32; i < 64 * 32 && h->count; i++) {
        seen += h->buckets[i];
        if ((double)seen >= share * (double)h->count)
            return (double)((32 + i % 32) * (1ull << (i / 32 - 5))) * 1.016 / 1000;
    }
    return 0;
}

/* ---- processor time of others (proc(5)) */

static uint64_t thread_cpu_ns(pid_t pid, const char *tid)
{
    char path[64], text[64] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", (int)pid, tid);
    if (!(f = fopen(path, "r")))
        return 0;
    if (!fgets(text, sizeof(text), f))
        text[0] = 0;
    fclose(f);
    return strtoull(text, NULL, 10);
}

static uint64_t tree_cpu_ns(pid_t pid);

static uint64_t children_cpu_ns(pid_t pid)
{
    char path[64], text[4096], *at, *end;
    uint64_t sum = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)pid, (int)pid);
    if (!(f = fopen(path, "r")))
        return 0;
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    for (at = text;; at = end) {
        long child = strtol(at, &end, 10);

        if (end == at)
            return sum;
        sum += tree_cpu_ns((pid_t)child);
    }
}

/* The servers here have one thread a process. */
static uint64_t tree_cpu_ns(pid_t pid)
{
    char tid[16];

    snprintf(tid, sizeof(tid), "%d", (int)pid);
    return thread_cpu_ns(pid, tid) + children_cpu_ns(pid);
}

void servers_add(struct servers *s, const char *pid)
{
    must(s->count < SERVERS_MAX, "more than %d servers", SERVERS_MAX);
    s->pids[s->count++] = (pid_t)number_of("server", pid, 1, 1u << 30);
}

uint64_t servers_cpu_ns(const struct servers *s)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < s->count; i++)
        sum += tree_cpu_ns(s->pids[i]);
    return sum;
}

/* ---- words */

void print_result(const struct histogram *h, uint64_t count, uint64_t wall_ns, uint64_t cpu_ns,
                  uint64_t own_ns)
{
    double n = count ? (double)count : 1;

    printf("rate=%.0f p50=%.1f p99=%.1f cpu=%.1f own=%.1f\n", (double)count * 1e9 / (double)wall_ns,
           histogram_us(h, 0.5), histogram_us(h, 0.99), (double)cpu_ns / n / 1000,
           (double)own_ns / n / 1000);
}

unsigned long number_of(const char *option, const char *text, unsigned long low, unsigned long high)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(text, &end, 0);
    must(!errno && end != text && !*end && *text != '-' && n >= low && n <= high,
         "--%s %s: a number from %lu to %lu", option, text, low, high);
    return n;
}

void give_up(const char *fmt, ...)
{
    va_list ap;

    fprintf(stderr, "%s: ", program_invocation_short_name);
    va_start(ap, fmt);
    vfprintf(stderr, fmt, ap);
    va_end(ap);
    fputc('\n', stderr);
    exit(1);
}

void message_fill(uint8_t out[MESSAGE_LEN], uint64_t n)
{
    memset(out, ' ', 64);
    memcpy(out + 64, "TLS 1.3, server CertificateVerify", 34); /* its final 0 separates */
    for (size_t i = 98; i < MESSAGE_LEN; i++)
        out[i] = (uint8_t)(n >> (8 * (i % 8)) ^ i);
}
