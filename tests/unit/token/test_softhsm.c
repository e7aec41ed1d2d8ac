/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/softhsm.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyd/token/keys.h"
#include "tests/unit/token/fixture.h"

static void path_in(char *out, size_t size, const char *name)
{
    assert_true((size_t)snprintf(out, size, "%s/%s", state_dir, name) < size);
}

static void read_conf(char *text, size_t size)
{
    char path[256];

    path_in(path, sizeof(path), "softhsm2.conf");
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, size - 1, f)] = 0;
    fclose(f);
}

static void test_conf(void **state)
{
    char text[1024], expected[256], path[256];
    struct stat st;
    struct err err;

    (void)state;
    read_conf(text, sizeof(text));
    snprintf(expected, sizeof(expected), "\ndirectories.tokendir = %s/tokens\n", state_dir);
    assert_non_null(strstr(text, expected));
    assert_non_null(strstr(text, "\nobjectstore.backend = file\n"));
    path_in(path, sizeof(path), "softhsm2.conf");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    path_in(path, sizeof(path), "tokens");
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    must(softhsm_write_conf(state_dir, &err), &err); /* again: nothing happens */
}

static void test_conf_is_kept(void **state)
{
    char path[256], text[1024], before[1024];
    struct err err;

    (void)state;
    read_conf(before, sizeof(before));
    path_in(path, sizeof(path), "softhsm2.conf");
    FILE *f = fopen(path, "a");
    fputs("# mine\n", f);
    fclose(f);
    must(softhsm_write_conf(state_dir, &err), &err);
    read_conf(text, sizeof(text));
    assert_int_equal(strlen(text), strlen(before) + 7);
}

static void test_conf_refused(void **state)
{
    static const struct {
        const char *dir, *word;
    } cases[] = {
        {"relative", "cannot keep tokens"},         {"/tmp/a#b", "cannot keep tokens"},
        {"/tmp/a=b", "cannot keep tokens"},         {"/tmp/a\nb", "cannot keep tokens"},
        {"/nonexistent/keyd", "/nonexistent/keyd"}, {"/proc", "/proc"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct err err;

        must_fail(softhsm_write_conf(cases[i].dir, &err), &err, ERR_STORAGE, cases[i].word);
    }
}

static void test_environment(void **state)
{
    char expected[256];
    struct err err;

    (void)state;
    unsetenv("SOFTHSM2_CONF");
    must(softhsm_environment("/nonexistent", &err), &err);
    must(softhsm_environment(NULL, &err), &err);
    assert_null(getenv("SOFTHSM2_CONF"));
    must(softhsm_environment(state_dir, &err), &err);
    path_in(expected, sizeof(expected), "softhsm2.conf");
    assert_string_equal(getenv("SOFTHSM2_CONF"), expected);
}

static void test_guarded_file(void **state)
{
    struct token *t = fixture_open(URI);
    char path[512] = "x", small[16];
    const char *serial = token_info(t)->serial;
    struct stat st;
    struct err err;

    (void)state;
    must(softhsm_guarded_file(state_dir, serial, path, sizeof(path), &err), &err);
    assert_int_equal(strncmp(path, state_dir, strlen(state_dir)), 0);
    assert_non_null(strstr(path, "/token.object"));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, 320);
    must_fail(softhsm_guarded_file(state_dir, serial, small, sizeof(small), &err), &err,
              ERR_STORAGE, "too long");
    must(softhsm_guarded_file(state_dir, "0000000000000000", path, sizeof(path), &err), &err);
    assert_string_equal(path, "");
    must(softhsm_guarded_file(state_dir, "", path, sizeof(path), &err), &err);
    assert_string_equal(path, "");
    must(softhsm_guarded_file("/nonexistent", serial, path, sizeof(path), &err), &err);
    assert_string_equal(path, "");
    token_close(t);
}

/* The linker sends the room's fsync here (CMakeLists.txt). */
int __real_fsync(int fd);
int __wrap_fsync(int fd);

static size_t synced_files, synced_dirs;
static int fail_fsync;

int __wrap_fsync(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    *(S_ISDIR(st.st_mode) ? &synced_dirs : &synced_files) += 1;
    if (fail_fsync) {
        errno = fail_fsync;
        return -1;
    }
    return __real_fsync(fd);
}

static void test_sync(void **state)
{
    struct token *t = fixture_open(URI);
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle key;
    struct err err;

    (void)state;
    must(softhsm_sync(state_dir, &err), &err);
    must(token_generate(t, KEY_TYPE_EC_P256, NULL, 0, "", true, &key, spki, &spki_len, &err), &err);
    synced_files = synced_dirs = 0;
    must(softhsm_sync(state_dir, &err), &err);
    assert_true(synced_files >= 1); /* the object's file */
    assert_true(synced_dirs >= 1);  /* and the folder that names it */
    must(token_destroy(t, key, &err), &err);
    synced_files = synced_dirs = 0;
    must(softhsm_sync(state_dir, &err), &err);
    assert_true(synced_dirs >= 1);
    fail_fsync = EIO;
    must_fail(softhsm_sync(state_dir, &err), &err, ERR_STORAGE, "durable");
    fail_fsync = 0;
    must(softhsm_sync("/nonexistent", &err), &err); /* another token: nothing to do */
    must(softhsm_sync(NULL, &err), &err);
    token_close(t);
}

