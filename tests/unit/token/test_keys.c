/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/keys.h"

#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
#include "proto/base/mem.h"
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

struct made {
    token_handle handle;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
};

static struct made make(const char *id, bool persistent)
{
    struct made m = {0};
    struct err err;

    must(token_generate(token, KEY_TYPE_EC_P256, (const uint8_t *)id, strlen(id), "l", persistent,
                        &m.handle, m.spki, &m.spki_len, &err),
         &err);
    return m;
}

static void destroy(token_handle h)
{
    struct err err;

    must(token_destroy(token, h, &err), &err);
}

static size_t count_private(void)
{
    struct token_private *list;
    size_t n;
    struct err err;

    must(token_list_private(token, &list, &n, &err), &err);
    mem_free(list);
    return n;
}

static void test_list(void **state)
{
    struct made a = make("id-a", true), b = make("id-b", true), session = make("id-c", false);
    struct token_private *list = NULL;
    size_t n, seen = 0;
    struct err err;

    (void)state;
    must(token_list_private(token, &list, &n, &err), &err);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < n; i++) {
        const struct made *m = list[i].handle == a.handle ? &a : &b;

        assert_int_equal(list[i].handle, m->handle);
        assert_int_equal(list[i].cka_id_len, 4);
        assert_memory_equal(list[i].cka_id, m == &a ? "id-a" : "id-b", 4);
        seen += m == &a ? 1 : 10;
    }
    assert_int_equal(seen, 11);
    mem_free(list);
    destroy(a.handle);
    destroy(b.handle);
    destroy(session.handle);
    assert_int_equal(count_private(), 0);
}

/* More than one batch of C_FindObjects: session objects are quick to make, and listed when asked
 * for by class alone. */
static void test_list_empty_and_foreign(void **state)
{
    CK_ULONG long_id_len = TOKEN_CKA_ID_MAX + 1;
    struct made a = make("x", true);
    uint8_t id[TOKEN_CKA_ID_MAX + 1] = {0};
    struct attrs change = {0};
    struct token_private *list;
    size_t n;
    struct err err;

    (void)state;
    attrs_bytes(&change, CKA_ID, id, long_id_len);
    assert_int_equal(token->p11->C_SetAttributeValue(token->session, a.handle, change.list, 1),
                     CKR_OK);
    must(token_list_private(token, &list, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_int_equal(list[0].cka_id_len, 0); /* longer than any of ours: as if it had none */
    mem_free(list);
    destroy(a.handle);
}

static void test_find(void **state)
{
    struct made a = make("find-a", true), s = make("find-s", false);
    token_handle found = 0, copy;
    struct err err;

    (void)state;
    must(token_session_copy(token, a.handle, &copy, &err), &err); /* carries the same CKA_ID */
    must(token_find_private(token, (const uint8_t *)"find-a", 6, &found, &err), &err);
    assert_int_equal(found, a.handle);
    found = 5;
    must_fail(token_find_private(token, (const uint8_t *)"find-b", 6, &found, &err), &err,
              ERR_NOT_FOUND, "CKA_ID");
    must_fail(token_find_private(token, (const uint8_t *)"find-s", 6, &found, &err), &err,
              ERR_NOT_FOUND, "CKA_ID");
    struct made twin = make("find-a", true);
    must_fail(token_find_private(token, (const uint8_t *)"find-a", 6, &found, &err), &err,
              ERR_CONFLICT, "2 private keys");
    assert_int_equal(found, 5);
    destroy(a.handle);
    destroy(twin.handle);
    destroy(s.handle);
    destroy(copy);
}

static void test_session_copy(void **state)
{
    struct made a = make("copy", true);
    token_handle copy = 0;
    bool flag;
    struct err err;

    (void)state;
    must(token_session_copy(token, a.handle, &copy, &err), &err);
    assert_int_not_equal(copy, a.handle);
    must(attr_read_bool(token, copy, CKA_TOKEN, &flag, &err), &err);
    assert_false(flag);
    must(attr_read_bool(token, copy, CKA_EXTRACTABLE, &flag, &err), &err);
    assert_false(flag);
    must(token_prove(token, copy, KEY_TYPE_EC_P256, a.spki, a.spki_len, &err), &err);
    assert_int_equal(count_private(), 1);
    /* It outlives its original: whoever destroys a key must tell those who hold copies. */
    destroy(a.handle);
    must(token_prove(token, copy, KEY_TYPE_EC_P256, a.spki, a.spki_len, &err), &err);
    destroy(copy);
    assert_false(token_prove(token, copy, KEY_TYPE_EC_P256, a.spki, a.spki_len, &err));
}

static void test_copy_and_destroy_refused(void **state)
{
    token_handle copy = 5;
    struct err err;

    (void)state;
    must_fail(token_session_copy(token, 0xdead, &copy, &err), &err, ERR_TOKEN,
              "C_CopyObject: CKR_OBJECT_HANDLE_INVALID");
    assert_int_equal(copy, 5);
    must_fail(token_destroy(token, 0xdead, &err), &err, ERR_TOKEN,
              "C_DestroyObject: CKR_OBJECT_HANDLE_INVALID");
}

/* ---- judging: one template of PKCS#11 with one thing wrong each */

struct flaw {
    CK_ATTRIBUTE_TYPE type;
    bool value;
    const char *word; /* in the error; NULL: nothing is wrong */
};

static const CK_MECHANISM_TYPE just_ecdsa[] = {CKM_ECDSA};
static const CK_MECHANISM_TYPE with_derive[] = {CKM_ECDSA, CKM_ECDH1_DERIVE};

static token_handle make_flawed(const struct flaw *flaw, const CK_MECHANISM_TYPE *list, size_t n)
{
    static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    struct flaw flags[] = {
        {CKA_TOKEN, true, 0},   {CKA_PRIVATE, true, 0},      {CKA_SENSITIVE, true, 0},
        {CKA_SIGN, true, 0},    {CKA_EXTRACTABLE, false, 0}, {CKA_DECRYPT, false, 0},
        {CKA_UNWRAP, false, 0}, {CKA_DERIVE, false, 0},      {CKA_SIGN_RECOVER, false, 0}};
    struct attrs pub = {0}, priv = {0};
    CK_MECHANISM m = {.mechanism = CKM_EC_KEY_PAIR_GEN};
    CK_OBJECT_HANDLE pub_handle, handle;

    attrs_bytes(&pub, CKA_EC_PARAMS, p256, sizeof(p256));
    for (size_t i = 0; i < COUNT(flags); i++)
        attrs_bool(&priv, flags[i].type,
                   flags[i].type == flaw->type ? flaw->value : flags[i].value);
    if (list)
        attrs_bytes(&priv, CKA_ALLOWED_MECHANISMS, list, n * sizeof(*list));
    assert_int_equal(token->p11->C_GenerateKeyPair(token->session, &m, pub.list, pub.count,
                                                   priv.list, priv.count, &pub_handle, &handle),
                     CKR_OK);
    destroy(pub_handle);
    return handle;
}

static const struct flaw flaws[] = {
    {CKA_SIGN, true, NULL},
    {CKA_TOKEN, false, "CKA_TOKEN of the private key is false"},
    {CKA_PRIVATE, false, "CKA_PRIVATE of the private key is false"},
    {CKA_SENSITIVE, false, "CKA_SENSITIVE of the private key is false"},
    {CKA_SIGN, false, "CKA_SIGN of the private key is false"},
    {CKA_EXTRACTABLE, true, "CKA_EXTRACTABLE of the private key is true"},
    {CKA_DECRYPT, true, "CKA_DECRYPT of the private key is true"},
    {CKA_UNWRAP, true, "CKA_UNWRAP of the private key is true"},
    {CKA_DERIVE, true, "CKA_DERIVE of the private key is true"},
    {CKA_SIGN_RECOVER, true, "CKA_SIGN_RECOVER of the private key is true"},
};

static void test_judge_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(flaws); i++) {
        token_handle key = make_flawed(&flaws[i], just_ecdsa, 1);
        struct err err;
        bool ok = token_key_judge(token, key, KEY_TYPE_EC_P256, &err);

        if (flaws[i].word)
            must_fail(ok, &err, ERR_TOKEN, flaws[i].word);
        else
            must(ok, &err);
        destroy(key);
    }
}

