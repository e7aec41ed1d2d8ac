/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/keydctl/keyfile/fixture.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char dir[96];

void sh(const char *command)
{
    char line[2048];

    snprintf(line, sizeof(line), "cd '%s' && { %s; } >log 2>&1", dir, command);
    if (system(line) != 0)
        fail_msg("'%s' failed: %s", command, (const char *)slurp("log")->p);
}

static const char make[] =
    "printf '" PASSWORD "\\n' >pass; chmod 600 pass;"
    "printf '[req]\\ndistinguished_name=d\\n[d]\\n' >cnf;"
    "openssl genrsa -out rsa.pem 2048 &&"
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out p256.pem &&"
    "openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-384 -out p384.pem &&"
    "openssl genpkey -algorithm ED25519 -out ed25519.pem &&"
    "for k in rsa p256 p384 ed25519; do"
    "  openssl req -config cnf -x509 -key $k.pem -subj /CN=$k.example -days 9 -out $k.crt &&"
    "  openssl pkcs8 -topk8 -nocrypt -in $k.pem -outform DER -out $k.p8 &&"
    "  openssl pkey -in $k.pem -pubout -outform DER -out $k.spki || exit 1;"
    "done";

int fixture_begin(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct err err;

    (void)state;
    /* First of all: libcrypto's memory functions cannot be set later. */
    if (!keyfile_begin(&err))
        fail_msg("%s", err.text);
    snprintf(dir, sizeof(dir), "%s/keyfile.XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    assert_non_null(mkdtemp(dir));
    sh(make);
    return 0;
}

int fixture_end(void **state)
{
    char line[128];

    (void)state;
    snprintf(line, sizeof(line), "rm -rf '%s'", dir);
    return system(line);
}

const char *path_of(const char *name)
{
    static char path[512];

    snprintf(path, sizeof(path), "%s%s%s", name[0] == '/' ? "" : dir, name[0] == '/' ? "" : "/",
             name);
    return path;
}

/* Without stdio: a key is to be nowhere else (test_memory.c). */
const struct bytes *slurp(const char *name)
{
    static struct bytes b;
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        fail_msg("no file %s", path_of(name));
    ssize_t n = read(fd, b.p, sizeof(b.p) - 1);
    close(fd);
    assert_true(n >= 0);
    memset(b.p + n, 0, sizeof(b.p) - (size_t)n);
    b.n = (size_t)n;
    return &b;
}

void spill(const char *name, const void *p, size_t n)
{
    FILE *f = fopen(path_of(name), "wb");

    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static bool give(void *arg, const char *file, unsigned attempt, struct secret *ret, struct err *err)
{
    struct canned *c = arg;

    (void)file;
    assert_int_equal(attempt, ++c->asked);
    if (!c->text)
        return err_set(err, ERR_DENIED, "there is none");
    TRY(secret_new(ret, strlen(c->text) + 1, err));
    ret->len = strlen(c->text);
    memcpy(ret->bytes, c->text, ret->len);
    return true;
}

struct keyfile_pass canned_pass(struct canned *c, unsigned attempts)
{
    c->asked = 0;
    return (struct keyfile_pass){.ask = give, .arg = c, .attempts = attempts};
}

void must_read(const char *name, const char *pass, struct keyfile *ret)
{
    struct canned c = {.text = pass};
    struct keyfile_pass p = canned_pass(&c, 1);
    const struct bytes *b = slurp(name);
    struct err err;

    if (!keyfile_parse(b->p, b->n, name, pass ? &p : NULL, ret, &err))
        fail_msg("%s: %s; %s", name, err.text, err.hint);
}

void must_refuse(const void *p, size_t n, const char *pass, enum err_code code, const char *text,
                 const char *hint)
{
    struct canned c = {.text = pass};
    struct keyfile_pass source = canned_pass(&c, 1);
    struct keyfile key = {.words = "untouched"};
    struct err err = {0};

    if (keyfile_parse(p, n, "app.key", pass ? &source : NULL, &key, &err))
        fail_msg("read as %s, not refused with '%s'", key.words, text);
    assert_string_equal(key.words, "untouched");
    if (err.code != code || !strstr(err.text, text) || !strstr(err.hint, hint))
        fail_msg("wanted %s '%s' '%s', got %s '%s' '%s'", err_name(code), text, hint,
                 err_name(err.code), err.text, err.hint);
    assert_true(strncmp(err.text, "app.key: ", 9) == 0);
}
