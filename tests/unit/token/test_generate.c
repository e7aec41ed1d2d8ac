/* SPDX-License-Identifier: Apache-2.0
 *
 * What a generated key looks like in the token, for every type, and its SubjectPublicKeyInfo.
 */
#include "keyd/token/keys.h"

#include <dlfcn.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
#include "tests/mock-token/lies.h"
#include "tests/unit/token/fixture.h"

static struct lies *lies;
static struct token *token;

static int open_token(void **state)
{
    void *lib = dlopen(MOCK_MODULE, RTLD_NOW);

    assert_non_null(lib);
    lies = dlsym(lib, "lies");
    fixture_make(state);
    token = fixture_open(MOCK_URI);
    return 0;
}

static int close_token(void **state)
{
    token_close(token);
    return fixture_remove(state);
}

static int reset_lies(void **state)
{
    (void)state;
    *lies = (struct lies){0};
    return 0;
}

static const struct {
    enum key_type type;
    size_t spki_len; /* 0: varies */
    size_t mechanisms;
} types[] = {
    {KEY_TYPE_EC_P256, 91, 1},   {KEY_TYPE_EC_P384, 120, 1},  {KEY_TYPE_ED25519, 44, 1},
    {KEY_TYPE_RSA_2048, 294, 6}, {KEY_TYPE_RSA_3072, 422, 6}, {KEY_TYPE_RSA_4096, 550, 6},
};

static const struct {
    CK_ATTRIBUTE_TYPE type;
    bool value;
} flags[] = {
    {CKA_TOKEN, true},
    {CKA_PRIVATE, true},
    {CKA_SENSITIVE, true},
    {CKA_ALWAYS_SENSITIVE, true},
    {CKA_NEVER_EXTRACTABLE, true},
    {CKA_LOCAL, true},
    {CKA_SIGN, true},
    {CKA_MODIFIABLE, true},
    {CKA_EXTRACTABLE, false},
    {CKA_DECRYPT, false},
    {CKA_UNWRAP, false},
    {CKA_DERIVE, false},
    {CKA_SIGN_RECOVER, false},
};

static void check_attributes(token_handle key, const uint8_t *id, size_t id_len, const char *label,
                             size_t mechanisms)
{
    uint8_t value[256];
    size_t len;
    struct err err;

    for (size_t i = 0; i < COUNT(flags); i++) {
        bool is;

        must(attr_read_bool(token, key, flags[i].type, &is, &err), &err);
        assert_int_equal(is, flags[i].value);
    }
    must(attr_read(token, key, CKA_ID, value, sizeof(value), &len, &err), &err);
    assert_int_equal(len, id_len);
    assert_memory_equal(value, id, len);
    must(attr_read(token, key, CKA_LABEL, value, sizeof(value), &len, &err), &err);
    assert_int_equal(len, strlen(label));
    assert_memory_equal(value, label, len);
    must(attr_read(token, key, CKA_ALLOWED_MECHANISMS, value, sizeof(value), &len, &err), &err);
    assert_int_equal(len, mechanisms * sizeof(CK_MECHANISM_TYPE));
}

static size_t count_objects(CK_OBJECT_CLASS cls)
{
    CK_ATTRIBUTE what = {CKA_CLASS, &cls, sizeof(cls)};
    CK_OBJECT_HANDLE found[64];
    CK_ULONG n = 0;

    assert_int_equal(token->p11->C_FindObjectsInit(token->session, &what, 1), CKR_OK);
    assert_int_equal(token->p11->C_FindObjects(token->session, found, 64, &n), CKR_OK);
    assert_int_equal(token->p11->C_FindObjectsFinal(token->session), CKR_OK);
    return n;
}

static void test_every_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(types); i++) {
        const uint8_t id[] = {1, 0x0d, 0, 0xff, (uint8_t)i};
        uint8_t spki[SPKI_MAX_LEN];
        size_t spki_len = 0, before = count_objects(CKO_PRIVATE_KEY);
        token_handle key = 0;
        struct err err;

        assert_true(token_can_generate(token, types[i].type));
        must(token_generate(token, types[i].type, id, sizeof(id), "keyd/acme/www", true, &key, spki,
                            &spki_len, &err),
             &err);
        assert_int_equal(spki_len, types[i].spki_len);
        check_attributes(key, id, sizeof(id), "keyd/acme/www", types[i].mechanisms);
        must(token_key_judge(token, key, types[i].type, &err), &err);
        must(token_prove(token, key, types[i].type, spki, spki_len, &err), &err);
        assert_int_equal(count_objects(CKO_PRIVATE_KEY), before + 1);
        assert_int_equal(count_objects(CKO_PUBLIC_KEY), 0);
        must(token_destroy(token, key, &err), &err);
        assert_int_equal(count_objects(CKO_PRIVATE_KEY), before);
    }
}

static void test_session_key(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle key;
    bool is_token = true;
    struct err err;

    (void)state;
    must(token_generate(token, KEY_TYPE_EC_P256, NULL, 0, "", false, &key, spki, &spki_len, &err),
         &err);
    must(attr_read_bool(token, key, CKA_TOKEN, &is_token, &err), &err);
    assert_false(is_token);
    must(token_prove(token, key, KEY_TYPE_EC_P256, spki, spki_len, &err), &err);
    must(token_destroy(token, key, &err), &err);
}

