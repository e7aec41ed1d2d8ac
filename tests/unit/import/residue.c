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
#define RUNS_MAX  32000 /* an index is an int16_t */
#define CHUNK     (1u << 20)
#define SHOWN_MAX 8
#define TABLE_MIN (128ul << 20) /* bytes, of AddressSanitizer's own tables */

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

const char *residue_kind_name(enum residue_kind kind)
{
    static const char *const names[RESIDUE_KINDS] = {"heap",   "stack", "anonymous",
                                                     "secret", "memfd", "file"};

    return names[kind];
}

/* A mapping as /proc/PID/smaps tells it (proc(5)): a line with its range, then others. */
struct mapping {
    unsigned long from, to;
    char line[512];
    bool readable, not_dumped, wiped_in_forks;
};

static enum residue_kind kind_of(const struct mapping *m)
{
    const char *name = strpbrk(m->line, "/[");

    if (!name)
        return m->not_dumped && m->wiped_in_forks ? RESIDUE_SECRET : RESIDUE_ANON;
    if (strncmp(name, "[heap]", 6) == 0)
        return RESIDUE_HEAP;
    if (strncmp(name, "[stack]", 7) == 0)
        return RESIDUE_STACK;
    return strncmp(name, "/memfd:", 7) == 0 ? RESIDUE_MEMFD : RESIDUE_FILE;
}

/* "559acb9a9000-559acbb3a000 rw-p ..." */
static bool begins_mapping(const char *line, struct mapping *ret)
{
    struct mapping m = {0};
    char *at;

    m.from = strtoul(line, &at, 16);
    if (at == line || *at != '-')
        return false;
    m.to = strtoul(at + 1, &at, 16);
    if (*at != ' ')
        return false;
    m.readable = at[1] == 'r';
    snprintf(m.line, sizeof(m.line), "%s", line);
    *ret = m;
    return true;
}

/* VmFlags is the last line of each. */
static bool next_mapping(FILE *smaps, struct mapping *ret)
{
    char line[512];

    while (fgets(line, sizeof(line), smaps)) {
        if (begins_mapping(line, ret) || strncmp(line, "VmFlags:", 8) != 0)
            continue;
        ret->not_dumped = strstr(line, " dd") != NULL;
        ret->wiped_in_forks = strstr(line, " wf") != NULL;
        return true;
    }
    return false;
}

/* Terabytes that are nearly all holes. */
static bool is_sanitizers(const struct mapping *m)
{
    return m->not_dumped && !m->wiped_in_forks && m->to - m->from > TABLE_MIN;
}

void residue_search_kinds(const struct residue *r, pid_t pid, unsigned ret[RESIDUE_KINDS])
{
    struct mapping m = {0};
    char path[64];

    memset(ret, 0, RESIDUE_KINDS * sizeof(*ret));
    snprintf(path, sizeof(path), "/proc/%d/smaps", (int)pid);
    FILE *smaps = fopen(path, "r");
    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    if (!smaps || mem < 0)
        abort();
    while (next_mapping(smaps, &m)) {
        enum residue_kind kind = kind_of(&m);

        if (m.readable && !is_sanitizers(&m))
            ret[kind] = search_range(r, mem, m.from, m.to, m.line, ret[kind]);
    }
    fclose(smaps);
    close(mem);
}

unsigned residue_search(const struct residue *r, pid_t pid)
{
    unsigned kinds[RESIDUE_KINDS], found = 0;

    residue_search_kinds(r, pid, kinds);
    for (int i = 0; i < RESIDUE_KINDS; i++)
        found += kinds[i];
    return found;
}

unsigned residue_search_file(const struct residue *r, int fd, const char *name)
{
    return search_range(r, fd, 0, (unsigned long)lseek(fd, 0, SEEK_END), name, 0);
}
