/* SPDX-License-Identifier: Apache-2.0
 *
 * Signatures: every one that keyd makes verifies under the public key and was asked for by the
 * right scheme and by one request; every other is refused before keyd is asked.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "proto/base/err.h"
#include "tests/unit/provider/support.h"

#define PKCS1 RSA_PKCS1_PADDING
#define PSS   RSA_PKCS1_PSS_PADDING

struct row {
    int key;
    const char *digest;
    int padding; /* 0: not set */
    unsigned scheme;
};

static const struct row rows[] = {
    {P256_KEY, "SHA256", 0, 0x0403},    {P256_KEY, "SHA2-384", 0, 0x0503},
    {P256_KEY, "SHA512", 0, 0x0603},    {P384_KEY, "SHA384", 0, 0x0503},
    {P384_KEY, "SHA256", 0, 0x0403},    {P256_KEY, NULL, 0, 0x0403},
    {RSA_KEY, "SHA256", 0, 0x0401},     {RSA_KEY, "SHA2-256", PKCS1, 0x0401},
    {RSA_KEY, "SHA384", PKCS1, 0x0501}, {RSA_KEY, "SHA512", PKCS1, 0x0601},
    {RSA_KEY, NULL, 0, 0x0401},         {RSA_KEY, "SHA256", PSS, 0x0804},
    {RSA_KEY, "SHA384", PSS, 0x0805},   {RSA_KEY, "SHA512", PSS, 0x0806},
    {PSS_KEY, "SHA256", 0, 0x0809},     {PSS_KEY, "SHA384", PSS, 0x080a},
    {PSS_KEY, "SHA512", PSS, 0x080b},   {ED25519_KEY, NULL, 0, 0x0807},
};

#define ROWS (sizeof(rows) / sizeof(*rows))

static const uint8_t message[] = "the whole message, as long as it may be";

/* What a caller sets after the init; false as soon as one setting is refused. */
static bool set(EVP_PKEY_CTX *pctx, int padding, int salt, const EVP_MD *mgf1)
{
    return (!padding || EVP_PKEY_CTX_set_rsa_padding(pctx, padding) > 0) &&
           (padding != PSS || EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, salt) > 0) &&
           (!mgf1 || EVP_PKEY_CTX_set_rsa_mgf1_md(pctx, mgf1) > 0);
}

static void assert_verifies(const struct world *w, const struct row *r, const uint8_t *m,
                            size_t m_len, const uint8_t *sig, size_t sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    EVP_PKEY *key = w->keys[r->key].key;
    bool pss = r->padding == PSS || r->key == PSS_KEY;

    assert_true(EVP_DigestVerifyInit_ex(ctx, &pctx, r->digest, NULL, NULL, key, NULL) > 0);
    assert_true(set(pctx, pss ? PSS : r->padding, RSA_PSS_SALTLEN_DIGEST, NULL));
    assert_int_equal(EVP_DigestVerify(ctx, sig, sig_len, m, m_len), 1);
    EVP_MD_CTX_free(ctx);
}

static EVP_MD_CTX *begin(struct world *w, EVP_PKEY *key, const struct row *r)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;

    assert_true(EVP_DigestSignInit_ex(ctx, &pctx, r->digest, w->ctx, NULL, key, NULL) > 0);
    assert_true(set(pctx, r->padding, RSA_PSS_SALTLEN_DIGEST, NULL));
    return ctx;
}

static void test_one_shot(void **state)
{
    struct world *w = *state;
    struct fake_shared *s = w->fake.shared;

    for (size_t i = 0; i < ROWS; i++) {
        EVP_PKEY *key = load_ref(w, rows[i].key);
        EVP_MD_CTX *ctx = begin(w, key, &rows[i]);
        uint8_t sig[1024];
        size_t len = 0;
        unsigned before = atomic_load(&s->signs);

        assert_int_equal(EVP_DigestSign(ctx, NULL, &len, message, sizeof(message)), 1);
        assert_int_equal(len, EVP_PKEY_get_size(w->keys[rows[i].key].key));
        assert_int_equal(atomic_load(&s->signs), before); /* a size is no request */
        assert_int_equal(EVP_DigestSign(ctx, sig, &len, message, sizeof(message)), 1);
        assert_quiet();
        assert_int_equal(atomic_load(&s->signs), before + 1);
        assert_int_equal(atomic_load(&s->scheme), rows[i].scheme);
        assert_verifies(w, &rows[i], message, sizeof(message), sig, len);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
    }
}

