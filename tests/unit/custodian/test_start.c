/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static void exit_status_is(int want)
{
    int status = rig_wait();

    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), want);
}

static void becomes_ready(void **state)
{
    struct stat st;

    (void)state;
    rig_start();
    must(rig.ready, &rig.failed);
    assert_int_equal(rig.tables, 1);
    assert_int_equal(rig.table.count, 0);
    assert_true(rig.table.version > 0);
    /* the file that a killed login destroys */
    assert_non_null(strstr(rig.guard, rig.state));
    assert_non_null(strstr(rig.guard, "/token.object"));
    assert_int_equal(stat(rig.guard, &st), 0);
    assert_int_equal(st.st_size, 320);
    rig_stop();
}

static void an_empty_pin_is_not_tried(void **state)
{
    (void)state;
    rig_start_with_pin("");
    assert_false(rig.ready);
    assert_int_equal(rig.failed.code, ERR_DENIED);
    exit_status_is(1);
}

static void a_wrong_pin_is_tried_once(void **state)
{
    (void)state;
    rig_start_with_pin("0123456789abcdef0123456789abcdef");
    assert_false(rig.ready);
    assert_true(rig.over);
    assert_int_equal(rig.failed.code, ERR_DENIED);
    assert_non_null(strstr(rig.failed.text, "keyd test"));
    assert_null(strstr(rig.failed.text, "0123456789abcdef"));
    exit_status_is(1);
    rig_start(); /* and the right one still works */
    must(rig.ready, &rig.failed);
    rig_stop();
}

static void no_such_token(void **state)
{
    (void)state;
    snprintf(rig.uri, sizeof(rig.uri), "pkcs11:token=another?module-path=%s", SOFTHSM_MODULE);
    rig_start_with_pin("1234");
    assert_int_equal(rig.failed.code, ERR_UNAVAILABLE);
    assert_non_null(strstr(rig.failed.text, "keyd test")); /* it says which there are */
    exit_status_is(1);
}

static void no_such_module(void **state)
{
    (void)state;
    snprintf(rig.uri, sizeof(rig.uri), "pkcs11:token=x?module-path=/no/such/module.so");
    rig_start_with_pin("1234");
    assert_int_equal(rig.failed.code, ERR_STORAGE);
    assert_non_null(strstr(rig.failed.text, "/no/such/module.so"));
    exit_status_is(1);
}

static void a_newer_registry(void **state)
{
    char command[600];

    (void)state;
    rig_start();
    rig_stop();
    snprintf(command, sizeof(command), "%s/registry.db", rig.state);
    FILE *f = fopen(command, "r+");
    assert_non_null(f);
    fseek(f, 60, SEEK_SET); /* user_version, big-endian: SQLite's file format 1.3 */
    fwrite("\0\0\0\x63", 4, 1, f);
    fclose(f);
    rig_start();
    assert_int_equal(rig.failed.code, ERR_STORAGE);
    assert_non_null(strstr(rig.failed.text, "schema version 99"));
    exit_status_is(1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(becomes_ready),
        RIG_TEST(an_empty_pin_is_not_tried),
        RIG_TEST(a_wrong_pin_is_tried_once),
        RIG_TEST(no_such_token),
        RIG_TEST(no_such_module),
        RIG_TEST(a_newer_registry),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