/* The private object carries its SPKI, and it is the one that was returned. */
static void test_public_key_info(void **state)
{
    uint8_t spki[SPKI_MAX_LEN], stored[SPKI_MAX_LEN], id[] = {7};
    size_t spki_len, stored_len;
    token_handle key;
    struct err err;

    (void)state;
    must(token_generate(token, KEY_TYPE_EC_P256, id, 1, "l", true, &key, spki, &spki_len, &err),
         &err);
    must(attr_read(token, key, CKA_PUBLIC_KEY_INFO, stored, sizeof(stored), &stored_len, &err),
         &err);
    assert_int_equal(stored_len, spki_len);
    assert_memory_equal(stored, spki, spki_len);
    must(token_destroy(token, key, &err), &err);
}

/* ---- tokens that are not SoftHSM */

static void test_raw_point(void **state)
{
    static const enum key_type curves[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_ED25519};

    (void)state;
    lies->raw_points = true;
    for (size_t i = 0; i < COUNT(curves); i++) {
        uint8_t spki[SPKI_MAX_LEN];
        size_t spki_len;
        token_handle key;
        struct err err;

        must(token_generate(token, curves[i], NULL, 0, "", false, &key, spki, &spki_len, &err),
             &err);
        must(token_prove(token, key, curves[i], spki, spki_len, &err), &err);
        must(token_destroy(token, key, &err), &err);
    }
}

/* A key whose public half is nonsense is no key: nothing of it stays. */
static void test_bad_point(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len = 77;
    token_handle key = 99;
    struct err err;

    (void)state;
    lies->bad_points = true;
    must_fail(
        token_generate(token, KEY_TYPE_EC_P256, NULL, 0, "", true, &key, spki, &spki_len, &err),
        &err, ERR_TOKEN, "no public key of type ec-p256");
    assert_int_equal(key, 99);
    assert_int_equal(spki_len, 77);
    assert_int_equal(count_objects(CKO_PRIVATE_KEY), 0);
    assert_int_equal(count_objects(CKO_PUBLIC_KEY), 0);
}

static void test_curve_by_name(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle key;
    struct err err;

    (void)state;
    lies->no_names = true;
    must(token_generate(token, KEY_TYPE_ED25519, NULL, 0, "", false, &key, spki, &spki_len, &err),
         &err);
    must(token_prove(token, key, KEY_TYPE_ED25519, spki, spki_len, &err), &err);
    must(token_destroy(token, key, &err), &err);
}

static void test_token_that_cannot(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len = 77;
    token_handle key = 99;
    struct err err;
    struct token *t;

    (void)state;
    token_close(token); /* one module, one C_Initialize */
    lies->few_mechanisms = true;
    t = fixture_open(MOCK_URI);
    assert_true(token_can_generate(t, KEY_TYPE_EC_P256));
    assert_false(token_can_generate(t, KEY_TYPE_RSA_2048));
    assert_false(token_can_generate(t, KEY_TYPE_NONE));
    assert_false(token_can_generate(t, KEY_TYPE_COUNT));
    must_fail(token_generate(t, KEY_TYPE_RSA_2048, NULL, 0, "", true, &key, spki, &spki_len, &err),
              &err, ERR_UNSUPPORTED, "rsa-2048");
    assert_string_equal(err.hint, "it can make: ec-p256, ec-p384");
    must_fail(token_generate(t, KEY_TYPE_NONE, NULL, 0, "", true, &key, spki, &spki_len, &err),
              &err, ERR_UNSUPPORTED, "unknown");
    assert_int_equal(key, 99);
    assert_int_equal(spki_len, 77);
    token_close(t);
    *lies = (struct lies){0};
    token = fixture_open(MOCK_URI);
}

static void test_generation_fails(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle key = 99;
    struct err err;

    (void)state;
    lies->fail_generate = CKR_DEVICE_MEMORY;
    must_fail(
        token_generate(token, KEY_TYPE_EC_P256, NULL, 0, "", true, &key, spki, &spki_len, &err),
        &err, ERR_TOKEN, "C_GenerateKeyPair: CKR_DEVICE_MEMORY");
    assert_string_equal(err.hint, "the token is full");
    assert_int_equal(key, 99);
    assert_false(token_lost(token));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_type),
        cmocka_unit_test(test_session_key),
        cmocka_unit_test(test_public_key_info),
        cmocka_unit_test_setup_teardown(test_raw_point, reset_lies, reset_lies),
        cmocka_unit_test_setup_teardown(test_bad_point, reset_lies, reset_lies),
        cmocka_unit_test_setup_teardown(test_curve_by_name, reset_lies, reset_lies),
        cmocka_unit_test_setup_teardown(test_token_that_cannot, reset_lies, reset_lies),
        cmocka_unit_test_setup_teardown(test_generation_fails, reset_lies, reset_lies),
    };

    return cmocka_run_group_tests_name("token/generate", tests, open_token, close_token);
}
