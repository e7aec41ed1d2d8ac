/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/token/adopt.h"
#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
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

/* ---- keys that others made */

static const uint8_t p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t secp256k1[] = {0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a};

static token_handle make_ec(const char *label, const char *id, const uint8_t *curve, size_t len,
                            bool with_public)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_EC_KEY_PAIR_GEN};
    CK_OBJECT_HANDLE public_key, private_key;
    struct attrs pub = {0}, priv = {0};

    attrs_bool(&pub, CKA_TOKEN, with_public);
    attrs_bytes(&pub, CKA_EC_PARAMS, curve, len);
    attrs_bytes(&pub, CKA_ID, id, strlen(id));
    attrs_bool(&priv, CKA_TOKEN, true);
    attrs_bool(&priv, CKA_SIGN, true);
    attrs_bytes(&priv, CKA_LABEL, label, strlen(label));
    attrs_bytes(&priv, CKA_ID, id, strlen(id));
    assert_int_equal(token->p11->C_GenerateKeyPair(token->session, &mechanism, pub.list, pub.count,
                                                   priv.list, priv.count, &public_key,
                                                   &private_key),
                     CKR_OK);
    if (!with_public)
        assert_int_equal(token->p11->C_DestroyObject(token->session, public_key), CKR_OK);
    return private_key;
}

static token_handle make_rsa(const char *label, const char *id, CK_ULONG bits)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_RSA_PKCS_KEY_PAIR_GEN};
    CK_OBJECT_HANDLE public_key, private_key;
    struct attrs pub = {0}, priv = {0};

    attrs_bool(&pub, CKA_TOKEN, false);
    attrs_ulong(&pub, CKA_MODULUS_BITS, bits);
    attrs_bool(&priv, CKA_TOKEN, true);
    attrs_bool(&priv, CKA_SIGN, true);
    attrs_bytes(&priv, CKA_LABEL, label, strlen(label));
    attrs_bytes(&priv, CKA_ID, id, strlen(id));
    assert_int_equal(token->p11->C_GenerateKeyPair(token->session, &mechanism, pub.list, pub.count,
                                                   priv.list, priv.count, &public_key,
                                                   &private_key),
                     CKR_OK);
    assert_int_equal(token->p11->C_DestroyObject(token->session, public_key), CKR_OK);
    return private_key;
}

/* ---- by URI */

static void test_uris(void **state)
{
    static const struct {
        const char *uri;
        size_t found; /* which of the three; 9: none */
        enum err_code code;
        const char *word;
    } cases[] = {
        {"pkcs11:object=one", 0, ERR_NONE, NULL},
        {"pkcs11:id=%62", 1, ERR_NONE, NULL},
        {"pkcs11:object=two;id=%63;type=private", 2, ERR_NONE, NULL},
        {"pkcs11:token=keyd%20test;id=a", 0, ERR_NONE, NULL},
        {"pkcs11:object=two", 9, ERR_AMBIGUOUS, "\"two\" (id 62) and \"two\" (id 63)"},
        {"pkcs11:object=three", 9, ERR_NOT_FOUND, "no private key"},
        {"pkcs11:object=one;id=%62", 9, ERR_NOT_FOUND, "no private key"},
        {"pkcs11:token=other;object=one", 9, ERR_BAD_REQUEST, "another token"},
        {"pkcs11:object=one;type=cert", 9, ERR_BAD_REQUEST, "no private key"},
        {"pkcs11:", 9, ERR_BAD_REQUEST, "object= or id="},
        {"pkcs11:object=one?pin-value=1", 9, ERR_BAD_REQUEST, "'?'"},
        {"pkcs11:object=one?module-path=/x", 9, ERR_BAD_REQUEST, "'?'"},
        {"pkcs11:object=one;shape=round", 9, ERR_BAD_REQUEST, "RFC 7512 has not"},
        {"file:/etc/passwd", 9, ERR_BAD_REQUEST, "no RFC 7512 URI"},
        {"", 9, ERR_BAD_REQUEST, "no RFC 7512 URI"},
    };
    token_handle made[3], found = 0;
    struct err err;

    (void)state;
    made[0] = make_ec("one", "a", p256, sizeof(p256), true);
    made[1] = make_ec("two", "b", p256, sizeof(p256), true);
    made[2] = make_ec("two", "c", p256, sizeof(p256), true);
    for (size_t i = 0; i < COUNT(cases); i++) {
        bool ok = token_find_uri(token, cases[i].uri, &found, &err);

        if (cases[i].found == 9) {
            must_fail(ok, &err, cases[i].code, cases[i].word);
            continue;
        }
        must(ok, &err);
        assert_int_equal(found, made[cases[i].found]);
    }
}

/* ---- types and public halves */

static void test_types(void **state)
{
    enum key_type type;
    struct err err;

    (void)state;
    must(token_private_type(token, make_ec("t", "t1", p256, sizeof(p256), false), &type, &err),
         &err);
    assert_int_equal(type, KEY_TYPE_EC_P256);
    must(token_private_type(token, make_rsa("t", "t2", 2048), &type, &err), &err);
    assert_int_equal(type, KEY_TYPE_RSA_2048);
    must_fail(token_private_type(token, make_rsa("t", "t3", 1024), &type, &err), &err,
              ERR_UNSUPPORTED, "1024 bits");
    must_fail(token_private_type(token, make_ec("t", "t4", secp256k1, sizeof(secp256k1), false),
                                 &type, &err),
              &err, ERR_UNSUPPORTED, "secp256k1");
}

