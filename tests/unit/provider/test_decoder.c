/* SPDX-License-Identifier: Apache-2.0
 *
 * Loading: a reference by both of OpenSSL's ways; what is not ours goes on working; what is ours
 * and broken is refused with a reason. Nothing here asks keyd anything.
 */
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/wr.h"
#include "proto/keys.h"
#include "tests/unit/provider/support.h"

static void assert_keyd_unasked(struct world *w)
{
    assert_int_equal(atomic_load(&w->fake.shared->connections), 0);
}

static void test_by_pem(void **state)
{
    struct world *w = *state;
    static const char *const types[] = {"RSA", "RSA-PSS", "EC", "EC", "ED25519"};
    static const int ids[] = {EVP_PKEY_RSA, EVP_PKEY_RSA_PSS, EVP_PKEY_EC, EVP_PKEY_EC,
                              EVP_PKEY_ED25519};

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_ref(w, i);

        assert_quiet();
        assert_true(EVP_PKEY_is_a(key, types[i]));
        assert_int_equal(EVP_PKEY_get_id(key), ids[i]);
        EVP_PKEY_free(key);
    }
    assert_keyd_unasked(w);
}

static void test_by_store(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        EVP_PKEY *key = load_store(w->ctx, w->keys[i].ref);

        assert_non_null(key);
        assert_quiet();
        assert_int_equal(EVP_PKEY_get_bits(key), EVP_PKEY_get_bits(w->keys[i].key));
        EVP_PKEY_free(key);
    }
    assert_keyd_unasked(w);
}

/* As HAProxy has it: certificate and reference in one file, in either order. */
static void test_beside_certificate(void **state)
{
    struct world *w = *state;
    char *cert = pem_of_cert(w->keys[P256_KEY].cert), both[8192];

    for (int first = 0; first < 2; first++) {
        snprintf(both, sizeof(both), "%s%s%s", first ? w->keys[P256_KEY].ref : cert,
                 "\n# a comment\n", first ? cert : w->keys[P256_KEY].ref);
        EVP_PKEY *key = load_pem(w->ctx, both);
        assert_non_null(key);
        EVP_PKEY_free(key);
        assert_quiet();
        assert_non_null(key = load_store(w->ctx, both));
        EVP_PKEY_free(key);
        assert_quiet();
        BIO *bio = BIO_new_mem_buf(both, -1);
        X509 *read = PEM_read_bio_X509(bio, NULL, NULL, NULL);
        assert_non_null(read);
        X509_free(read);
        BIO_free(bio);
    }
    OPENSSL_free(cert);
}

/* ---- what is not ours */

static void assert_loads(struct world *w, const char *pem)
{
    EVP_PKEY *key = load_pem(w->ctx, pem);

    assert_non_null(key);
    assert_quiet();
    EVP_PKEY_free(key);
    key = load_store(w->ctx, pem);
    assert_non_null(key);
    EVP_PKEY_free(key);
    assert_quiet();
}

static void test_foreign_keys_load(void **state)
{
    struct world *w = *state;

    for (int i = 0; i < TEST_KEYS; i++) {
        char *pem = pem_of_key(w->keys[i].key);

        assert_loads(w, pem);
        OPENSSL_free(pem);
    }
}

/* RSA PRIVATE KEY, EC PRIVATE KEY: the older forms. */
static void test_foreign_traditional_keys_load(void **state)
{
    struct world *w = *state;
    static const int which[] = {RSA_KEY, P256_KEY};

    for (size_t i = 0; i < 2; i++) {
        BIO *bio = BIO_new(BIO_s_mem());
        char *text;

        assert_true(PEM_write_bio_PrivateKey_traditional(bio, w->keys[which[i]].key, NULL, NULL, 0,
                                                         NULL, NULL));
        BIO_write(bio, "", 1);
        BIO_get_mem_data(bio, &text);
        assert_loads(w, text);
        BIO_free(bio);
    }
}

static int give_password(char *buf, int size, int writing, void *user)
{
    (void)writing;
    return snprintf(buf, (size_t)size, "%s", (const char *)user);
}

static void test_foreign_encrypted_key_loads(void **state)
{
    struct world *w = *state;
    BIO *bio = BIO_new(BIO_s_mem());

    assert_true(PEM_write_bio_PKCS8PrivateKey(bio, w->keys[P256_KEY].key, EVP_aes_128_cbc(), NULL,
                                              0, give_password, (void *)"one"));
    EVP_PKEY *key =
        PEM_read_bio_PrivateKey_ex(bio, NULL, give_password, (void *)"one", w->ctx, NULL);
    assert_non_null(key);
    assert_quiet();
    EVP_PKEY_free(key);
    BIO_free(bio);
}

static void test_foreign_rest(void **state)
{
    struct world *w = *state;
    char *cert = pem_of_cert(w->keys[RSA_KEY].cert);

    assert_null(load_pem(w->ctx, cert));
    ERR_clear_error();
    assert_null(load_pem(w->ctx, "no PEM at all\n"));
    ERR_clear_error();
    assert_null(load_pem(w->ctx, ""));
    ERR_clear_error();
    assert_null(load_store(w->ctx, cert));
    ERR_clear_error();
    OPENSSL_free(cert);
}

