/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "tests/unit/token/fixture.h"

static struct token *token;

static int open_token(void **state)
{
    fixture_make(state);
    token = fixture_open(URI);
    return 0;
}

static int close_token(void **state)
{
    token_close(token);
    return fixture_remove(state);
}

static const char *value_of(const struct token_object *o, const char *name)
{
    for (size_t i = 0; i < o->attribute_count; i++) {
        if (strcmp(o->attributes[i].name, name) == 0)
            return o->attributes[i].value;
    }
    return NULL;
}

static token_handle create(struct attrs *a)
{
    CK_OBJECT_HANDLE handle = 0;

    attrs_bool(a, CKA_TOKEN, true);
    assert_int_equal(token->p11->C_CreateObject(token->session, a->list, a->count, &handle),
                     CKR_OK);
    return handle;
}

/* Objects that keyd knows nothing of, made through PKCS#11 alone. */
static token_handle make_data(void)
{
    struct attrs a = {0};

    attrs_ulong(&a, CKA_CLASS, CKO_DATA);
    attrs_bytes(&a, CKA_LABEL, "caf\xc3\xa9\n\\", 7);
    attrs_bytes(&a, CKA_APPLICATION, "other", 5);
    attrs_bytes(&a, CKA_VALUE, "swordfish", 9);
    return create(&a);
}

static token_handle make_open_secret(void)
{
    struct attrs a = {0};

    attrs_ulong(&a, CKA_CLASS, CKO_SECRET_KEY);
    attrs_ulong(&a, CKA_KEY_TYPE, CKK_AES);
    attrs_bool(&a, CKA_SENSITIVE, false);
    attrs_bool(&a, CKA_EXTRACTABLE, true);
    attrs_bytes(&a, CKA_VALUE, "swordfish-123456", 16);
    return create(&a);
}

static const struct {
    size_t object;            /* 0: keyd's key, 1: data, 2: secret */
    const char *name, *value; /* NULL: not there */
} shown[] = {
    {0, "CKA_CLASS", "CKO_PRIVATE_KEY"},
    {0, "CKA_KEY_TYPE", "CKK_EC"},
    {0, "CKA_LABEL", "keyd/acme/www"},
    {0, "CKA_ID", "0100ff"},
    {0, "CKA_TOKEN", "true"},
    {0, "CKA_SENSITIVE", "true"},
    {0, "CKA_EXTRACTABLE", "false"},
    {0, "CKA_NEVER_EXTRACTABLE", "true"},
    {0, "CKA_LOCAL", "true"},
    {0, "CKA_DECRYPT", "false"},
    {0, "CKA_ALLOWED_MECHANISMS", "CKM_ECDSA"},
    {0, "CKA_KEY_GEN_MECHANISM", "CKM_EC_KEY_PAIR_GEN"},
    {0, "CKA_EC_PARAMS", "06082a8648ce3d030107"},
    {0, "CKA_VALUE", "(sensitive)"},
    {0, "CKA_MODULUS", NULL},
    {0, "CKA_ENCRYPT", NULL},
    {1, "CKA_CLASS", "CKO_DATA"},
    {1, "CKA_APPLICATION", "other"},
    {1, "CKA_LABEL", "caf\\xc3\\xa9\\x0a\\x5c"},
    {1, "CKA_VALUE", "(readable, not shown)"},
    {1, "CKA_SIGN", NULL},
    {2, "CKA_CLASS", "CKO_SECRET_KEY"},
    {2, "CKA_KEY_TYPE", "CKK_AES"},
    {2, "CKA_VALUE", "(readable, not shown)"},
    {2, "CKA_VALUE_LEN", "16"},
    {2, "CKA_EXTRACTABLE", "true"},
    {2, "CKA_KEY_GEN_MECHANISM", "none"},
};

static const struct token_object *find(const struct token_object *list, size_t n, token_handle h)
{
    for (size_t i = 0; i < n; i++) {
        if (list[i].handle == h)
            return &list[i];
    }
    fail_msg("object %lu is not listed", h);
    return NULL;
}

static void test_list(void **state)
{
    const uint8_t id[] = {1, 0, 0xff};
    uint8_t spki[SPKI_MAX_LEN];
    token_handle key, session, made[3];
    struct token_object *list;
    size_t spki_len, n;
    struct err err;

    (void)state;
    must(token_generate(token, KEY_TYPE_EC_P256, id, 3, "keyd/acme/www", true, &key, spki,
                        &spki_len, &err),
         &err);
    must(token_generate(token, KEY_TYPE_EC_P256, id, 3, "", false, &session, spki, &spki_len, &err),
         &err);
    made[0] = key;
    made[1] = make_data();
    made[2] = make_open_secret();
    must(token_list_objects(token, &list, &n, &err), &err);
    assert_int_equal(n, 3); /* the session key is not the token's */
    for (size_t i = 0; i < COUNT(shown); i++) {
        const char *is = value_of(find(list, n, made[shown[i].object]), shown[i].name);

        if (!shown[i].value)
            assert_null(is);
        else if (!is || strcmp(is, shown[i].value) != 0)
            fail_msg("%s is %s, not %s", shown[i].name, is ? is : "absent", shown[i].value);
    }
    const struct token_object *data = find(list, n, made[1]), *ours = find(list, n, key);
    assert_string_equal(data->label, "caf\\xc3\\xa9\\x0a\\x5c");
    assert_int_equal(data->cka_id_len, 0);
    assert_string_equal(ours->cls, "CKO_PRIVATE_KEY");
    assert_int_equal(ours->cka_id_len, 3);
    assert_memory_equal(ours->cka_id, id, 3);
    for (size_t i = 1; i < n; i++)
        assert_true(list[i - 1].handle < list[i].handle);
    token_objects_free(list, n);
}

static void test_no_secret_is_shown(void **state)
{
    struct token_object *list;
    size_t n;
    struct err err;

    (void)state;
    make_open_secret();
    must(token_list_objects(token, &list, &n, &err), &err);
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < list[i].attribute_count; k++) {
            assert_null(strstr(list[i].attributes[k].value, "swordfish"));
            assert_null(strstr(list[i].attributes[k].value, "73776f7264666973")); /* in hex */
        }
    }
    token_objects_free(list, n);
    token_objects_free(NULL, 0);
}

static void test_long_values(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    char label[400];
    token_handle key;
    struct token_object *list;
    size_t spki_len, n;
    struct err err;

    (void)state;
    memset(label, 'x', sizeof(label) - 1);
    label[sizeof(label) - 1] = 0;
    must(
        token_generate(token, KEY_TYPE_RSA_2048, NULL, 0, label, true, &key, spki, &spki_len, &err),
        &err);
    must(token_list_objects(token, &list, &n, &err), &err);
    const struct token_object *o = find(list, n, key);
    const char *modulus = value_of(o, "CKA_MODULUS");
    assert_non_null(modulus);
    assert_non_null(strstr(modulus, "... (256 bytes)"));
    assert_string_equal(value_of(o, "CKA_PUBLIC_EXPONENT"), "010001");
    assert_string_equal(value_of(o, "CKA_PRIVATE_EXPONENT"), "(sensitive)");
    assert_true(strlen(o->label) > 100 && strlen(o->label) < TOKEN_LABEL_MAX);
    token_objects_free(list, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_no_secret_is_shown),
        cmocka_unit_test(test_long_values),
    };

    return cmocka_run_group_tests_name("token/objects", tests, open_token, close_token);
}