/* update, copy, final: the command-line tools. The copy goes its own way. */
static void test_streaming(void **state)
{
    struct world *w = *state;

    for (size_t i = 0; i < ROWS; i++) {
        if (rows[i].key == ED25519_KEY)
            continue; /* one shot only, as OpenSSL's */
        EVP_PKEY *key = load_ref(w, rows[i].key);
        EVP_MD_CTX *ctx = begin(w, key, &rows[i]), *copy = EVP_MD_CTX_new();
        uint8_t sig[1024], other[sizeof(message)];
        size_t len = sizeof(sig);

        memcpy(other, message, sizeof(message));
        other[20] ^= 1;
        assert_int_equal(EVP_DigestSignUpdate(ctx, message, 20), 1);
        assert_int_equal(EVP_MD_CTX_copy_ex(copy, ctx), 1);
        assert_int_equal(EVP_DigestSignUpdate(ctx, message + 20, sizeof(message) - 20), 1);
        assert_int_equal(EVP_DigestSignUpdate(copy, other + 20, sizeof(other) - 20), 1);
        assert_int_equal(EVP_DigestSignFinal(ctx, NULL, &len), 1);
        assert_int_equal(EVP_DigestSignFinal(ctx, sig, &len), 1);
        assert_verifies(w, &rows[i], message, sizeof(message), sig, len);
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
        len = sizeof(sig);
        assert_int_equal(EVP_DigestSignFinal(copy, sig, &len), 1); /* outlives key and original */
        assert_verifies(w, &rows[i], other, sizeof(other), sig, len);
        assert_quiet();
        EVP_MD_CTX_free(copy);
    }
}

static void test_reinit(void **state)
{
    struct world *w = *state;
    const struct row *r = &rows[12]; /* RSA-PSS, SHA-384 */
    EVP_PKEY *key = load_ref(w, r->key);
    EVP_MD_CTX *ctx = begin(w, key, r);
    uint8_t sig[1024];
    size_t len = sizeof(sig);

    assert_int_equal(EVP_DigestSignUpdate(ctx, "left over", 9), 1);
    assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, NULL, NULL, NULL, NULL, NULL), 1);
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, message, sizeof(message)), 1);
    assert_quiet();
    assert_verifies(w, r, message, sizeof(message), sig, len);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

/* A message of the size of a large CSR, in pieces, and one over the cap. */
static void test_long_messages(void **state)
{
    struct world *w = *state;
    static uint8_t big[(512 << 10) + 1];
    const struct row *r = &rows[0];
    EVP_PKEY *key = load_ref(w, r->key);
    EVP_MD_CTX *ctx = begin(w, key, r);
    uint8_t sig[1024];
    size_t len = sizeof(sig);

    memset(big, 'x', sizeof(big));
    for (size_t at = 0; at < 512u << 10; at += 4096)
        assert_int_equal(EVP_DigestSignUpdate(ctx, big + at, 4096), 1);
    assert_int_equal(EVP_DigestSignUpdate(ctx, big, 1), 0);
    assert_reason("message too large");
    assert_int_equal(EVP_DigestSignFinal(ctx, sig, &len), 1);
    assert_quiet();
    assert_verifies(w, r, big, 512u << 10, sig, len);
    EVP_MD_CTX_free(ctx);

    ctx = begin(w, key, r);
    len = sizeof(sig);
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, big, sizeof(big)), 0);
    assert_reason("message too large");
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void test_identifier(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, RSA_KEY);
    EVP_MD_CTX *ctx = begin(w, key, &rows[11]); /* PSS, SHA-256 */
    uint8_t der[128];
    char digest[20], padding[20];
    int pad = 0, salt = 0;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, der, sizeof(der)),
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, digest, sizeof(digest)),
        OSSL_PARAM_construct_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, padding, sizeof(padding)),
        OSSL_PARAM_construct_end(),
    };
    EVP_PKEY_CTX *pctx = EVP_MD_CTX_get_pkey_ctx(ctx);

    assert_true(EVP_PKEY_CTX_get_params(pctx, params) > 0);
    assert_int_equal(params[0].return_size, 67);
    assert_string_equal(digest, "SHA256");
    assert_string_equal(padding, "pss");
    assert_true(EVP_PKEY_CTX_get_rsa_padding(pctx, &pad) > 0);
    assert_int_equal(pad, PSS);
    assert_true(EVP_PKEY_CTX_get_rsa_pss_saltlen(pctx, &salt) > 0);
    assert_int_equal(salt, RSA_PSS_SALTLEN_DIGEST);
    assert_quiet();
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

