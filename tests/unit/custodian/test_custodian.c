/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <sys/wait.h>

static void ends_when_told_and_starts_again(void **state)
{
    (void)state;
    rig_serve();
    rig_tenant("acme");
    rig_stop();
    rig_serve();
    assert_true(rig.table.version > 0);
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig_stop();
    rig_serve();
    assert_int_equal(rig.table.count, 1);
    rig_stop();
}

static void ends_when_the_parent_is_gone(void **state)
{
    (void)state;
    rig_serve();
    chan_close(&rig.parent);
    int status = rig_wait();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

/* What it was asked before it was told to end is done and answered; what comes later is not. */
static void finishes_its_verb(void **state)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);

    (void)state;
    body.tenant = (char *)"acme";
    body.name = (char *)"www";
    body.type = KEYD__V1__KEY_TYPE__KEY_TYPE_RSA_2048;
    rig_serve();
    rig_tenant("acme");
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig.ends[1].mute = true; /* the verb waits for it: long enough to be told in between */
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    while (rig.ends[1].keys == 0 && !rig.over)
        rig_pump(10, NULL);
    rig_stop();
    assert_non_null(rig.answer);
    assert_int_equal(rig.answer->body_case, KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY);
}

static void settings_of_the_parent(void **state)
{
    char path[64] = "untouched";
    struct err err;

    (void)state;
    must(custodian_uri_check(rig.uri, &err), &err);
    must_fail(custodian_uri_check("pkcs11:token=x", &err), &err, ERR_BAD_REQUEST, "module-path");
    must_fail(custodian_uri_check("http://x", &err), &err, ERR_BAD_REQUEST, "RFC 7512");
    must(custodian_pin_source("pkcs11:token=x?module-path=/m.so&pin-source=file:/a%20b", path,
                              sizeof(path), &err),
         &err);
    assert_string_equal(path, "/a b");
    must_fail(custodian_pin_source(URI, path, sizeof(path), &err), &err, ERR_BAD_REQUEST,
              "no pin-source");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(ends_when_told_and_starts_again),
        RIG_TEST(ends_when_the_parent_is_gone),
        RIG_TEST(finishes_its_verb),
        RIG_TEST(settings_of_the_parent),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
