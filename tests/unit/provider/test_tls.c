/* SPDX-License-Identifier: Apache-2.0
 *
 * Whole handshakes in one process, server with a key reference against an ordinary client: both
 * versions, every key type, one request each, and what the client sees when keyd is away.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proto/base/err.h"
#include "tests/unit/provider/support.h"

struct ends {
    SSL_CTX *server_ctx, *client_ctx;
    SSL *server, *client;
};

struct shape {
    int key;
    int version;
    const char *ciphers; /* of TLS 1.2; NULL: the default */
    const char *sigalgs; /* of the client; NULL: the default */
    unsigned scheme;     /* the one that keyd is asked for */
};

static SSL_CTX *server_of(struct world *w, const struct shape *s)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(w->ctx, NULL, TLS_server_method());
    X509 *cert = load_cert(w, s->key);
    EVP_PKEY *key = load_ref(w, s->key);

    assert_int_equal(SSL_CTX_use_certificate(ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(ctx, key), 1);
    assert_int_equal(SSL_CTX_check_private_key(ctx), 1);
    assert_quiet();
    X509_free(cert);
    EVP_PKEY_free(key);
    return ctx;
}

static SSL_CTX *client_of(struct world *w, const struct shape *s)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());

    SSL_CTX_set_min_proto_version(ctx, s->version);
    SSL_CTX_set_max_proto_version(ctx, s->version);
    if (s->ciphers)
        assert_int_equal(SSL_CTX_set_cipher_list(ctx, s->ciphers), 1);
    if (s->sigalgs)
        assert_int_equal(SSL_CTX_set1_sigalgs_list(ctx, s->sigalgs), 1);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), w->keys[s->key].cert);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    return ctx;
}

static void connect_ends(struct ends *e)
{
    BIO *a, *b;

    e->server = SSL_new(e->server_ctx);
    e->client = SSL_new(e->client_ctx);
    assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(e->server, a, a);
    SSL_set_bio(e->client, b, b);
    SSL_set_accept_state(e->server);
    SSL_set_connect_state(e->client);
}

static void begin(struct ends *e, struct world *w, const struct shape *s)
{
    e->server_ctx = server_of(w, s);
    e->client_ctx = client_of(w, s);
    connect_ends(e);
}

static void disconnect(struct ends *e)
{
    SSL_free(e->server);
    SSL_free(e->client);
}

static void end(struct ends *e)
{
    disconnect(e);
    SSL_CTX_free(e->server_ctx);
    SSL_CTX_free(e->client_ctx);
}

/* True: go on (the end waits for the other one, or is done). */
static bool step(SSL *ssl)
{
    int ret = SSL_do_handshake(ssl);

    return ret == 1 || SSL_get_error(ssl, ret) == SSL_ERROR_WANT_READ;
}

static bool shake(struct ends *e)
{
    for (int i = 0; i < 10; i++) {
        if (!step(e->client) || !step(e->server))
            return false;
        if (SSL_is_init_finished(e->client) && SSL_is_init_finished(e->server))
            return true;
    }
    return false;
}