/* ---- refused here */

static void test_digest_refused(void **state)
{
    struct world *w = *state;
    static const struct {
        int key;
        const char *digest;
    } bad[] = {
        {P256_KEY, "SHA1"}, {P256_KEY, "SHA224"},    {P256_KEY, "SHA3-256"},
        {RSA_KEY, "SHA1"},  {RSA_KEY, "MD5-SHA1"},   {RSA_KEY, "SHA512-256"},
        {PSS_KEY, "SHA1"},  {ED25519_KEY, "SHA256"}, {ED25519_KEY, "SHA512"},
    };

    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        EVP_PKEY *key = load_ref(w, bad[i].key);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();

        assert_int_equal(EVP_DigestSignInit_ex(ctx, NULL, bad[i].digest, w->ctx, NULL, key, NULL),
                         0);
        assert_reason("digest not supported");
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
    }
    assert_int_equal(atomic_load(&w->fake.shared->connections), 0);
}

static void test_padding_and_salt(void **state)
{
    struct world *w = *state;
    const struct {
        int key;
        int padding, salt;
        const EVP_MD *mgf1;
        const char *reason; /* NULL: taken */
    } all[] = {
        {RSA_KEY, PSS, RSA_PSS_SALTLEN_DIGEST, NULL, NULL},
        {RSA_KEY, PSS, 32, NULL, NULL},
        {RSA_KEY, PSS, 32, EVP_sha256(), NULL},
        {RSA_KEY, PKCS1, 0, NULL, NULL},
        {PSS_KEY, PSS, 32, NULL, NULL},
        {RSA_KEY, PSS, 20, NULL, "PSS salt must be as long as the digest"},
        {RSA_KEY, PSS, 0, NULL, "PSS salt must be as long as the digest"},
        {RSA_KEY, PSS, 48, NULL, "PSS salt must be as long as the digest"},
        {RSA_KEY, PSS, RSA_PSS_SALTLEN_MAX, NULL, "PSS salt must be as long as the digest"},
        {RSA_KEY, PSS, RSA_PSS_SALTLEN_AUTO, NULL, "PSS salt must be as long as the digest"},
        {RSA_KEY, PSS, 32, EVP_sha1(), "digest not supported"},
        {RSA_KEY, PSS, 32, EVP_sha512(), "MGF1 digest must be the signature's digest"},
        {RSA_KEY, RSA_NO_PADDING, 0, NULL, "padding not supported"},
        {RSA_KEY, RSA_X931_PADDING, 0, NULL, "padding not supported"},
        {RSA_KEY, RSA_PKCS1_OAEP_PADDING, 0, NULL, "padding not supported"},
        {PSS_KEY, PKCS1, 0, NULL, "padding not supported"},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        EVP_PKEY *key = load_ref(w, all[i].key);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx;

        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", w->ctx, NULL, key, NULL), 1);
        bool taken = set(pctx, all[i].padding, all[i].salt, all[i].mgf1);
        assert_int_equal(taken, all[i].reason == NULL);
        if (all[i].reason)
            assert_reason(all[i].reason);
        else
            assert_quiet();
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
    }
    assert_int_equal(atomic_load(&w->fake.shared->connections), 0);
}