static void test_public_halves(void **state)
{
    token_handle with = make_ec("p", "p1", p256, sizeof(p256), true);
    token_handle without = make_ec("p", "p2", p256, sizeof(p256), false);
    token_handle rsa = make_rsa("p", "p3", 2048);
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    struct err err;

    (void)state;
    must(token_public_half(token, with, KEY_TYPE_EC_P256, spki, &len, &err), &err);
    must(token_prove(token, with, KEY_TYPE_EC_P256, spki, len, &err), &err);
    must_fail(token_public_half(token, without, KEY_TYPE_EC_P256, spki, &len, &err), &err,
              ERR_NOT_FOUND, "no public key");
    must(token_public_half(token, rsa, KEY_TYPE_RSA_2048, spki, &len, &err), &err);
    must(token_prove(token, rsa, KEY_TYPE_RSA_2048, spki, len, &err), &err);
}

/* The public object of that CKA_ID is another key's: a signature tells. */
static void test_wrong_public_half(void **state)
{
    token_handle key = make_ec("w", "w1", p256, sizeof(p256), false), other;
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    struct err err;

    (void)state;
    other = make_ec("w", "w1", p256, sizeof(p256), true);
    must(token_destroy(token, other, &err), &err);
    must_fail(token_public_half(token, key, KEY_TYPE_EC_P256, spki, &len, &err), &err, ERR_TOKEN,
              "not proven by a signature");
}

/* ---- fragments */

static bool is_fragment(token_handle object)
{
    struct token_object *o = NULL;
    bool fragment = false;
    struct err err;

    must(token_read_object(token, object, &o, &err), &err);
    must(token_is_fragment(token, o, &fragment, &err), &err);
    token_objects_free(o, 1);
    return fragment;
}

static void test_what_is_no_fragment(void **state)
{
    CK_OBJECT_HANDLE data;
    struct attrs a = {0};

    (void)state;
    assert_false(is_fragment(make_ec("named", "f1", p256, sizeof(p256), false)));
    assert_false(is_fragment(make_ec("", "f2", p256, sizeof(p256), false)));
    assert_false(is_fragment(make_ec("named", "", p256, sizeof(p256), false)));
    assert_false(is_fragment(make_ec("", "", p256, sizeof(p256), false)));
    assert_false(is_fragment(make_rsa("", "", 1024)));
    attrs_ulong(&a, CKA_CLASS, CKO_DATA);
    attrs_bool(&a, CKA_TOKEN, true);
    assert_int_equal(token->p11->C_CreateObject(token->session, a.list, a.count, &data), CKR_OK);
    assert_false(is_fragment(data));
}

/* Beginnings of an object's file, as a kill leaves them: the counter; CKA_CLASS; CKA_TOKEN. */
static void write_beginning(const char *name, size_t n)
{
    static const uint8_t file[] = {0, 0, 0, 0, 0, 0, 0, 1, /* the counter */
                                   0, 0, 0, 0, 0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 2, /* CKA_CLASS */
                                   0, 0, 0, 0, 0, 0, 0, 3, 0,   0, 0, 0, 0, 0, 0, 1, /* CKA_TOKEN */
                                   0, 0, 0, 0, 0, 0, 0, 1, 0xff};
    char command[400], path[400];

    snprintf(command, sizeof(command), "dirname %s/tokens/*/token.object", state_dir);
    FILE *p = popen(command, "r");
    assert_non_null(p);
    assert_non_null(fgets(path, 200, p));
    pclose(p);
    path[strcspn(path, "\n")] = '\0';
    snprintf(path + strlen(path), 100, "/%s.object", name);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    assert_int_equal(fwrite(file, 1, n, f), n);
    fclose(f);
}

static void test_fragments(void **state)
{
    struct token_object *list;
    size_t count, fragments = 0, unreadable = 0;
    bool fragment;
    struct err err;

    (void)state;
    write_beginning("only-counter", 8);
    write_beginning("only-class", 32);
    write_beginning("class-and-token", 49);
    token_close(token);
    token = fixture_open(URI);
    must(token_list_objects(token, &list, &count, &err), &err);
    for (size_t i = 0; i < count; i++) {
        must(token_is_fragment(token, &list[i], &fragment, &err), &err);
        unreadable += strcmp(list[i].cls, TOKEN_UNREADABLE) == 0;
        fragments += fragment;
        if (fragment)
            must(token_destroy(token, list[i].handle, &err), &err);
    }
    token_objects_free(list, count);
    assert_int_equal(fragments, 2);
    assert_int_equal(unreadable, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_uris),
        cmocka_unit_test(test_types),
        cmocka_unit_test(test_public_halves),
        cmocka_unit_test(test_wrong_public_half),
        cmocka_unit_test(test_what_is_no_fragment),
        cmocka_unit_test(test_fragments),
    };

    return cmocka_run_group_tests(tests, open_token, close_token);
}
