/* SPDX-License-Identifier: Apache-2.0
 *
 * stack_openssl FILE COUNT: COUNT handshakes of OpenSSL with itself, over every version, group,
 * cipher, kind of key and signature algorithm, with client certificates (TLS 1.3), SNI, ALPN,
 * resumption and HelloRetryRequest. The keys are key references: keyd.so of this build asks a keyd
 * that signs with keys in software and writes down what it is asked. Which end it was for follows
 * from the key, not from the message.
 */
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/differential/capture.h"
#include "tests/unit/provider/support.h"

static FILE *out;
static unsigned written, resumed, retried;

static void die(const char *what)
{
    fprintf(stderr, "%s\n", what);
    ERR_print_errors_fp(stderr);
    exit(1);
}

struct ends {
    SSL_CTX *server_ctx, *client_ctx;
    SSL *server, *client;
};

static SSL_CTX *context(struct world *w, const SSL_METHOD *method, int key)
{
    SSL_CTX *ctx = SSL_CTX_new_ex(w->ctx, NULL, method);
    EVP_PKEY *ref = load_ref(w, key);
    X509 *cert = load_cert(w, key);

    if (SSL_CTX_use_certificate(ctx, cert) != 1 || SSL_CTX_use_PrivateKey(ctx, ref) != 1)
        die("use key");
    EVP_PKEY_free(ref);
    X509_free(cert);
    return ctx;
}

static int take_any(int ok, X509_STORE_CTX *store)
{
    (void)ok, (void)store;
    return 1;
}

static int choose(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                  const unsigned char *in, unsigned len, void *arg)
{
    (void)ssl, (void)len, (void)arg;
    *ret = in + 1;
    *ret_len = in[0];
    return SSL_TLSEXT_ERR_OK;
}

static const char *const groups[] = {"P-256", "P-384", "P-521", "X25519", "X448"};
static const char *const suites13[] = {"TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
                                       "TLS_CHACHA20_POLY1305_SHA256"};
static const char *const suites12[] = {"ECDHE+AES128+AESGCM", "ECDHE+AES256+AESGCM",
                                       "ECDHE+CHACHA20", "ECDHE+AES128+SHA256"};

/* Signature algorithms that a client offers so that the server must take the one; NULL: all. */
static const char *sigalg_of(int key, unsigned i, bool tls13)
{
    static const char *const rsa13[] = {NULL, "rsa_pss_rsae_sha256", "rsa_pss_rsae_sha384",
                                        "rsa_pss_rsae_sha512"};
    static const char *const rsa12[] = {NULL, "RSA+SHA256", "RSA+SHA384", "RSA+SHA512",
                                        "rsa_pss_rsae_sha256"};
    static const char *const ec12[] = {NULL, "ECDSA+SHA256", "ECDSA+SHA384", "ECDSA+SHA512"};

    if (key == RSA_KEY)
        return tls13 ? rsa13[i % 4] : rsa12[i % 5];
    return !tls13 && (key == P256_KEY || key == P384_KEY) ? ec12[i % 4] : NULL;
}

static void add_group(char *list, size_t size, const char *name)
{
    if (!strstr(list, name))
        snprintf(list + strlen(list), size - strlen(list), "%s%s", *list ? ":" : "", name);
}

/* The one that is wanted; then that of the key, which TLS 1.2 asks for too; and some to fall back
 * to: the first one only is sent as a key share, a server that wants another asks again. */
static void list_groups(char *list, size_t size, int key, unsigned i)
{
    *list = '\0';
    add_group(list, size, groups[i / 2 % 5]);
    if (key == P256_KEY || key == P384_KEY)
        add_group(list, size, key == P256_KEY ? "P-256" : "P-384");
    if (i % 6 == 5) {
        add_group(list, size, "P-384");
        add_group(list, size, "X448");
    }
}