/* ---- ours, and broken */

struct broken {
    const char *version;
    bool wrong_id;
    size_t id_len;
    size_t after;  /* bytes behind the SEQUENCE */
    size_t inside; /* bytes at its end */
    size_t cut;    /* bytes taken off */
};

static void put(struct wr *w, uint8_t tag, const uint8_t *p, size_t len)
{
    wr_u8(w, tag);
    if (len >= 256) {
        wr_u8(w, 0x82);
        wr_u16(w, (uint16_t)len);
    } else {
        if (len >= 128)
            wr_u8(w, 0x81);
        wr_u8(w, (uint8_t)len);
    }
    wr_bytes(w, p, len);
}

static char *reference(const struct broken *b, const uint8_t *spki, size_t spki_len)
{
    uint8_t id[64] = {0}, body[2048], der[2048];
    struct wr w = wr_of(body, sizeof(body));

    assert_true(key_id_of(spki, spki_len, id));
    id[31] ^= b->wrong_id;
    put(&w, 0x0c, (const uint8_t *)b->version, strlen(b->version));
    put(&w, 0x04, id, b->id_len);
    wr_bytes(&w, spki, spki_len);
    wr_bytes(&w, "\5\0\5\0", b->inside);
    struct wr out = wr_of(der, sizeof(der));
    put(&out, 0x30, body, w.len);
    wr_bytes(&out, "\5\0\5\0", b->after);
    assert_true(wr_ok(&w) && wr_ok(&out));
    return pem_of_der("KEYD KEY REFERENCE", der, out.len - b->cut);
}

static void assert_refused(struct world *w, const char *pem)
{
    assert_null(load_pem(w->ctx, pem));
    assert_reason("broken key reference");
    assert_null(load_store(w->ctx, pem));
    ERR_clear_error();
}

static void test_broken(void **state)
{
    struct world *w = *state;
    static const struct broken rows[] = {
        {"keyd-ref-v2", false, 32, 0, 0, 0},
        {"keyd-ref", false, 32, 0, 0, 0},
        {"", false, 32, 0, 0, 0},
        {"keyd-ref-v1", true, 32, 0, 0, 0},
        {"keyd-ref-v1", false, 31, 0, 0, 0},
        {"keyd-ref-v1", false, 33, 0, 0, 0},
        {"keyd-ref-v1", false, 0, 0, 0, 0},
        {"keyd-ref-v1", false, 32, 1, 0, 0},
        {"keyd-ref-v1", false, 32, 4, 0, 0},
        {"keyd-ref-v1", false, 32, 0, 1, 0},
        {"keyd-ref-v1", false, 32, 0, 4, 0},
        {"keyd-ref-v1", false, 32, 0, 0, 1},
        {"keyd-ref-v1", false, 32, 0, 0, 60},
    };
    static const struct broken whole = {"keyd-ref-v1", false, 32, 0, 0, 0};
    const struct test_key *k = &w->keys[P256_KEY];
    char *pem = reference(&whole, k->spki, k->spki_len);

    assert_string_equal(pem, k->ref); /* the builder builds right what it is not told to break */
    OPENSSL_free(pem);
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        pem = reference(&rows[i], k->spki, k->spki_len);
        assert_refused(w, pem);
        OPENSSL_free(pem);
    }
    pem = pem_of_der("KEYD KEY REFERENCE", k->spki, k->spki_len);
    assert_refused(w, pem); /* a bare SubjectPublicKeyInfo */
    OPENSSL_free(pem);
    assert_keyd_unasked(w);
}

/* The id fits, the key does not: another type, a point off the curve. */
static void test_broken_public_key(void **state)
{
    struct world *w = *state;
    static const struct broken whole = {"keyd-ref-v1", false, 32, 0, 0, 0};
    EVP_PKEY *other = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    uint8_t *spki = NULL, off_curve[256];
    size_t len = (size_t)i2d_PUBKEY(other, &spki);
    char *pem = reference(&whole, spki, len);

    assert_refused(w, pem);
    OPENSSL_free(pem);
    OPENSSL_free(spki);
    EVP_PKEY_free(other);

    const struct test_key *k = &w->keys[P256_KEY];
    memcpy(off_curve, k->spki, k->spki_len);
    off_curve[k->spki_len - 1] ^= 1;
    pem = reference(&whole, off_curve, k->spki_len);
    assert_refused(w, pem);
    OPENSSL_free(pem);
}

static void test_garbage_in_label(void **state)
{
    struct world *w = *state;
    uint8_t noise[1500];

    for (size_t i = 0; i < sizeof(noise); i++)
        noise[i] = (uint8_t)(i * 7 + 48);
    for (size_t len = 1; len < sizeof(noise); len += 97) {
        char *pem = pem_of_der("KEYD KEY REFERENCE", noise, len);

        assert_refused(w, pem);
        OPENSSL_free(pem);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_by_pem),
        TEST(test_by_store),
        TEST(test_beside_certificate),
        TEST(test_foreign_keys_load),
        TEST(test_foreign_traditional_keys_load),
        TEST(test_foreign_encrypted_key_loads),
        TEST(test_foreign_rest),
        TEST(test_broken),
        TEST(test_broken_public_key),
        TEST(test_garbage_in_label),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
