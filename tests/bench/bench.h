/* SPDX-License-Identifier: Apache-2.0
 *
 * bench: what the load generators share: time, percentiles, the processor time of a server.
 */
#ifndef KEYD_TESTS_BENCH_H
#define KEYD_TESTS_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Nanoseconds of the monotonic clock. */
uint64_t now_ns(void);

/* Durations in buckets of at most 3 % width: of fixed size, so that it can lie in shared memory. */
struct histogram {
    uint64_t count;
    uint32_t buckets[64 * 32];
};

/* Counts one duration. */
void histogram_add(struct histogram *h, uint64_t ns);

/* Adds all of `from` to h. */
void histogram_merge(struct histogram *h, const struct histogram *from);

/* The duration, in microseconds, below which the share (0.99) of all lies; 0 if there are none. */
double histogram_us(const struct histogram *h, double share);

#define SERVERS_MAX 4

/* Processes whose time is measured, with all that descend from them. */
struct servers {
    pid_t pids[SERVERS_MAX];
    size_t count;
};

/* Adds a pid that stands in a string; ends the program if it is none. */
void servers_add(struct servers *s, const char *pid);

/* Nanoseconds of processor time that they have used so far, dead children left out. */
uint64_t servers_cpu_ns(const struct servers *s);

/* Nanoseconds of processor time that this process has used so far. */
uint64_t own_cpu_ns(void);

/* Prints the result as "rate=... p50=... p99=... cpu=... own=...", times in microseconds. */
void print_result(const struct histogram *h, uint64_t count, uint64_t wall_ns, uint64_t cpu_ns,
                  uint64_t own_ns);

/* A number from a string, low to high; ends the program with the option's name if it is none. */
unsigned long number_of(const char *option, const char *text, unsigned long low,
                        unsigned long high);

/* Ends the program: "program: text". */
_Noreturn void give_up(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program if the condition does not hold. */
#define must(ok, ...) ((ok) ? (void)0 : give_up(__VA_ARGS__))

/* A TLS 1.3 server's CertificateVerify input with a SHA-256 transcript (RFC 8446 4.4.3), number n.
 */
#define MESSAGE_LEN 130
/* See MESSAGE_LEN. */
void message_fill(uint8_t out[MESSAGE_LEN], uint64_t n);

#endif
