/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/token/fixture.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/token/softhsm.h"

char state_dir[128];

void must(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s (%s; %s)", err->text, err_name(err->code), err->hint);
}

void must_fail(bool ok, const struct err *err, enum err_code code, const char *word)
{
    if (ok)
        fail_msg("expected %s, but it worked", err_name(code));
    if (err->code != code || !strstr(err->text, word))
        fail_msg("expected %s with \"%s\", got %s: %s", err_name(code), word, err_name(err->code),
                 err->text);
}

struct secret fixture_secret(const char *text)
{
    struct secret s;
    struct err err;

    must(secret_new(&s, 64, &err), &err);
    s.len = strlen(text);
    assert_true(s.len <= 64);
    memcpy(s.bytes, text, s.len);
    return s;
}

void mock_script(const char *dir, const char *fmt, ...)
{
    char path[300], beside[310];
    va_list ap;

    snprintf(path, sizeof(path), "%s/tokens/mock-token.script", dir);
    snprintf(beside, sizeof(beside), "%s.new", path);
    FILE *f = fopen(beside, "w");
    assert_non_null(f);
    va_start(ap, fmt);
    assert_true(vfprintf(f, fmt, ap) >= 0);
    va_end(ap);
    assert_int_equal(fclose(f), 0);
    assert_int_equal(rename(beside, path), 0);
    assert_int_equal(setenv("KEYD_MOCK_SCRIPT", path, 1), 0);
}

void mock_done(void)
{
    unsetenv("KEYD_MOCK_SCRIPT");
}

int fixture_make(void **state)
{
    const char *tmp = getenv("TMPDIR");
    struct secret so_pin = fixture_secret(SO_PIN), pin = fixture_secret(PIN);
    struct err err;

    (void)state;
    snprintf(state_dir, sizeof(state_dir), "%s/keyd-token-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(state_dir));
    must(softhsm_write_conf(state_dir, &err), &err);
    must(token_init(URI, state_dir, &so_pin, &pin, &err), &err);
    secret_free(&so_pin);
    secret_free(&pin);
    return 0;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void remove_tree(const char *path)
{
    nftw(path, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int fixture_remove(void **state)
{
    (void)state;
    remove_tree(state_dir);
    return 0;
}

struct token *fixture_open(const char *uri)
{
    struct secret pin = fixture_secret(PIN);
    struct token *t = NULL;
    struct err err;

    must(token_open(&t, uri, state_dir, true, &err), &err);
    must(token_login(t, &pin, &err), &err);
    secret_free(&pin);
    return t;
}

#ifdef __SANITIZE_ADDRESS__
/* SoftHSM 2.6.1 itself leaks the parsed EC parameters at every C_SignInit with an Ed25519 key: it
 * is kept out of the leak check, for which the stacks must reach through it. */
const char *__asan_default_options(void);
const char *__lsan_default_suppressions(void);

const char *__asan_default_options(void)
{
    return "fast_unwind_on_malloc=0";
}

const char *__lsan_default_suppressions(void)
{
    return "leak:libsofthsm2.so\n";
}
#endif