/* As `-sigopt` sets it. */
static void test_padding_in_words(void **state)
{
    struct world *w = *state;
    static const struct {
        const char *name, *value;
        bool taken;
    } all[] = {
        {"rsa_pss_saltlen", "digest", true}, {"rsa_pss_saltlen", "32", true},
        {"rsa_pss_saltlen", "max", false},   {"rsa_pss_saltlen", "auto", false},
        {"rsa_pss_saltlen", "33", false},    {"rsa_pss_saltlen", "32x", false},
        {"rsa_mgf1_md", "sha256", true},     {"rsa_mgf1_md", "sha384", false},
    };

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        EVP_PKEY *key = load_ref(w, RSA_KEY);
        EVP_MD_CTX *ctx = EVP_MD_CTX_new();
        EVP_PKEY_CTX *pctx;

        assert_int_equal(EVP_DigestSignInit_ex(ctx, &pctx, "SHA256", w->ctx, NULL, key, NULL), 1);
        assert_true(EVP_PKEY_CTX_ctrl_str(pctx, "rsa_padding_mode", "pss") > 0);
        assert_int_equal(EVP_PKEY_CTX_ctrl_str(pctx, all[i].name, all[i].value) > 0, all[i].taken);
        ERR_clear_error();
        EVP_MD_CTX_free(ctx);
        EVP_PKEY_free(key);
    }
}

static void test_bare_digest_is_not_offered(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, P256_KEY);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(w->ctx, key, NULL);

    assert_true(EVP_PKEY_sign_init(ctx) <= 0);
    assert_true(EVP_PKEY_decrypt_init(ctx) <= 0);
    assert_true(EVP_PKEY_derive_init(ctx) <= 0);
    ERR_clear_error();
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
}

static void test_room_too_small(void **state)
{
    struct world *w = *state;
    EVP_PKEY *key = load_ref(w, RSA_KEY);
    EVP_MD_CTX *ctx = begin(w, key, &rows[6]);
    uint8_t sig[1024];
    size_t len = 255;

    memset(sig, 0x5a, sizeof(sig));
    assert_int_equal(EVP_DigestSign(ctx, sig, &len, message, sizeof(message)), 0);
    assert_reason("room for the signature too small");
    for (size_t i = 0; i < sizeof(sig); i++)
        assert_int_equal(sig[i], 0x5a);
    EVP_MD_CTX_free(ctx);
    EVP_PKEY_free(key);
}

/* ---- refused by keyd */

static void test_keyd_refuses(void **state)
{
    struct world *w = *state;
    static const struct {
        int code;
        const char *reason;
    } all[] = {
        {ERR_DENIED, "keyd refused: not allowed to use this key"},
        {ERR_NOT_FOUND, "keyd refused: no such key"},
        {ERR_BAD_SHAPE, "keyd refused: message of no shape this key may sign"},
        {ERR_BAD_SCHEME, "keyd refused: signature scheme does not fit"},
        {ERR_INTERNAL, "keyd failed: internal error"},
        {ERR_TOKEN, "keyd failed: the token failed"},
    };
    EVP_PKEY *key = load_ref(w, P256_KEY);

    for (size_t i = 0; i < sizeof(all) / sizeof(*all); i++) {
        EVP_MD_CTX *ctx = begin(w, key, &rows[0]);
        uint8_t sig[1024];
        size_t len = sizeof(sig);
        const char *data;
        int flags;

        atomic_store(&w->fake.shared->fail_code, all[i].code);
        assert_int_equal(EVP_DigestSign(ctx, sig, &len, message, sizeof(message)), 0);
        ERR_peek_error_all(NULL, NULL, NULL, &data, &flags);
        assert_true(flags & ERR_TXT_STRING);
        assert_non_null(strstr(data, "told to refuse"));
        assert_reason(all[i].reason);
        atomic_store(&w->fake.shared->fail_code, 0);
        len = sizeof(sig);
        assert_int_equal(EVP_DigestSign(ctx, sig, &len, message, sizeof(message)), 1);
        assert_quiet();
        EVP_MD_CTX_free(ctx);
    }
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_one_shot),
        TEST(test_streaming),
        TEST(test_reinit),
        TEST(test_long_messages),
        TEST(test_identifier),
        TEST(test_digest_refused),
        TEST(test_padding_and_salt),
        TEST(test_padding_in_words),
        TEST(test_bare_digest_is_not_offered),
        TEST(test_room_too_small),
        TEST(test_keyd_refuses),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