static void test_judge_mechanisms(void **state)
{
    token_handle key;
    struct err err;

    (void)state;
    key = make_flawed(&flaws[0], with_derive, 2);
    must_fail(token_key_judge(token, key, KEY_TYPE_EC_P256, &err), &err, ERR_TOKEN,
              "CKM_ECDH1_DERIVE");
    destroy(key);
    key = make_flawed(&flaws[0], with_derive + 1, 1);
    must_fail(token_key_judge(token, key, KEY_TYPE_EC_P256, &err), &err, ERR_TOKEN,
              "CKM_ECDH1_DERIVE");
    destroy(key);
    key = make_flawed(&flaws[0], NULL, 0);
    must_fail(token_key_judge(token, key, KEY_TYPE_EC_P256, &err), &err, ERR_TOKEN,
              "CKA_ALLOWED_MECHANISMS");
    destroy(key);
}

static void test_judge_type(void **state)
{
    struct made a = make("judge", true);
    struct err err;

    (void)state;
    must(token_key_judge(token, a.handle, KEY_TYPE_EC_P256, &err), &err);
    must_fail(token_key_judge(token, a.handle, KEY_TYPE_RSA_2048, &err), &err, ERR_TOKEN,
              "CKA_KEY_TYPE of the private key is CKK_EC");
    must_fail(token_key_judge(token, a.handle, KEY_TYPE_NONE, &err), &err, ERR_INTERNAL, "type");
    must_fail(token_key_judge(token, 0xdead, KEY_TYPE_EC_P256, &err), &err, ERR_TOKEN,
              "CKR_OBJECT_HANDLE_INVALID");
    destroy(a.handle);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_list),
        cmocka_unit_test(test_list_empty_and_foreign),
        cmocka_unit_test(test_find),
        cmocka_unit_test(test_session_copy),
        cmocka_unit_test(test_copy_and_destroy_refused),
        cmocka_unit_test(test_judge_flags),
        cmocka_unit_test(test_judge_mechanisms),
        cmocka_unit_test(test_judge_type),
    };

    return cmocka_run_group_tests_name("token/keys", tests, open_token, close_token);
}