static const struct shape shapes[] = {
    {P256_KEY, TLS1_3_VERSION, NULL, NULL, 0x0403},
    {P384_KEY, TLS1_3_VERSION, NULL, NULL, 0x0503},
    {ED25519_KEY, TLS1_3_VERSION, NULL, NULL, 0x0807},
    {RSA_KEY, TLS1_3_VERSION, NULL, NULL, 0x0804},
    {RSA_KEY, TLS1_3_VERSION, NULL, "rsa_pss_rsae_sha384", 0x0805},
    {RSA_KEY, TLS1_3_VERSION, NULL, "rsa_pss_rsae_sha512", 0x0806},
    {PSS_KEY, TLS1_3_VERSION, NULL, NULL, 0x0809},
    {P256_KEY, TLS1_2_VERSION, "ECDHE", NULL, 0x0403},
    {P384_KEY, TLS1_2_VERSION, "ECDHE", NULL, 0},
    {P256_KEY, TLS1_2_VERSION, "ECDHE", "ECDSA+SHA384", 0x0503},
    {P256_KEY, TLS1_2_VERSION, "ECDHE", "ECDSA+SHA512", 0x0603},
    {ED25519_KEY, TLS1_2_VERSION, "ECDHE", NULL, 0x0807},
    {RSA_KEY, TLS1_2_VERSION, "ECDHE", NULL, 0x0804},
    {RSA_KEY, TLS1_2_VERSION, "ECDHE", "RSA+SHA256", 0x0401},
    {RSA_KEY, TLS1_2_VERSION, "ECDHE", "RSA+SHA384", 0x0501},
    {RSA_KEY, TLS1_2_VERSION, "ECDHE", "RSA+SHA512", 0x0601},
};

static void test_handshakes(void **state)
{
    struct world *w = *state;
    struct fake_shared *s = w->fake.shared;

    for (size_t i = 0; i < sizeof(shapes) / sizeof(*shapes); i++) {
        struct ends e;
        unsigned before = atomic_load(&s->signs);

        begin(&e, w, &shapes[i]);
        assert_true(shake(&e));
        assert_quiet();
        assert_int_equal(SSL_version(e.client), shapes[i].version);
        assert_int_equal(SSL_get_verify_result(e.client), X509_V_OK);
        assert_int_equal(atomic_load(&s->signs), before + 1);
        if (shapes[i].scheme)
            assert_int_equal(atomic_load(&s->scheme), shapes[i].scheme);
        end(&e);
    }
}

/* The groups of key exchange need keys of the default provider beside ours. */
static void test_groups(void **state)
{
    struct world *w = *state;
    static const char *const groups[] = {"X25519", "P-256", "P-384", "P-521", "X448"};

    for (size_t i = 0; i < sizeof(groups) / sizeof(*groups); i++)
        for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
            struct shape s = {P256_KEY, version, "ECDHE", NULL, 0};
            struct ends e;
            char both[32];

            /* TLS 1.2 wants the certificate's curve among the client's (RFC 8422 5.1.1). */
            snprintf(both, sizeof(both), "%s%s", groups[i], i == 1 ? "" : ":P-256");
            begin(&e, w, &s);
            assert_int_equal(SSL_set1_groups_list(e.client, both), 1);
            assert_int_equal(SSL_set1_groups_list(e.server, groups[i]), 1);
            assert_true(shake(&e));
            assert_quiet();
            end(&e);
        }
}

static void test_resumption_asks_nothing(void **state)
{
    struct world *w = *state;
    struct fake_shared *s = w->fake.shared;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct shape shape = {P256_KEY, version, "ECDHE", NULL, 0};
        struct ends e;
        char byte;

        begin(&e, w, &shape);
        assert_true(shake(&e));
        SSL_read(e.client, &byte, 1); /* takes the tickets */
        SSL_SESSION *session = SSL_get1_session(e.client);
        SSL_shutdown(e.client);
        SSL_shutdown(e.server);
        disconnect(&e);
        ERR_clear_error();

        unsigned before = atomic_load(&s->signs);
        connect_ends(&e);
        assert_int_equal(SSL_set_session(e.client, session), 1);
        assert_true(shake(&e));
        assert_int_equal(SSL_session_reused(e.client), 1);
        assert_int_equal(atomic_load(&s->signs), before);
        assert_quiet();
        SSL_SESSION_free(session);
        end(&e);
    }
}

/* keyd never decrypts: RSA key exchange has no shape here. */
static void test_rsa_key_exchange_fails(void **state)
{
    struct world *w = *state;
    struct shape s = {RSA_KEY, TLS1_2_VERSION, "kRSA", NULL, 0};
    struct ends e;

    begin(&e, w, &s);
    assert_false(shake(&e));
    assert_int_equal(atomic_load(&w->fake.shared->signs), 0);
    ERR_clear_error();
    end(&e);
}

