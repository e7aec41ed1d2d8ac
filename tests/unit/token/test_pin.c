/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/token/fixture.h"

#include "keyd/token/keys.h"
#include "keyd/token/sign.h"

static bool set(struct token *t, const char *old, const char *new, struct err *err)
{
    struct secret a = fixture_secret(old), b = fixture_secret(new);
    bool ok = token_set_pin(t, &a, &b, err);

    secret_free(&a);
    secret_free(&b);
    return ok;
}

/* 0: the token opens with it; else the error's code. */
static int opens_with(const char *pin)
{
    struct token *t = NULL;
    struct secret s = fixture_secret(pin);
    struct err err = {.code = ERR_NONE};

    must(token_open(&t, URI, state_dir, true, &err), &err);
    bool ok = token_login(t, &s, &err);
    secret_free(&s);
    token_close(t);
    return ok ? 0 : (int)err.code;
}

static void the_new_one_and_no_other(void **state)
{
    static const char long_one[] = "123456789012345678901234567890123456789";
    struct token *t = fixture_open(URI);
    struct err err;
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle key;

    (void)state;
    must(token_generate(t, KEY_TYPE_EC_P256, (const uint8_t *)"k", 1, "k", true, &key, spki, &len,
                        &err),
         &err);
    must(set(t, PIN, long_one, &err), &err);
    must(token_prove(t, key, KEY_TYPE_EC_P256, spki, len, &err), &err); /* the login goes on */
    token_close(t);
    assert_int_equal(opens_with(PIN), ERR_DENIED);
    assert_int_equal(opens_with(long_one), 0);
    t = NULL;
    struct secret s = fixture_secret(long_one);
    must(token_open(&t, URI, state_dir, true, &err), &err);
    must(token_login(t, &s, &err), &err);
    secret_free(&s);
    must(token_find_private(t, (const uint8_t *)"k", 1, &key, &err), &err);
    must(token_prove(t, key, KEY_TYPE_EC_P256, spki, len, &err), &err);
    must(set(t, long_one, PIN, &err), &err);
    token_close(t);
    assert_int_equal(opens_with(PIN), 0);
}

static void refused(void **state)
{
    struct token *t = fixture_open(URI);
    struct err err;

    (void)state;
    must_fail(set(t, "wrong-one", "another", &err), &err, ERR_DENIED, "CKR_PIN_INCORRECT");
    must_fail(set(t, PIN, "abc", &err), &err, ERR_DENIED, "CKR_PIN_LEN_RANGE");
    assert_int_equal(token_info(t)->pin_min, 4);
    assert_int_equal(token_info(t)->pin_max, 255);
    token_close(t);
    assert_int_equal(opens_with(PIN), 0);
    assert_int_equal(opens_with("another"), ERR_DENIED);
    assert_int_equal(opens_with(PIN), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_new_one_and_no_other),
        cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests_name("token/pin", tests, fixture_make, fixture_remove);
}
