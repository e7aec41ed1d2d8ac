/* SPDX-License-Identifier: Apache-2.0
 *
 * What a reader of keys leaves behind: nothing. A child reads a key and frees it; all of its memory
 * is then searched for every 16 bytes of every private component, in both byte orders, and for the
 * passphrase. That the search finds what is there is shown before, and by a planted needle.
 */
#include <fcntl.h>
#include <openssl/sha.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "clients/keydctl/keyfile/parts.h"
#include "tests/unit/keydctl/keyfile/fixture.h"

#define RUN         16
#define WINDOWS_MAX 8192
#define SLOTS       (1u << 16)
#define MAPPING_MAX (256ul << 20) /* larger ones are a sanitizer's shadow */

/* ---- what is looked for: a hash set of 16-byte windows */

static uint8_t windows[WINDOWS_MAX][RUN];
static const char *names[WINDOWS_MAX];
static uint16_t slots[SLOTS]; /* 1 + index of a window */
static size_t window_count;

static inline __attribute__((always_inline)) unsigned slot_of(const uint8_t *p)
{
    uint64_t v;

    memcpy(&v, p, sizeof(v));
    return (unsigned)(v * 0x9e3779b97f4a7c15u >> 48);
}

static void add_window(const uint8_t *p, const char *name)
{
    unsigned s = slot_of(p);

    while (slots[s])
        s = (s + 1) % SLOTS;
    assert_true(window_count < WINDOWS_MAX);
    memcpy(windows[window_count], p, RUN);
    names[window_count++] = name;
    slots[s] = (uint16_t)window_count;
}

static void look_for(const uint8_t *p, size_t n, const char *name)
{
    uint8_t reversed[1024];

    assert_true(n >= RUN && n <= sizeof(reversed));
    for (size_t i = 0; i < n; i++)
        reversed[i] = p[n - 1 - i];
    for (size_t i = 0; i + RUN <= n; i++) {
        add_window(p + i, name);
        add_window(reversed + i, name);
    }
    secret_wipe(reversed, sizeof(reversed));
}

static void look_for_nothing(void)
{
    memset(slots, 0, sizeof(slots));
    window_count = 0;
}

/* The search reads each byte of a process, also of one with a sanitizer in it. */
#define FAST __attribute__((no_sanitize("address", "undefined")))

static FAST const char *name_at(const uint8_t *p)
{
    for (unsigned s = slot_of(p); slots[s]; s = (s + 1) % SLOTS)
        if (memcmp(windows[slots[s] - 1], p, RUN) == 0)
            return names[slots[s] - 1];
    return NULL;
}

/* Every private number of a PKCS#8; for Ed25519 also what is made of its seed (RFC 8032 5.1.5). */
static void look_for_key(const char *p8)
{
    static const char *const rsa[] = {NULL, NULL, NULL, "d", "p", "q", "dP", "dQ", "qInv"};
    const struct bytes *b = slurp(p8);
    struct rd der = rd_of(b->p, b->n);
    struct parts parts;
    struct err err;

    assert_true(parts_read(&der, PARTS_PKCS8, &parts, &err));
    if (parts.kind == PARTS_RSA) {
        struct rd body = asn1_enter(&parts.rsa, TAG_SEQUENCE);

        for (size_t i = 0; i < COUNT(rsa); i++) {
            struct rd n = asn1_natural(&body);

            if (rsa[i])
                look_for(n.at, rd_left(&n), rsa[i]);
        }
        assert_true(rd_end(&body));
        return;
    }
    look_for(parts.secret.at, rd_left(&parts.secret), "secret");
    if (parts.kind == PARTS_ED25519) {
        uint8_t hash[SHA512_DIGEST_LENGTH];

        SHA512(parts.secret.at, rd_left(&parts.secret), hash);
        look_for(hash, sizeof(hash), "hash");
        secret_wipe(hash, sizeof(hash));
    }
}

/* ---- searching another process */

struct found {
    size_t count, needles;
    char where[128]; /* of the first that is no needle */
};

static FAST void search_mapping(int mem, unsigned long start, unsigned long end, const char *label,
                                struct found *f)
{
    static uint8_t page[(1u << 20) + RUN];
    size_t kept = 0;

    for (unsigned long at = start; at < end;) {
        size_t want = end - at < 1u << 20 ? end - at : 1u << 20;
        ssize_t n = pread(mem, page + kept, want, (off_t)at);

        if (n <= 0)
            return; /* what the process itself cannot read (vvar) */
        size_t have = kept + (size_t)n;
        for (size_t i = 0; i + RUN <= have; i++) {
            const char *name = slots[slot_of(page + i)] ? name_at(page + i) : NULL;

            if (name && strcmp(name, "needle") == 0)
                f->needles++;
            else if (name && f->count++ == 0)
                snprintf(f->where, sizeof(f->where), "%s in %s", name, label);
        }
        kept = have < RUN - 1 ? have : RUN - 1;
        memmove(page, page + have - kept, kept);
        at += (size_t)n;
    }
}

static struct found search(pid_t pid)
{
    struct found f = {0};
    char path[64], line[512];