/* ---- when it fails */

static void assert_fails_with(struct ends *e, const char *reason)
{
    ERR_clear_error();
    assert_true(step(e->client));
    assert_false(step(e->server));
    assert_reason(reason);
    step(e->client); /* reads the alert */
    assert_int_equal(ERR_GET_REASON(ERR_peek_error()), SSL_R_TLSV1_ALERT_INTERNAL_ERROR);
    ERR_clear_error();
}

/* One server context all the way: nothing of the failure stays. */
static void test_keyd_away_then_back(void **state)
{
    struct world *w = *state;

    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct shape s = {P256_KEY, version, "ECDHE", NULL, 0};
        struct ends e;
        time_t begun = time(NULL);

        fake_stop(&w->fake);
        begin(&e, w, &s);
        assert_fails_with(&e, "keyd is not available");
        assert_true(time(NULL) - begun <= 3);
        disconnect(&e);

        fake_start(&w->fake);
        connect_ends(&e);
        assert_true(shake(&e));
        assert_quiet();
        end(&e);
    }
}

static void test_keyd_refuses(void **state)
{
    struct world *w = *state;
    struct shape s = {P256_KEY, TLS1_3_VERSION, NULL, NULL, 0};
    struct ends e;

    begin(&e, w, &s);
    atomic_store(&w->fake.shared->fail_code, ERR_DENIED);
    assert_fails_with(&e, "keyd refused: not allowed to use this key");
    atomic_store(&w->fake.shared->fail_code, 0);
    disconnect(&e);
    connect_ends(&e);
    assert_true(shake(&e));
    assert_quiet();
    end(&e);
}

/* A signature with a wrong bit is the client's to find. */
static void test_wrong_signature(void **state)
{
    struct world *w = *state;
    struct shape s = {P256_KEY, TLS1_3_VERSION, NULL, NULL, 0};
    struct ends e;

    begin(&e, w, &s);
    atomic_store(&w->fake.shared->garbage, true);
    assert_false(shake(&e));
    ERR_clear_error();
    atomic_store(&w->fake.shared->garbage, false);
    disconnect(&e);
    connect_ends(&e);
    assert_true(shake(&e));
    assert_quiet();
    end(&e);
}

/* TLS 1.3 client authentication by reference. */
static void test_client_certificate(void **state)
{
    struct world *w = *state;
    struct ends e;

    e.server_ctx = SSL_CTX_new(TLS_server_method());
    SSL_CTX_use_certificate(e.server_ctx, w->keys[RSA_KEY].cert);
    SSL_CTX_use_PrivateKey(e.server_ctx, w->keys[RSA_KEY].key);
    X509_STORE_add_cert(SSL_CTX_get_cert_store(e.server_ctx), w->keys[P256_KEY].cert);
    SSL_CTX_set_verify(e.server_ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    e.client_ctx = SSL_CTX_new_ex(w->ctx, NULL, TLS_client_method());
    X509 *cert = load_cert(w, P256_KEY);
    EVP_PKEY *key = load_ref(w, P256_KEY);
    assert_int_equal(SSL_CTX_use_certificate(e.client_ctx, cert), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(e.client_ctx, key), 1);
    connect_ends(&e);
    assert_true(shake(&e));
    assert_quiet();
    assert_int_equal(atomic_load(&w->fake.shared->signs), 1);
    X509_free(cert);
    EVP_PKEY_free(key);
    end(&e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_handshakes),
        TEST(test_groups),
        TEST(test_resumption_asks_nothing),
        TEST(test_rsa_key_exchange_fails),
        TEST(test_keyd_away_then_back),
        TEST(test_keyd_refuses),
        TEST(test_wrong_signature),
        TEST(test_client_certificate),
    };

    return cmocka_run_group_tests(tests, world_setup, world_teardown);
}
