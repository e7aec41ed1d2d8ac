/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/token.h"

#include <dlfcn.h>
#include <p11-kit/pkcs11.h>
#include <stdio.h>
#include <string.h>

#include "keyd/token/module.h"
#include "keyd/token/sign.h"
#include "proto/base/mem.h"
#include "tests/mock-token/lies.h"
#include "tests/unit/token/fixture.h"

static struct lies *lies;

static int load_odd(void **state)
{
    void *lib = dlopen(MOCK_MODULE, RTLD_NOW);

    assert_non_null(lib);
    lies = dlsym(lib, "lies");
    assert_non_null(lies);
    return fixture_make(state);
}

static int reset_lies(void **state)
{
    (void)state;
    *lies = (struct lies){0};
    return 0;
}

static void test_open_and_close(void **state)
{
    (void)state;
    for (int round = 0; round < 3; round++) {
        struct token *t = fixture_open(URI);
        const struct token_info *info = token_info(t);

        assert_string_equal(info->label, LABEL);
        assert_string_equal(info->model, "SoftHSM v2");
        assert_int_equal(strlen(info->serial), 16);
        assert_non_null(strstr(info->module, SOFTHSM_MODULE " 2."));
        assert_true(info->flags & CKF_LOGIN_REQUIRED);
        assert_false(token_lost(t));
        token_close(t);
    }
    token_close(NULL);
}

static void test_open_by_serial(void **state)
{
    char uri[256];
    struct token *t = fixture_open(URI);

    (void)state;
    snprintf(uri, sizeof(uri), "pkcs11:serial=%s?module-path=" SOFTHSM_MODULE,
             token_info(t)->serial);
    token_close(t);
    t = fixture_open(uri);
    assert_string_equal(token_info(t)->label, LABEL);
    token_close(t);
}

static const struct {
    const char *uri;
    enum err_code code;
    const char *word;
} refused[] = {
    {"pkcs11:token=keyd?module-path=/nonexistent/m.so", ERR_STORAGE, "/nonexistent/m.so"},
    {"pkcs11:token=keyd?module-path=/etc/hostname", ERR_STORAGE, "/etc/hostname"},
    {"pkcs11:token=keyd?module-path=/usr/lib/x86_64-linux-gnu/libcrypto.so.3", ERR_STORAGE,
     "no PKCS#11 module"},
    {"pkcs11:token=other?module-path=" SOFTHSM_MODULE, ERR_UNAVAILABLE, "\"" LABEL "\" (serial "},
    {"pkcs11:token=keyd%20test;serial=00?module-path=" SOFTHSM_MODULE, ERR_UNAVAILABLE, LABEL},
    {"pkcs11:token=keyd%20test;slot-id=12345?module-path=" SOFTHSM_MODULE, ERR_UNAVAILABLE, LABEL},
    {"pkcs11:token=keyd%20test?pin-value=1&module-path=" SOFTHSM_MODULE, ERR_BAD_REQUEST, "PIN"},
};

static void test_open_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        struct token *t = NULL;
        struct err err = {0};

        must_fail(token_open(&t, refused[i].uri, state_dir, false, &err), &err, refused[i].code,
                  refused[i].word);
        assert_null(t);
    }
}

static void test_open_failing_module(void **state)
{
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    lies->fail_initialize = CKR_GENERAL_ERROR;
    must_fail(token_open(&t, MOCK_URI, state_dir, false, &err), &err, ERR_UNAVAILABLE,
              "C_Initialize: CKR_GENERAL_ERROR");
    lies->fail_initialize = CKR_OK;
    lies->blank = true;
    must_fail(token_open(&t, MOCK_URI, state_dir, false, &err), &err, ERR_UNAVAILABLE, "blank");
    assert_null(t);
}

static void test_wrong_pin_is_tried_once(void **state)
{
    struct secret wrong = fixture_secret("0000-wrong"), right = fixture_secret(PIN);
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    must(token_open(&t, MOCK_URI, state_dir, false, &err), &err);
    must_fail(token_login(t, &wrong, &err), &err, ERR_DENIED, "CKR_PIN_INCORRECT");
    assert_int_equal(lies->logins, 1);
    assert_non_null(strstr(err.text, LABEL));
    assert_null(strstr(err.text, "0000-wrong"));
    must(token_login(t, &right, &err), &err); /* and the counter of the token is healed */
    assert_int_equal(lies->logins, 2);
    token_close(t);
    secret_free(&wrong);
    secret_free(&right);
}

