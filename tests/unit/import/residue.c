/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/import/residue.h"

#include <fcntl.h>
#include <openssl/core_names.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proto/base/mem.h"

#define RUN       16
#define RUNS_MAX  8192
#define CHUNK     (1u << 20)
#define SHOWN_MAX 8

struct residue {
    bool shown; /* findings are told */
    uint8_t runs[RUNS_MAX][RUN];
    size_t count;
    int16_t first[65536];   /* by the first two bytes: the place of a run, -1: none... */
    int16_t next[RUNS_MAX]; /* ...and the next one of the same */
};

struct residue *residue_new(bool shown)
{
    struct residue *r = mem_new(sizeof(*r));

    if (!r)
        abort();
    r->shown = shown;
    memset(r->first, 0xff, sizeof(r->first));
    return r;
}

void residue_free(struct residue *r)
{
    mem_free(r);
}

static void add_run(struct residue *r, const uint8_t run[RUN])
{
    uint16_t head = (uint16_t)(run[0] << 8 | run[1]);

    if (r->count == RUNS_MAX)
        abort();
    memcpy(r->runs[r->count], run, RUN);
    r->next[r->count] = r->first[head];
    r->first[head] = (int16_t)r->count++;
}

void residue_add(struct residue *r, const void *p, size_t n)
{
    const uint8_t *bytes = p;
    uint8_t turned[RUN];

    for (size_t at = 0; at + RUN <= n; at++) {
        add_run(r, bytes + at);
        for (size_t i = 0; i < RUN; i++)
            turned[i] = bytes[at + RUN - 1 - i];
        add_run(r, turned);
    }
}

void residue_add_key(struct residue *r, EVP_PKEY *key)
{
    static const char *const numbers[] = {
        OSSL_PKEY_PARAM_PRIV_KEY,         OSSL_PKEY_PARAM_RSA_D,
        OSSL_PKEY_PARAM_RSA_FACTOR1,      OSSL_PKEY_PARAM_RSA_FACTOR2,
        OSSL_PKEY_PARAM_RSA_EXPONENT1,    OSSL_PKEY_PARAM_RSA_EXPONENT2,
        OSSL_PKEY_PARAM_RSA_COEFFICIENT1,
    };
    uint8_t bytes[1024];
    size_t n = sizeof(bytes);

    if (EVP_PKEY_is_a(key, "ED25519")) {
        if (EVP_PKEY_get_raw_private_key(key, bytes, &n) == 1)
            residue_add(r, bytes, n);
        return;
    }
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        BIGNUM *bn = NULL;

        if (EVP_PKEY_get_bn_param(key, numbers[i], &bn) == 1)
            residue_add(r, bytes, (size_t)BN_bn2bin(bn, bytes));
        BN_clear_free(bn);
    }
    OPENSSL_cleanse(bytes, sizeof(bytes));
}

/* ---- searching */

static bool is_run(const struct residue *r, const uint8_t *p)
{
    for (int i = r->first[(uint16_t)(p[0] << 8 | p[1])]; i >= 0; i = r->next[i])
        if (memcmp(r->runs[i], p, RUN) == 0)
            return true;
    return false;
}

static unsigned search_bytes(const struct residue *r, const uint8_t *p, size_t n, const char *what,
                             unsigned long at, unsigned found)
{
    for (size_t i = 0; i + RUN <= n; i++) {
        if (!is_run(r, p + i))
            continue;
        if (found++ < SHOWN_MAX && r->shown)
            fprintf(stderr, "residue at %lx in %s", at + i, what);
    }
    return found;
}

/* One mapping, in pieces that overlap by a run. */
static unsigned search_range(const struct residue *r, int mem, unsigned long from, unsigned long to,
                             const char *line, unsigned found)
{
    AUTO_FREE uint8_t *buf = mem_new(CHUNK);

    if (!buf)
        abort();
    while (from + RUN <= to) {
        size_t want = to - from < CHUNK ? to - from : CHUNK;
        ssize_t n = pread(mem, buf, want, (off_t)from);
        if (n < RUN)
            break;
        found = search_bytes(r, buf, (size_t)n, line, from, found);
        from += (size_t)n - RUN + 1;
    }
    return found;
}

unsigned residue_search(const struct residue *r, pid_t pid)
{
    char path[64], line[512], rights[8];
    unsigned long from, to;
    unsigned found = 0;

    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    if (!maps || mem < 0)
        abort();
    while (fgets(line, sizeof(line), maps))
        if (sscanf(line, "%lx-%lx %7s", &from, &to, rights) == 3 && rights[0] == 'r')
            found = search_range(r, mem, from, to, line, found);
    fclose(maps);
    close(mem);
    return found;
}
