/* SPDX-License-Identifier: Apache-2.0
 *
 * The table of signatures against OpenSSL's own: every AlgorithmIdentifier is byte for byte what
 * the default provider writes.
 */
#include <openssl/core_names.h>
#include <openssl/params.h>
#include <openssl/rsa.h>

#include "clients/provider/sigalg.h"
#include "proto/scheme.h"
#include "tests/unit/provider/support.h"

static size_t openssl_identifier(EVP_PKEY *key, enum digest digest, int padding, uint8_t *out,
                                 size_t size)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, out, size),
        OSSL_PARAM_construct_end(),
    };
    const char *md = digest == DIGEST_NONE ? NULL : digest_name(digest);

    assert_true(EVP_DigestSignInit_ex(ctx, &pctx, md, NULL, NULL, key, NULL) > 0);
    if (padding)
        assert_true(EVP_PKEY_CTX_set_rsa_padding(pctx, padding) > 0);
    if (padding == RSA_PKCS1_PSS_PADDING)
        assert_true(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0);
    assert_true(EVP_PKEY_CTX_get_params(pctx, params) > 0);
    EVP_MD_CTX_free(ctx);
    return params[0].return_size;
}

static const struct {
    enum pkey_kind kind;
    enum digest digest;
    int padding;
    uint16_t scheme;
    int key;
} rows[] = {
    {PKEY_EC, DIGEST_SHA256, 0, 0x0403, P256_KEY},
    {PKEY_EC, DIGEST_SHA384, 0, 0x0503, P384_KEY},
    {PKEY_EC, DIGEST_SHA512, 0, 0x0603, P384_KEY},
    {PKEY_RSA, DIGEST_SHA256, RSA_PKCS1_PADDING, 0x0401, RSA_KEY},
    {PKEY_RSA, DIGEST_SHA384, RSA_PKCS1_PADDING, 0x0501, RSA_KEY},
    {PKEY_RSA, DIGEST_SHA512, RSA_PKCS1_PADDING, 0x0601, RSA_KEY},
    {PKEY_RSA, DIGEST_SHA256, RSA_PKCS1_PSS_PADDING, 0x0804, RSA_KEY},
    {PKEY_RSA, DIGEST_SHA384, RSA_PKCS1_PSS_PADDING, 0x0805, RSA_KEY},
    {PKEY_RSA, DIGEST_SHA512, RSA_PKCS1_PSS_PADDING, 0x0806, RSA_KEY},
    {PKEY_RSA_PSS, DIGEST_SHA256, RSA_PKCS1_PSS_PADDING, 0x0809, PSS_KEY},
    {PKEY_RSA_PSS, DIGEST_SHA384, RSA_PKCS1_PSS_PADDING, 0x080a, PSS_KEY},
    {PKEY_RSA_PSS, DIGEST_SHA512, RSA_PKCS1_PSS_PADDING, 0x080b, PSS_KEY},
    {PKEY_ED25519, DIGEST_NONE, 0, 0x0807, ED25519_KEY},
};

static void test_rows_are_openssls(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const struct sigalg *s = sigalg_find(rows[i].kind, rows[i].digest, rows[i].padding);
        uint8_t want[128];

        assert_non_null(s);
        assert_int_equal(s->scheme, rows[i].scheme);
        size_t len = openssl_identifier(w->keys[rows[i].key].key, rows[i].digest, rows[i].padding,
                                        want, sizeof(want));
        assert_int_equal(s->identifier_len, len);
        assert_memory_equal(s->identifier, want, len);
    }
}

/* Every scheme that keyd makes can be asked for. */
static void test_all_of_keyds_schemes(void **state)
{
    const struct scheme *s;

    (void)state;
    for (size_t i = 0; (s = scheme_at(i)); i++) {
        bool found = false;

        for (size_t j = 0; j < sizeof(rows) / sizeof(*rows); j++)
            found = found || rows[j].scheme == s->code;
        assert_true(found);
    }
}

static void test_no_such_signature(void **state)
{
    (void)state;
    assert_null(sigalg_find(PKEY_EC, DIGEST_NONE, 0));
    assert_null(sigalg_find(PKEY_EC, DIGEST_SHA256, RSA_PKCS1_PADDING));
    assert_null(sigalg_find(PKEY_RSA, DIGEST_SHA256, 0));
    assert_null(sigalg_find(PKEY_RSA, DIGEST_SHA256, RSA_NO_PADDING));
    assert_null(sigalg_find(PKEY_RSA, DIGEST_NONE, RSA_PKCS1_PADDING));
    assert_null(sigalg_find(PKEY_RSA_PSS, DIGEST_SHA256, RSA_PKCS1_PADDING));
    assert_null(sigalg_find(PKEY_ED25519, DIGEST_SHA256, 0));
}

static void test_digest_names(void **state)
{
    static const char *const none[] = {"", "SHA1", "SHA224", "MD5-SHA1", "SHA3-256", "SHA2", "256"};

    (void)state;
    assert_int_equal(digest_by_name("SHA256"), DIGEST_SHA256);
    assert_int_equal(digest_by_name("sha2-256"), DIGEST_SHA256);
    assert_int_equal(digest_by_name("SHA-384"), DIGEST_SHA384);
    assert_int_equal(digest_by_name("SHA2-384"), DIGEST_SHA384);
    assert_int_equal(digest_by_name("sha512"), DIGEST_SHA512);
    assert_int_equal(digest_by_name("2.16.840.1.101.3.4.2.3"), DIGEST_SHA512);
    for (size_t i = 0; i < sizeof(none) / sizeof(*none); i++)
        assert_int_equal(digest_by_name(none[i]), DIGEST_NONE);
    assert_int_equal(digest_size(DIGEST_SHA384), 48);
    assert_int_equal(digest_size(DIGEST_NONE), 0);
    assert_string_equal(digest_name(DIGEST_SHA512), "SHA512");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rows_are_openssls),
        cmocka_unit_test(test_all_of_keyds_schemes),
        cmocka_unit_test(test_no_such_signature),
        cmocka_unit_test(test_digest_names),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
