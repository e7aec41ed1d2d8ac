/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* In a process of its own: the module was in it. Gives the error as it was there. */
static bool init(const char *uri, const char *dir, struct err *ret)
{
    int ends[2], status;
    struct {
        bool ok;
        struct err err;
    } result = {.ok = false};

    assert_int_equal(pipe(ends), 0);
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        result.ok = custodian_init_token(uri, dir, &result.err);
        _exit(write(ends[1], &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
    }
    close(ends[1]);
    assert_int_equal(read(ends[0], &result, sizeof(result)), sizeof(result));
    close(ends[0]);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    *ret = result.err;
    return result.ok;
}

static void read_pin(const char *name, char pin[64])
{
    char path[300];
    struct stat st;

    snprintf(path, sizeof(path), "%s/%s", rig.state, name);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_int_equal(fstat(fileno(f), &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    assert_int_equal(st.st_size, 33);
    assert_non_null(fgets(pin, 64, f));
    fclose(f);
    assert_int_equal(strspn(pin, "0123456789abcdef"), 32);
    assert_string_equal(pin + 32, "\n");
}

static void files_and_modes(void **state)
{
    char so_pin[64], pin[64];
    struct stat st;

    (void)state; /* the rig has made one */
    assert_int_equal(stat(rig.state, &st), 0);
    assert_int_equal(st.st_mode, S_IFDIR | 0700);
    read_pin("so.pin", so_pin);
    read_pin("user.pin", pin);
    assert_string_not_equal(pin, so_pin);
    rig_start(); /* and the token takes it */
    must(rig.ready, &rig.failed);
    rig_stop();
}

static void a_token_that_is_there_is_left_alone(void **state)
{
    char so_pin[64], pin[64], again[64], path[300];
    struct err err;

    (void)state;
    read_pin("so.pin", so_pin);
    read_pin("user.pin", pin);
    must_fail(init(rig.uri, rig.state, &err), &err, ERR_EXISTS, "\"keyd test\" is there already");
    assert_non_null(strstr(err.hint, "start keyd"));
    read_pin("so.pin", again);
    assert_string_equal(again, so_pin);
    read_pin("user.pin", again);
    assert_string_equal(again, pin);
    /* also when its PINs are elsewhere: no new ones that are not its PINs */
    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    assert_int_equal(unlink(path), 0);
    must_fail(init(rig.uri, rig.state, &err), &err, ERR_EXISTS, "is there already");
    assert_int_equal(access(path, F_OK), -1);
}

/* Cut short between the PINs and the token: the same PINs are used. */
static void goes_on_after_a_cut(void **state)
{
    char so_pin[64], pin[64], again[64], path[300];
    struct err err;

    (void)state;
    read_pin("so.pin", so_pin);
    read_pin("user.pin", pin);
    snprintf(path, sizeof(path), "%s/tokens", rig.state);
    remove_tree(path);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/so.pin.new", rig.state); /* and a half-written one */
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fclose(f);
    must(init(rig.uri, rig.state, &err), &err);
    read_pin("so.pin", again);
    assert_string_equal(again, so_pin);
    read_pin("user.pin", again);
    assert_string_equal(again, pin);
    rig_start();
    must(rig.ready, &rig.failed);
    rig_stop();
}

static void what_is_refused(void **state)
{
    char uri[800], dir[300];
    struct err err;

    (void)state;
    must_fail(init("pkcs11:token=x", rig.state, &err), &err, ERR_BAD_REQUEST, "module-path");
    snprintf(dir, sizeof(dir), "%s/new", rig.dir);
    must_fail(init(URI, dir, &err), &err, ERR_BAD_REQUEST, "no pin-source");
    snprintf(dir, sizeof(dir), "%s/no/such", rig.dir);
    must_fail(init(rig.uri, dir, &err), &err, ERR_STORAGE, "cannot make the state directory");
    snprintf(dir, sizeof(dir), "%s/open", rig.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_int_equal(chmod(dir, 0755), 0);
    must_fail(init(rig.uri, dir, &err), &err, ERR_DENIED, "is not yours alone (mode 0755");
    snprintf(dir, sizeof(dir), "%s/third", rig.dir);
    snprintf(uri, sizeof(uri), "pkcs11:token=x?module-path=/no/such.so&pin-source=%s/p", dir);
    must_fail(init(uri, dir, &err), &err, ERR_STORAGE, "/no/such.so");
}

/* The user's PIN lies where pin-source says. */
static void another_pin_source(void **state)
{
    char uri[800], dir[300], path[300];
    struct stat st;
    struct err err;

    (void)state;
    snprintf(dir, sizeof(dir), "%s/other", rig.dir);
    snprintf(path, sizeof(path), "%s/elsewhere.pin", rig.dir);
    snprintf(uri, sizeof(uri), "%s&pin-source=file:%s", URI, path);
    must(init(uri, dir, &err), &err);
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_mode, S_IFREG | 0600);
    snprintf(path, sizeof(path), "%s/user.pin", dir);
    assert_int_equal(stat(path, &st), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(files_and_modes),     RIG_TEST(a_token_that_is_there_is_left_alone),
        RIG_TEST(goes_on_after_a_cut), RIG_TEST(what_is_refused),
        RIG_TEST(another_pin_source),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
