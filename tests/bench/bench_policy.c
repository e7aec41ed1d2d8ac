/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_policy [ROUNDS]: what it costs to recognise one message, and to judge scheme and purpose of
 * one request, in nanoseconds; and that none of it allocates: malloc is counted. Fails when a TLS
 * shape takes over 2 us or anything allocates. (The curves are set up before: they are, once in a
 * process.)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "keyd/policy/tbs.h"
#include "keyd/policy/tbs_csr.h"
#include "proto/scheme.h"
#include "tests/fuzz/spki.h"
#include "tests/unit/policy/samples.h"

#define LIMIT_NS 2000
#define BATCHES  20 /* the fastest one counts: others share the machine */

static unsigned long allocations;

/* Every allocation of this process, those in libcrypto too: they all end here. */
void *__libc_malloc(size_t n);
/* See __libc_malloc. */
void *malloc(size_t n);
void *malloc(size_t n)
{
    allocations++;
    return __libc_malloc(n);
}

struct subject {
    const char *name;
    struct sample message;
    enum key_type type;
    uint32_t scheme;
    bool csr;
    bool refused;
};

static struct sample of_point(uint16_t code, const char *hex)
{
    struct sample point = sample_of_hex(hex);

    return sample_tls12(code, &point);
}

/* CN=www.example.com for the key of the corpora, without attributes. */
static struct sample a_request(void)
{
    struct sample head =
        sample_of_hex("020100301a3118301606035504030c0f7777772e6578616d706c652e636f6d");

    sample_add(&head, spki, sizeof(spki));
    sample_add(&head, "\xa0\x00", 2);
    return sample_der(0x30, head.bytes, head.len);
}

static bool judge(const struct subject *s)
{
    static const char *const patterns[] = {"*.example.org", "www.example.com"};
    static const struct tbs_names names = {patterns, 2};
    struct err err;

    if (s->csr)
        return tbs_csr(s->message.bytes, s->message.len, spki, sizeof(spki), &names, &err);
    enum purpose purpose = tbs_recognise(s->message.bytes, s->message.len, &err);
    const struct scheme *scheme = scheme_by_code(s->scheme);
    return purpose && scheme && scheme_fits(scheme, s->type, purpose, &err);
}

static double now_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static bool measure(const struct subject *s, unsigned rounds)
{
    bool as_expected = judge(s) == !s->refused; /* sets the curve up */
    unsigned long before = allocations;
    double ns = 1e9;

    for (unsigned batch = 0; batch < BATCHES; batch++) {
        double start = now_ns();
        for (unsigned i = 0; i < rounds / BATCHES; i++)
            as_expected &= judge(s) == !s->refused;
        double took = (now_ns() - start) / (rounds / BATCHES);
        ns = took < ns ? took : ns;
    }
    unsigned long allocated = allocations - before;
    printf("%-28s %7.0f ns  %lu allocations%s\n", s->name, ns, allocated,
           as_expected ? "" : "  NOT AS EXPECTED");
    return as_expected && (s->refused || (allocated == 0 && ns <= LIMIT_NS));
}

int main(int argc, char **argv)
{
    unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 200000;
    struct sample off = of_point(0x0017, POINT_P256), digest = {.len = 32};
    bool ok = rounds >= BATCHES;

    off.bytes[100] ^= 1;
    const struct subject subjects[] = {
        {"tls13-server", sample_tls13(SERVER_CONTEXT, 32), KEY_TYPE_EC_P256, 0x0403, false, false},
        {"tls13-client", sample_tls13(CLIENT_CONTEXT, 48), KEY_TYPE_RSA_2048, 0x0804, false, false},
        {"tls12-server secp256r1", of_point(0x0017, POINT_P256), KEY_TYPE_EC_P256, 0x0403, false,
         false},
        {"tls12-server secp384r1", of_point(0x0018, POINT_P384), KEY_TYPE_EC_P384, 0x0503, false,
         false},
        {"tls12-server secp521r1", of_point(0x0019, POINT_P521), KEY_TYPE_EC_P256, 0x0603, false,
         false},
        {"tls12-server x25519", of_point(0x001d, POINT_X25519), KEY_TYPE_RSA_2048, 0x0401, false,
         false},
        {"tls12-server x448", of_point(0x001e, POINT_X448), KEY_TYPE_ED25519, 0x0807, false, false},
        {"csr", a_request(), KEY_TYPE_EC_P256, 0x0403, true, false},
        {"refused: a digest", digest, KEY_TYPE_EC_P256, 0x0403, false, true},
        {"refused: off the curve", off, KEY_TYPE_EC_P256, 0x0403, false, true},
        {"refused: the scheme", sample_tls13(SERVER_CONTEXT, 32), KEY_TYPE_EC_P256, 0x0804, false,
         true},
    };

    for (size_t i = 0; i < sizeof(subjects) / sizeof(subjects[0]); i++)
        ok &= measure(&subjects[i], rounds);
    return ok ? 0 : 1;
}
