/* SPDX-License-Identifier: Apache-2.0
 *
 * Every scheme with every type of key, signed in the token and verified outside; and what must not
 * verify, or must not even be begun.
 */
#include "keyd/token/sign.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "keyd/token/internal.h"
#include "tests/mock-token/lies.h"
#include "tests/unit/token/fixture.h"

static struct lies *lies;
static struct token *token;
static struct {
    enum key_type type;
    token_handle handle;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
} keys[] = {{.type = KEY_TYPE_EC_P256},
            {.type = KEY_TYPE_EC_P384},
            {.type = KEY_TYPE_ED25519},
            {.type = KEY_TYPE_RSA_2048},
            {.type = KEY_TYPE_RSA_3072}};

static int open_token(void **state)
{
    void *lib = dlopen(MOCK_MODULE, RTLD_NOW);
    struct err err;

    assert_non_null(lib);
    lies = dlsym(lib, "lies");
    fixture_make(state);
    token = fixture_open(MOCK_URI);
    for (size_t i = 0; i < COUNT(keys); i++)
        must(token_generate(token, keys[i].type, (uint8_t[]){(uint8_t)i}, 1, "", false,
                            &keys[i].handle, keys[i].spki, &keys[i].spki_len, &err),
             &err);
    return 0;
}

static int close_token(void **state)
{
    token_close(token);
    return fixture_remove(state);
}

static void test_schemes_and_types(void **state)
{
    size_t pairs = 0;

    (void)state;
    for (size_t s = 0; scheme_at(s); s++) {
        for (size_t k = 0; k < COUNT(keys); k++) {
            const struct scheme *scheme = scheme_at(s);
            uint8_t message[146], sig[SIGNATURE_MAX];
            size_t len = sizeof(sig);
            struct err err;

            if (!scheme_fits(scheme, keys[k].type, PURPOSE_TLS12_SERVER, &err))
                continue;
            memset(message, 0x20 + (int)s, sizeof(message));
            must(token_sign(token, keys[k].handle, scheme, message, sizeof(message), sig, &len,
                            &err),
                 &err);
            must(token_verify(keys[k].spki, keys[k].spki_len, scheme, message, sizeof(message), sig,
                              len, &err),
                 &err);
            message[7] ^= 1;
            must_fail(token_verify(keys[k].spki, keys[k].spki_len, scheme, message, sizeof(message),
                                   sig, len, &err),
                      &err, ERR_TOKEN, "does not verify");
            pairs++;
        }
    }
    assert_int_equal(pairs, 2 * 3 + 1 + 2 * 6);
}

/* What the token gives as r || s, and the Ecdsa-Sig-Value that it must become (X.690 8.3: an
 * INTEGER is as short as can be, and positive). */
static const struct {
    uint8_t raw[100];
    size_t raw_len;
    uint8_t der[16];
    size_t der_len; /* 0: refused */
} encodings[] = {
    {{0x01, 0x02}, 2, {0x30, 6, 2, 1, 0x01, 2, 1, 0x02}, 8},
    {{0x7f, 0x80}, 2, {0x30, 7, 2, 1, 0x7f, 2, 2, 0x00, 0x80}, 9},
    {{0x00, 0x01, 0x00, 0x80}, 4, {0x30, 7, 2, 1, 0x01, 2, 2, 0x00, 0x80}, 9},
    {{0xff, 0x00, 0x00, 0x7f}, 4, {0x30, 8, 2, 3, 0x00, 0xff, 0x00, 2, 1, 0x7f}, 10},
    {{0x00, 0x00, 0x00, 0x00}, 4, {0x30, 6, 2, 1, 0x00, 2, 1, 0x00}, 8},
    {{1, 2, 3}, 3, {0}, 0}, /* no two halves */
    {{1}, 98, {0}, 0},      /* longer than P-384's */
};

