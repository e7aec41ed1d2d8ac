/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>
#include <unistd.h>

static Keyd__V1__PinChange body = KEYD__V1__PIN_CHANGE__INIT;

static void old_pin(char pin[64])
{
    char path[300];

    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(pin, 64, f));
    fclose(f);
    pin[strcspn(pin, "\n")] = 0;
}

static void changed(void **state)
{
    REQUEST(e, PIN_CHANGE, pin_change, &body);
    char old[64], path[300];

    (void)state;
    old_pin(old);
    rig_serve();
    rig_tenant("acme");
    rig_generate("acme", "www", KEY_TYPE_EC_P256, 0);
    rig.new_pin = "4711-and-more-of-it";
    const Keyd__V1__PinChangeReply *r =
        rig_call(&e, KEYD__V1__ENVELOPE__BODY_PIN_CHANGE_REPLY)->pin_change_reply;
    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    assert_string_equal(r->file, path);
    assert_true(r->given); /* as the parent said */
    assert_int_equal(rig.least, 4);
    assert_int_equal(rig.most, 255);
    assert_int_equal(rig.pins_set, 1);
    rig_renewed(); /* with the new one */
    assert_non_null(rig_show("acme/www"));
    rig_generate("acme", "another", KEY_TYPE_EC_P256, 0);
    rig_stop();
    rig_start_with_pin(old);
    assert_false(rig.ready);
    assert_int_equal(rig.failed.code, ERR_DENIED);
    (void)rig_wait();
    assert_int_equal(rig_private_keys(), 2);
}

/* What the parent refuses changes nothing, and the custodian stays. */
static void not_given(void **state)
{
    REQUEST(e, PIN_CHANGE, pin_change, &body);

    (void)state;
    rig_serve();
    err_set(&rig.no_pin, ERR_UNSUPPORTED, "pin-source is no plain file");
    rig_refused(&e, ERR_UNSUPPORTED, "no plain file");
    assert_int_equal(rig.pins_set, 0);
    rig_tenant("acme");
    assert_false(rig.ends[0].leave);
    rig_stop();
}

/* After a C_SetPIN that failed, another custodian finds out what the token has. */
static void not_set(void **state)
{
    REQUEST(e, PIN_CHANGE, pin_change, &body);

    (void)state;
    rig_serve();
    rig.new_pin = "abc"; /* too short for SoftHSM */
    rig_refused(&e, ERR_DENIED, "CKR_PIN_LEN_RANGE");
    assert_int_equal(rig.pins_set, 1);
    assert_int_equal(rig.pin_set.code, ERR_DENIED);
    rig_renewed();
    rig_tenant("acme");
    rig_stop();
}

static void only_an_operator(void **state)
{
    REQUEST(e, PIN_CHANGE, pin_change, &body);

    (void)state;
    rig_serve();
    rig_ask(&e, ROLE_FRONTEND, WAIT_MS);
    assert_non_null(rig_answer());
    assert_int_equal(rig.answer->error->code, ERR_DENIED);
    assert_int_equal(rig.least + rig.most, 0);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(changed),
        RIG_TEST(not_given),
        RIG_TEST(not_set),
        RIG_TEST(only_an_operator),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