static void test_last_try_is_not_taken(void **state)
{
    static const CK_FLAGS flags[] = {CKF_USER_PIN_FINAL_TRY, CKF_USER_PIN_LOCKED};
    struct secret pin = fixture_secret(PIN);

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct token *t = NULL;
        struct err err = {0};

        lies->token_flags = flags[i];
        must(token_open(&t, MOCK_URI, state_dir, false, &err), &err);
        must_fail(token_login(t, &pin, &err), &err, ERR_DENIED, i ? "is locked" : "last try");
        token_close(t);
    }
    assert_int_equal(lies->logins, 0);
    secret_free(&pin);
}

static void test_empty_pin_is_not_tried(void **state)
{
    struct secret pin = fixture_secret("");
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    must(token_open(&t, MOCK_URI, state_dir, false, &err), &err);
    must_fail(token_login(t, &pin, &err), &err, ERR_DENIED, "is empty");
    assert_int_equal(lies->logins, 0);
    token_close(t);
    secret_free(&pin);
}

static void test_login_failures(void **state)
{
    static const struct {
        CK_RV rv;
        enum err_code code;
        bool lost, ok;
    } cases[] = {
        {CKR_PIN_LOCKED, ERR_DENIED, false, false},
        {CKR_PIN_LEN_RANGE, ERR_DENIED, false, false},
        {CKR_DEVICE_REMOVED, ERR_UNAVAILABLE, true, false},
        {CKR_GENERAL_ERROR, ERR_TOKEN, false, false},
        {CKR_USER_ALREADY_LOGGED_IN, ERR_NONE, false, true},
    };
    struct secret pin = fixture_secret(PIN);

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token *t = NULL;
        struct err err = {0};

        must(token_open(&t, MOCK_URI, state_dir, false, &err), &err);
        lies->fail_login = cases[i].rv;
        assert_int_equal(token_login(t, &pin, &err), cases[i].ok);
        assert_int_equal(err.code, cases[i].code);
        assert_int_equal(token_lost(t), cases[i].lost);
        token_close(t);
    }
    secret_free(&pin);
}