static void test_ecdsa_encoding(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(encodings); i++) {
        uint8_t sig[SIGNATURE_MAX] = {0};
        size_t len = sizeof(sig);
        struct err err;

        memcpy(lies->signature, encodings[i].raw, sizeof(encodings[i].raw));
        lies->signature_len = encodings[i].raw_len;
        bool ok =
            token_sign(token, keys[0].handle, scheme_by_code(0x0403), sig, 0, sig, &len, &err);
        lies->signature_len = 0;
        if (encodings[i].der_len == 0) {
            must_fail(ok, &err, ERR_TOKEN, "C_Sign");
            continue;
        }
        must(ok, &err);
        assert_int_equal(len, encodings[i].der_len);
        assert_memory_equal(sig, encodings[i].der, len);
    }
}

/* And of a real key: libcrypto reads DER strictly. */
static void test_ecdsa_verifies(void **state)
{
    (void)state;
    for (uint32_t i = 0; i < 40; i++) {
        uint8_t sig[SIGNATURE_MAX] = {0};
        size_t len = sizeof(sig);
        struct err err;

        must(token_sign(token, keys[i % 2].handle, scheme_by_code(0x0403), (uint8_t *)&i, sizeof(i),
                        sig, &len, &err),
             &err);
        must(token_verify(keys[i % 2].spki, keys[i % 2].spki_len, scheme_by_code(0x0403),
                          (uint8_t *)&i, sizeof(i), sig, len, &err),
             &err);
    }
}

/* What the token itself must refuse: the wall below ours. */
static void test_forbidden_mechanisms(void **state)
{
    static const struct {
        size_t key;
        CK_MECHANISM_TYPE mechanism;
    } cases[] = {
        {3, CKM_RSA_PKCS},      {3, CKM_RSA_X_509},         {3, CKM_RSA_PKCS_PSS},
        {3, CKM_SHA1_RSA_PKCS}, {3, CKM_SHA1_RSA_PKCS_PSS}, {3, CKM_MD5_RSA_PKCS},
        {0, CKM_EDDSA},         {0, CKM_SHA256_RSA_PKCS},   {2, CKM_ECDSA},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        CK_MECHANISM m = {.mechanism = cases[i].mechanism};

        if (token->p11->C_SignInit(token->session, &m, keys[cases[i].key].handle) == CKR_OK)
            fail_msg("mechanism 0x%lx was allowed", cases[i].mechanism);
    }
    for (size_t i = 0; i < COUNT(cases); i++) {
        CK_MECHANISM m = {.mechanism = cases[i].mechanism};
        CK_OBJECT_HANDLE key = keys[cases[i].key].handle;

        assert_int_not_equal(token->p11->C_DecryptInit(token->session, &m, key), CKR_OK);
        assert_int_not_equal(token->p11->C_SignRecoverInit(token->session, &m, key), CKR_OK);
    }
}

static void test_wrong_scheme_for_key(void **state)
{
    uint8_t sig[SIGNATURE_MAX] = {0};
    struct err err;

    (void)state;
    size_t len = sizeof(sig);
    assert_false(
        token_sign(token, keys[0].handle, scheme_by_code(0x0804), sig, 0, sig, &len, &err));
    len = sizeof(sig);
    assert_false(
        token_sign(token, keys[3].handle, scheme_by_code(0x0403), sig, 0, sig, &len, &err));
    len = sizeof(sig);
    assert_false(token_sign(token, 0xdead, scheme_by_code(0x0403), sig, 0, sig, &len, &err));
    must_fail(
        token_verify(keys[0].spki, keys[0].spki_len, scheme_by_code(0x0804), sig, 0, sig, 0, &err),
        &err, ERR_TOKEN, "rsa_pss_rsae_sha256");
    /* None of it harms the session. */
    must(token_prove(token, keys[0].handle, keys[0].type, keys[0].spki, keys[0].spki_len, &err),
         &err);
}