/* A file that cannot be made durable is an error that names it. As root all can be read, so this is
 * tried with what is no directory. */
static void test_sync_refused(void **state)
{
    char dir[256], tokens[300];
    struct err err;

    (void)state;
    path_in(dir, sizeof(dir), "other");
    assert_int_equal(mkdir(dir, 0700), 0);
    snprintf(tokens, sizeof(tokens), "%s/tokens", dir);
    FILE *f = fopen(tokens, "w");
    assert_non_null(f);
    fclose(f);
    must_fail(softhsm_sync(dir, &err), &err, ERR_STORAGE, tokens);
}

/* ---- its files, for a backup */

struct seen {
    size_t files, master_keys;
    bool refuse;
};

static bool see(void *user, const char *name, const uint8_t *bytes, size_t len, struct err *err)
{
    struct seen *seen = user;
    char path[512];
    struct stat st;

    (void)bytes;
    path_in(path, sizeof(path), name);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal((size_t)st.st_size, len);
    seen->files++;
    if (strstr(name, "/token.object"))
        seen->master_keys = len;
    return !seen->refuse || err_set(err, ERR_STORAGE, "no more");
}

static void test_files(void **state)
{
    struct token *t = fixture_open(URI);
    struct seen seen = {.files = 0};
    bool any = false;
    struct err err;

    (void)state;
    must(softhsm_files(state_dir, token_info(t)->serial, see, &seen, &any, &err), &err);
    assert_true(any);
    assert_int_equal(seen.master_keys, 320);
    assert_true(seen.files >= 2);
    seen = (struct seen){.refuse = true};
    must_fail(softhsm_files(state_dir, token_info(t)->serial, see, &seen, &any, &err), &err,
              ERR_STORAGE, "no more");
    assert_int_equal(seen.files, 1);
    seen = (struct seen){.files = 0};
    must(softhsm_files(state_dir, "0000000000000000", see, &seen, &any, &err), &err);
    assert_false(any);
    assert_int_equal(seen.files, 0);
    token_close(t);
}

/* As a login rewrites it, without pause: what is read is whole all the same. */
static void rewrite(const char *path, const char *bytes, size_t len)
{
    static const struct timespec pause = {.tv_nsec = 3000000};

    for (;;) {
        int fd = open(path, O_WRONLY | O_TRUNC);
        if (write(fd, bytes, len) != (ssize_t)len)
            _exit(1);
        close(fd);
        nanosleep(&pause, NULL);
    }
}

static void test_files_while_a_login_rewrites(void **state)
{
    struct token *t = fixture_open(URI);
    char path[512], bytes[320];
    bool any;
    struct err err;

    (void)state;
    must(softhsm_guarded_file(state_dir, token_info(t)->serial, path, sizeof(path), &err), &err);
    FILE *f = fopen(path, "r");
    assert_int_equal(fread(bytes, 1, sizeof(bytes), f), sizeof(bytes));
    fclose(f);
    pid_t pid = fork();
    if (pid == 0)
        rewrite(path, bytes, sizeof(bytes));
    for (int i = 0; i < 5; i++) {
        struct seen seen = {.files = 0};

        if (softhsm_files(state_dir, token_info(t)->serial, see, &seen, &any, &err))
            assert_int_equal(seen.master_keys, 320);
        else
            assert_int_equal(err.code, ERR_BUSY); /* it never came to rest */
    }
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    f = fopen(path, "w"); /* killed before it wrote */
    fclose(f);
    must_fail(softhsm_files(state_dir, token_info(t)->serial, see, &(struct seen){0}, &any, &err),
              &err, ERR_BUSY, "token.object is empty or being rewritten");
    f = fopen(path, "w");
    assert_int_equal(fwrite(bytes, 1, sizeof(bytes), f), sizeof(bytes));
    fclose(f);
    token_close(t);
}

/* What root may not see either is a file system's doing: integration/broken.sh. */
static void test_explain(void **state)
{
    struct err err;

    (void)state;
    err_set(&err, ERR_TOKEN, "C_GenerateKeyPair: CKR_GENERAL_ERROR");
    assert_false(softhsm_explain(state_dir, &err));
    assert_false(softhsm_explain("/nonexistent", &err));
    assert_string_equal(err.hint, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conf),
        cmocka_unit_test(test_conf_is_kept),
        cmocka_unit_test(test_conf_refused),
        cmocka_unit_test(test_environment),
        cmocka_unit_test(test_guarded_file),
        cmocka_unit_test(test_sync),
        cmocka_unit_test(test_sync_refused),
        cmocka_unit_test(test_files),
        cmocka_unit_test(test_files_while_a_login_rewrites),
        cmocka_unit_test(test_explain),
    };

    return cmocka_run_group_tests_name("token/softhsm", tests, fixture_make, fixture_remove);
}