static void test_lost(void **state)
{
    static const struct {
        CK_RV rv;
        bool lost;
    } cases[] = {
        {CKR_SESSION_HANDLE_INVALID, true}, {CKR_SESSION_CLOSED, true},
        {CKR_USER_NOT_LOGGED_IN, true},     {CKR_DEVICE_ERROR, true},
        {CKR_DEVICE_REMOVED, true},         {CKR_TOKEN_NOT_PRESENT, true},
        {CKR_TOKEN_NOT_RECOGNIZED, true},   {CKR_CRYPTOKI_NOT_INITIALIZED, true},
        {CKR_OPERATION_ACTIVE, true},       {CKR_GENERAL_ERROR, false},
        {CKR_FUNCTION_FAILED, false},       {CKR_KEY_HANDLE_INVALID, false},
        {CKR_OBJECT_HANDLE_INVALID, false}, {CKR_MECHANISM_INVALID, false},
        {CKR_HOST_MEMORY, false},           {CKR_DEVICE_MEMORY, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token *t = fixture_open(MOCK_URI);
        uint8_t sig[SIGNATURE_MAX] = {0};
        size_t len = sizeof(sig);
        struct err err = {0};

        lies->fail_sign = cases[i].rv;
        assert_false(token_sign(t, 1, scheme_by_code(0x0403), sig, 0, sig, &len, &err));
        assert_non_null(strstr(err.text, "C_SignInit: CKR_"));
        assert_int_equal(token_lost(t), cases[i].lost);
        if (cases[i].lost && cases[i].rv != CKR_OPERATION_ACTIVE)
            assert_int_equal(err.code, ERR_UNAVAILABLE);
        token_close(t);
    }
}

static void test_init_again(void **state)
{
    struct secret pin = fixture_secret(PIN);
    struct err err = {0};

    (void)state;
    must_fail(token_init(URI, state_dir, &pin, &pin, &err), &err, ERR_EXISTS, "label");
    must_fail(
        token_init("pkcs11:serial=1?module-path=" SOFTHSM_MODULE, state_dir, &pin, &pin, &err),
        &err, ERR_BAD_REQUEST, "label");
    must_fail(token_init("pkcs11:token=x?module-path=/none.so", state_dir, &pin, &pin, &err), &err,
              ERR_STORAGE, "/none.so");
    secret_free(&pin);
}

static void test_init_second(void **state)
{
    struct secret pin = fixture_secret(PIN), tiny = fixture_secret("1");
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    must_fail(
        token_init("pkcs11:token=tiny?module-path=" SOFTHSM_MODULE, state_dir, &tiny, &pin, &err),
        &err, ERR_DENIED, "C_InitToken: CKR_PIN");
    must(token_init("pkcs11:token=second?module-path=" SOFTHSM_MODULE, state_dir, &pin, &pin, &err),
         &err);
    must(token_open(&t, "pkcs11:token=second?module-path=" SOFTHSM_MODULE, state_dir, true, &err),
         &err);
    must(token_login(t, &pin, &err), &err);
    token_close(t);
    must_fail(
        token_open(&t, "pkcs11:token=none?module-path=" SOFTHSM_MODULE, state_dir, true, &err),
        &err, ERR_UNAVAILABLE, "second");
    secret_free(&pin);
    secret_free(&tiny);
}

/* Makes a token of this label by PKCS#11 alone, whether there is one already or not. */
static void make_another(const char *label)
{
    struct module m;
    CK_SLOT_ID *slots;
    CK_UTF8CHAR padded[32], pin[] = SO_PIN;
    size_t count, made = 0;
    struct err err;

    memset(padded, ' ', sizeof(padded));
    memcpy(padded, label, strlen(label));
    must(module_load(&m, SOFTHSM_MODULE, &err), &err);
    must(module_slots(&m, &slots, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        CK_TOKEN_INFO info;

        assert_int_equal(m.p11->C_GetTokenInfo(slots[i], &info), CKR_OK);
        if (!(info.flags & CKF_TOKEN_INITIALIZED) && made++ == 0)
            assert_int_equal(m.p11->C_InitToken(slots[i], pin, sizeof(pin) - 1, padded), CKR_OK);
    }
    assert_int_equal(made, 1);
    mem_free(slots);
    module_unload(&m);
}

/* Cut short between C_InitToken and C_InitPIN: the next run goes on, for whoever has the PIN. */
static void test_init_goes_on(void **state)
{
    static const char uri[] = "pkcs11:token=begun?module-path=" SOFTHSM_MODULE;
    struct secret so = fixture_secret(SO_PIN), pin = fixture_secret(PIN);
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    make_another("begun");
    must_fail(token_init(uri, state_dir, &pin, &pin, &err), &err, ERR_DENIED, "C_Login");
    must(token_init(uri, state_dir, &so, &pin, &err), &err);
    must(token_open(&t, uri, state_dir, true, &err), &err);
    assert_true(token_has_user_pin(t));
    must(token_login(t, &pin, &err), &err);
    token_close(t);
    must_fail(token_init(uri, state_dir, &so, &pin, &err), &err, ERR_EXISTS, "label");
    secret_free(&so);
    secret_free(&pin);
}

static void test_two_of_one_label(void **state)
{
    struct token *t = NULL;
    struct err err = {0};

    (void)state;
    make_another("second");
    must_fail(
        token_open(&t, "pkcs11:token=second?module-path=" SOFTHSM_MODULE, state_dir, true, &err),
        &err, ERR_BAD_REQUEST, "fits 2 tokens");
    assert_non_null(strstr(err.hint, "serial"));
    assert_null(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_open_and_close),
        cmocka_unit_test(test_open_by_serial),
        cmocka_unit_test(test_open_refused),
        cmocka_unit_test_setup(test_open_failing_module, reset_lies),
        cmocka_unit_test_setup(test_wrong_pin_is_tried_once, reset_lies),
        cmocka_unit_test_setup(test_last_try_is_not_taken, reset_lies),
        cmocka_unit_test_setup(test_empty_pin_is_not_tried, reset_lies),
        cmocka_unit_test_setup(test_login_failures, reset_lies),
        cmocka_unit_test_setup(test_lost, reset_lies),
        cmocka_unit_test_setup(test_init_again, reset_lies),
        cmocka_unit_test_setup(test_init_second, reset_lies),
        cmocka_unit_test_setup(test_init_goes_on, reset_lies),
        cmocka_unit_test_setup(test_two_of_one_label, reset_lies),
    };

    return cmocka_run_group_tests_name("token/token", tests, load_odd, fixture_remove);
}