    snprintf(path, sizeof(path), "/proc/%d/mem", (int)pid);
    int mem = open(path, O_RDONLY | O_CLOEXEC);
    snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
    FILE *maps = fopen(path, "r");
    assert_true(mem >= 0 && maps);
    while (fgets(line, sizeof(line), maps)) {
        unsigned long start, end;
        char mode[8];

        line[strcspn(line, "\n")] = 0;
        assert_int_equal(sscanf(line, "%lx-%lx %7s", &start, &end, mode), 3);
        if (mode[0] == 'r' && end - start <= MAPPING_MAX)
            search_mapping(mem, start, end, line, &f);
    }
    fclose(maps);
    close(mem);
    return f;
}

/* ---- the reader */

static void step(int told, int go)
{
    char c = 0;

    if (write(told, &c, 1) != 1 || read(go, &c, 1) != 1)
        _exit(3);
}

static _Noreturn void read_and_free(const char *file, const char *pass, int told, int go)
{
    struct keyfile_pass p = {
        .ask = keyfile_pass_from_file, .arg = (void *)(uintptr_t)pass, .attempts = 1};
    struct keyfile k;
    struct err err;

    prctl(PR_SET_DUMPABLE, 1); /* so that the parent may look */
    if (!keyfile_read(file, &p, &k, &err)) {
        dprintf(2, "%s\n", err.text);
        _exit(2);
    }
    step(told, go); /* the key is there */
    keyfile_free(&k);
    uint8_t *needle = malloc(2 * RUN);
    for (size_t i = 0; i < 2 * RUN; i++)
        needle[i] = (uint8_t)(0xa5 ^ (i * 7));
    step(told, go); /* the needle alone is there */
    _exit(needle[0] == 0xa5 ? 0 : 1);
}

static void wait_for(int told)
{
    char c;

    assert_int_equal(read(told, &c, 1), 1);
}

static void look_for_needle(void)
{
    uint8_t needle[2 * RUN];

    for (size_t i = 0; i < sizeof(needle); i++)
        needle[i] = (uint8_t)(0xa5 ^ (i * 7));
    look_for(needle, sizeof(needle), "needle");
    memset(needle, 0, sizeof(needle));
}

/* Until the child has read the key, nothing of it was ever in our memory: it would inherit it. */
static void check(const char *p8, const char *make)
{
    char file[512], pass[512];
    int told[2], go[2], status;

    sh("openssl rand -hex 16 >secret; chmod 600 secret");
    sh(make);
    snprintf(file, sizeof(file), "%s", path_of("f"));
    snprintf(pass, sizeof(pass), "%s", path_of("secret"));
    assert_int_equal(pipe(told) | pipe(go), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        close(go[1]); /* it ends when we do */
        read_and_free(file, pass, told[1], go[0]);
    }
    close(told[1]);
    wait_for(told[0]);

    look_for_nothing();
    look_for_key(p8);
    look_for_needle();
    struct found f = search(pid);
    if (f.count == 0)
        fail_msg("'%s': the search does not find a key that is there", make);
    const struct bytes *b = slurp("secret");
    look_for(b->p, 32, "passphrase");
    assert_int_equal(write(go[1], "", 1), 1);
    wait_for(told[0]);
    f = search(pid);
    if (f.count)
        fail_msg("'%s' left %zu runs behind, the first: %s", make, f.count, f.where);
    assert_int_not_equal(f.needles, 0);
    assert_int_equal(write(go[1], "", 1), 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    close(told[0]);
    close(go[0]);
    close(go[1]);
    /* nor for the next child */
    look_for_nothing();
    memset(windows, 0, sizeof(windows));
    slurp("cnf");
    keyfile_scrub();
}

static void test_nothing_left(void **state)
{
    static const struct {
        const char *p8, *make;
    } rows[] = {
        {"rsa.p8", "cp rsa.pem f"},
        {"rsa.p8", "openssl rsa -in rsa.pem -traditional -outform DER -out f"},
        {"rsa.p8", "openssl rsa -in rsa.pem -traditional -aes256 -passout file:secret -out f"},
        {"rsa.p8", "openssl pkcs8 -topk8 -in rsa.pem -passout file:secret -out f"},
        {"rsa.p8", "openssl pkcs12 -export -inkey rsa.pem -in rsa.crt -passout file:secret -out f"},
        {"p256.p8", "cp p256.pem f"},
        {"p256.p8", "openssl ec -in p256.pem -no_public -outform DER -out f"},
        {"p256.p8", "openssl ec -in p256.pem -aes128 -passout file:secret -out f"},
        {"p256.p8", "openssl pkcs8 -topk8 -scrypt -in p256.pem -passout file:secret -out f"},
        {"p256.p8", "openssl pkcs12 -export -legacy -inkey p256.pem -in p256.crt"
                    " -passout file:secret -out f"},
        {"p384.p8", "openssl ec -in p384.pem -out f"},
        {"p384.p8", "openssl pkcs12 -export -keypbe NONE -certpbe NONE -inkey p384.pem"
                    " -in p384.crt -passout file:secret -out f"},
        {"ed25519.p8", "cp ed25519.pem f"},
        {"ed25519.p8", "openssl pkcs8 -topk8 -in ed25519.pem -passout file:secret -out f"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++)
        check(rows[i].p8, rows[i].make);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_left),
    };

    return cmocka_run_group_tests(tests, fixture_begin, fixture_end);
}