static void set_up_client(SSL_CTX *ctx, int key, bool tls13, unsigned i)
{
    const char *sigalg = sigalg_of(key, i / 7, tls13);
    char list[64];

    SSL_CTX_set_min_proto_version(ctx, tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    SSL_CTX_set_max_proto_version(ctx, tls13 ? TLS1_3_VERSION : TLS1_2_VERSION);
    if (tls13 ? !SSL_CTX_set_ciphersuites(ctx, suites13[i / 10 % 3])
              : !SSL_CTX_set_cipher_list(ctx, suites12[key == ED25519_KEY ? 0 : i / 10 % 3]))
        die("suites");
    list_groups(list, sizeof(list), key, i);
    if (SSL_CTX_set1_groups_list(ctx, list) != 1 ||
        (sigalg && SSL_CTX_set1_sigalgs_list(ctx, sigalg) != 1))
        die("groups, sigalgs");
    if (i % 4 < 2)
        SSL_CTX_set_alpn_protos(ctx, (const unsigned char *)"\x02h2\x08http/1.1", 12);
}

static void connect_ends(struct ends *e, SSL_SESSION *session, unsigned i)
{
    BIO *a, *b;

    e->server = SSL_new(e->server_ctx);
    e->client = SSL_new(e->client_ctx);
    if (session)
        SSL_set_session(e->client, session);
    if (i % 2)
        SSL_set_tlsext_host_name(e->client, "www.example.com");
    BIO_new_bio_pair(&a, 65536, &b, 65536);
    SSL_set_bio(e->server, a, a);
    SSL_set_bio(e->client, b, b);
    SSL_set_accept_state(e->server);
    SSL_set_connect_state(e->client);
}

static void shake(struct ends *e)
{
    char byte;

    for (int i = 0; i < 10; i++) {
        int a = SSL_do_handshake(e->client), b = SSL_do_handshake(e->server);
        if ((a != 1 && SSL_get_error(e->client, a) != SSL_ERROR_WANT_READ) ||
            (b != 1 && SSL_get_error(e->server, b) != SSL_ERROR_WANT_READ))
            die("handshake");
        if (a == 1 && b == 1) {
            (void)!SSL_read(e->client, &byte, 1); /* tickets */
            return;
        }
    }
    die("handshake does not end");
}

/* What keyd was asked in this handshake. */
static void take_log(struct world *w, int server_key, bool tls13)
{
    struct fake_shared *s = w->fake.shared;
    size_t len = atomic_load(&s->logged);

    for (size_t at = 0; at < len;) {
        const uint8_t *head = s->log + at;
        size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        bool server = head[0] == server_key;
        capture_put(out,
                    tls13 ? server ? CAPTURE_TLS13_SERVER : CAPTURE_TLS13_CLIENT
                          : CAPTURE_TLS12_SERVER,
                    head + 5, n);
        written++;
        at += 5 + n;
    }
    if (atomic_load(&s->lost))
        die("messages were lost");
    atomic_store(&s->logged, 0);
}

static void disconnect(struct ends *e)
{
    SSL_shutdown(e->client);
    SSL_free(e->server);
    SSL_free(e->client);
}

static void one(struct world *w, unsigned i)
{
    static const int keys[] = {RSA_KEY, P256_KEY, P384_KEY, ED25519_KEY, PSS_KEY};
    int key = keys[i / 2 % 5], peer = keys[(i / 2 + 1 + i / 10 % 4) % 5];
    bool tls13 = i % 2;
    struct ends e;

    e.server_ctx = context(w, TLS_server_method(), key);
    e.client_ctx = tls13 && i % 3 == 1 ? context(w, TLS_client_method(), peer)
                                       : SSL_CTX_new_ex(w->ctx, NULL, TLS_client_method());
    set_up_client(e.client_ctx, key, tls13, i);
    SSL_CTX_set1_groups_list(e.server_ctx,
                             i % 6 == 5 ? "P-384:X448" : "P-256:P-384:P-521:X25519:X448");
    SSL_CTX_set_alpn_select_cb(e.server_ctx, choose, NULL);
    SSL_CTX_set_session_id_context(e.server_ctx, (const unsigned char *)"x", 1);
    if (tls13 && i % 3 == 1)
        SSL_CTX_set_verify(e.server_ctx, SSL_VERIFY_PEER, take_any);
    connect_ends(&e, NULL, i);
    shake(&e);
    take_log(w, key, tls13);
    /* the server did not take the group of the one key share: it asked for another */
    retried += tls13 && i % 6 == 5 && !strstr("P-384:X448", groups[i / 2 % 5]);
    if (i % 11 == 3) { /* once more, resumed: nothing may be signed then that is of another shape */
        SSL_SESSION *session = SSL_get1_session(e.client);
        disconnect(&e);
        connect_ends(&e, session, i);
        shake(&e);
        resumed += SSL_session_reused(e.client) == 1;
        take_log(w, key, tls13);
        SSL_SESSION_free(session);
    }
    disconnect(&e);
    SSL_CTX_free(e.server_ctx);
    SSL_CTX_free(e.client_ctx);
}

int main(int argc, char **argv)
{
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0;
    void *state = NULL;

    if (argc != 3 || !(out = fopen(argv[1], "wb")))
        return 2;
    if (world_setup(&state) != 0 || fresh_setup(&state) != 0)
        die("no keys");
    for (unsigned i = 0; i < count; i++)
        one(state, i);
    printf("%s: %u handshakes, %u messages, %u resumed, %u with HelloRetryRequest\n",
           OpenSSL_version(OPENSSL_VERSION), count, written, resumed, retried);
    return world_teardown(&state) == 0 && fclose(out) == 0 ? 0 : 1;
}