static void test_prove(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(keys); i++)
        must(token_prove(token, keys[i].handle, keys[i].type, keys[i].spki, keys[i].spki_len, &err),
             &err);
    must_fail(
        token_prove(token, keys[0].handle, KEY_TYPE_NONE, keys[0].spki, keys[0].spki_len, &err),
        &err, ERR_INTERNAL, "type");
}

static void test_prove_refuses(void **state)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    token_handle other;
    struct err err;

    (void)state;
    must(token_generate(token, KEY_TYPE_EC_P256, NULL, 0, "", false, &other, spki, &spki_len, &err),
         &err);
    must_fail(token_prove(token, keys[0].handle, KEY_TYPE_EC_P256, spki, spki_len, &err), &err,
              ERR_TOKEN, "does not verify");
    must_fail(
        token_prove(token, keys[0].handle, KEY_TYPE_EC_P256, keys[3].spki, keys[3].spki_len, &err),
        &err, ERR_TOKEN, "ecdsa_secp256r1_sha256");
    must_fail(token_prove(token, keys[0].handle, KEY_TYPE_EC_P256, keys[0].spki,
                          keys[0].spki_len - 1, &err),
              &err, ERR_BAD_REQUEST, "SubjectPublicKeyInfo");
    memcpy(spki, keys[0].spki, keys[0].spki_len);
    spki[keys[0].spki_len] = 0;
    must_fail(
        token_prove(token, keys[0].handle, KEY_TYPE_EC_P256, spki, keys[0].spki_len + 1, &err),
        &err, ERR_BAD_REQUEST, "SubjectPublicKeyInfo");
    lies->bad_signatures = true;
    must_fail(
        token_prove(token, keys[0].handle, KEY_TYPE_EC_P256, keys[0].spki, keys[0].spki_len, &err),
        &err, ERR_TOKEN, "does not verify");
    lies->bad_signatures = false;
    must(token_destroy(token, other, &err), &err);
    assert_false(token_prove(token, other, KEY_TYPE_EC_P256, keys[0].spki, keys[0].spki_len, &err));
}

static double now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

/* One C_SignInit a signature, no search, and about the price of the bare calls: printed, and held
 * to a bound so wide that only a defect breaks it. */
static void test_cost(void **state)
{
    enum { N = 200 };
    CK_MECHANISM m = {.mechanism = CKM_ECDSA};
    uint8_t hash[32] = {1}, sig[SIGNATURE_MAX];
    struct err err;

    (void)state;
    double start = now_us();
    for (int i = 0; i < N; i++) {
        CK_ULONG len = sizeof(sig);

        token->p11->C_SignInit(token->session, &m, keys[0].handle);
        token->p11->C_Sign(token->session, hash, sizeof(hash), sig, &len);
    }
    double bare = (now_us() - start) / N;
    *lies = (struct lies){0};
    start = now_us();
    for (int i = 0; i < N; i++) {
        size_t len = sizeof(sig);

        must(token_sign(token, keys[0].handle, scheme_by_code(0x0403), hash, sizeof(hash), sig,
                        &len, &err),
             &err);
    }
    double ours = (now_us() - start) / N;
    print_message("P-256: %.1f us by token_sign, %.1f us by the bare calls\n", ours, bare);
    assert_int_equal(lies->sign_inits, N);
    assert_int_equal(lies->finds, 0);
    assert_true(ours < 10 * bare + 1000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_schemes_and_types),    cmocka_unit_test(test_ecdsa_encoding),
        cmocka_unit_test(test_ecdsa_verifies),       cmocka_unit_test(test_forbidden_mechanisms),
        cmocka_unit_test(test_wrong_scheme_for_key), cmocka_unit_test(test_prove),
        cmocka_unit_test(test_prove_refuses),        cmocka_unit_test(test_cost),
    };

    return cmocka_run_group_tests_name("token/sign", tests, open_token, close_token);
}
