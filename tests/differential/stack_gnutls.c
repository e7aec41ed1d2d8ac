/* SPDX-License-Identifier: Apache-2.0
 *
 * stack_gnutls FILE COUNT: COUNT handshakes of GnuTLS with itself, over every version, group and
 * cipher, with and without client certificates, SNI and ALPN. Both private keys are external
 * (gnutls_privkey_import_ext4). GnuTLS hands the whole message only to keys that hash themselves,
 * and the digest to all others; so the keys are Ed25519 and Ed448. What is signed in a handshake
 * does not depend on the key that signs it (RFC 8446 4.4.3, RFC 8422 5.4).
 */
#include <gnutls/abstract.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/differential/capture.h"

#define KINDS 2

#define MUST(call)                                                                                 \
    do {                                                                                           \
        int code_ = (call);                                                                        \
        if (code_ < 0) {                                                                           \
            fprintf(stderr, "%s: %s\n", #call, gnutls_strerror(code_));                            \
            exit(1);                                                                               \
        }                                                                                          \
    } while (0)

struct identity {
    gnutls_privkey_t soft, hard; /* the key; the same, external */
    gnutls_x509_crt_t cert;
    gnutls_pk_algorithm_t pk;
    unsigned bits;
    bool is_client;
};

static FILE *out;
static bool tls13;
static unsigned written;

/* ---- keys that tell */

static int sign_data(gnutls_privkey_t key, gnutls_sign_algorithm_t algo, void *userdata,
                     unsigned flags, const gnutls_datum_t *data, gnutls_datum_t *signature)
{
    struct identity *id = userdata;

    (void)key;
    if (tls13)
        capture_put(out, id->is_client ? CAPTURE_TLS13_CLIENT : CAPTURE_TLS13_SERVER, data->data,
                    data->size);
    else
        capture_put(out, id->is_client ? CAPTURE_TLS12_CLIENT : CAPTURE_TLS12_SERVER, data->data,
                    data->size);
    written++;
    return gnutls_privkey_sign_data2(id->soft, algo, flags, data, signature);
}

static int info(gnutls_privkey_t key, unsigned flags, void *userdata)
{
    const struct identity *id = userdata;

    (void)key;
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO)
        return (int)id->pk;
    if (flags & GNUTLS_PRIVKEY_INFO_PK_ALGO_BITS)
        return (int)id->bits;
    if (flags & GNUTLS_PRIVKEY_INFO_HAVE_SIGN_ALGO)
        return gnutls_sign_supports_pk_algorithm(GNUTLS_FLAGS_TO_SIGN_ALGO(flags), id->pk) != 0;
    return -1;
}

/* ---- certificates */

static void make_cert(struct identity *id, gnutls_x509_privkey_t key)
{
    gnutls_x509_crt_t crt;
    gnutls_digest_algorithm_t hash =
        id->pk == GNUTLS_PK_EDDSA_ED25519 ? GNUTLS_DIG_SHA512 : GNUTLS_DIG_SHAKE_256;

    MUST(gnutls_x509_crt_init(&crt));
    MUST(gnutls_x509_crt_set_version(crt, 3));
    MUST(gnutls_x509_crt_set_serial(crt, "\x01", 1));
    MUST(gnutls_x509_crt_set_activation_time(crt, time(NULL) - 60));
    MUST(gnutls_x509_crt_set_expiration_time(crt, time(NULL) + 86400));
    MUST(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, "test", 4));
    MUST(gnutls_x509_crt_set_key(crt, key));
    MUST(gnutls_x509_crt_sign2(crt, crt, key, hash, 0));
    id->cert = crt;
}

static void make_identity(struct identity *id, gnutls_pk_algorithm_t pk, unsigned bits)
{
    gnutls_x509_privkey_t key;

    id->pk = pk;
    id->bits = bits;
    MUST(gnutls_x509_privkey_init(&key));
    MUST(gnutls_x509_privkey_generate(key, pk, bits, 0));
    make_cert(id, key);
    MUST(gnutls_privkey_init(&id->soft));
    MUST(gnutls_privkey_import_x509(id->soft, key, GNUTLS_PRIVKEY_IMPORT_AUTO_RELEASE));
}

/* The certificate's credentials with the external key. */
static void credentials(gnutls_certificate_credentials_t *ret, struct identity *id)
{
    gnutls_pcert_st cert; /* the credentials take what is in it */

    MUST(gnutls_pcert_import_x509(&cert, id->cert, 0));
    MUST(gnutls_privkey_init(&id->hard));
    MUST(gnutls_privkey_import_ext4(id->hard, id, sign_data, NULL, NULL, NULL, info, 0));
    MUST(gnutls_certificate_allocate_credentials(ret));
    MUST(gnutls_certificate_set_key(*ret, NULL, 0, &cert, 1, id->hard));
}

/* ---- handshakes */

struct ends {
    gnutls_session_t server, client;
    int fds[2];
};

static void begin(struct ends *e, const char *priority, gnutls_certificate_credentials_t server,
                  gnutls_certificate_credentials_t client, unsigned i)
{
    static const gnutls_datum_t protocols[] = {{(void *)"h2", 2}, {(void *)"http/1.1", 8}};
    const char *failed;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, e->fds) != 0)
        exit(1);
    MUST(gnutls_init(&e->server, GNUTLS_SERVER | GNUTLS_NONBLOCK));
    MUST(gnutls_init(&e->client, GNUTLS_CLIENT | GNUTLS_NONBLOCK));
    if (gnutls_priority_set_direct(e->client, priority, &failed) < 0) {
        fprintf(stderr, "priority: %s\n", failed);
        exit(1);
    }
    MUST(gnutls_priority_set_direct(e->server,
                                    tls13 && i % 5 == 4 ? "NORMAL:-GROUP-ALL:+GROUP-SECP384R1:"
                                                          "+GROUP-X25519:+GROUP-SECP256R1:"
                                                          "+GROUP-SECP521R1:+GROUP-X448"
                                                        : "NORMAL",
                                    NULL));
    MUST(gnutls_credentials_set(e->server, GNUTLS_CRD_CERTIFICATE, server));
    MUST(gnutls_credentials_set(e->client, GNUTLS_CRD_CERTIFICATE, client));
    if (i % 3 == 1)
        gnutls_certificate_server_set_request(e->server, GNUTLS_CERT_REQUEST);
    if (i % 2)
        MUST(gnutls_server_name_set(e->client, GNUTLS_NAME_DNS, "www.example.com", 15));
    if (i % 4 < 2) {
        MUST(gnutls_alpn_set_protocols(e->client, protocols, 2, 0));
        MUST(gnutls_alpn_set_protocols(e->server, protocols, 2, 0));
    }
    gnutls_transport_set_int(e->server, e->fds[0]);
    gnutls_transport_set_int(e->client, e->fds[1]);
}

static bool shake(struct ends *e)
{
    int a = GNUTLS_E_AGAIN, b = GNUTLS_E_AGAIN;

    for (int i = 0; i < 40 && (a || b); i++) {
        if (b)
            b = gnutls_handshake(e->client);
        if (a)
            a = gnutls_handshake(e->server);
        if ((a < 0 && gnutls_error_is_fatal(a)) || (b < 0 && gnutls_error_is_fatal(b))) {
            fprintf(stderr, "handshake: %s, %s\n", gnutls_strerror(a), gnutls_strerror(b));
            return false;
        }
    }
    return !a && !b;
}

static void end(struct ends *e)
{
    gnutls_deinit(e->server);
    gnutls_deinit(e->client);
    close(e->fds[0]);
    close(e->fds[1]);
}

static const char *const groups[] = {"SECP256R1", "SECP384R1", "SECP521R1", "X25519", "X448"};
static const char *const ciphers[] = {"AES-128-GCM", "AES-256-GCM", "CHACHA20-POLY1305"};

static bool one(struct identity *id, struct identity *peer, unsigned i)
{
    gnutls_certificate_credentials_t server, client;
    char priority[256];
    struct ends e;

    tls13 = i % 2;
    snprintf(priority, sizeof(priority),
             "NORMAL:-VERS-ALL:+VERS-TLS1.%d:-GROUP-ALL:+GROUP-%s%s:-CIPHER-ALL:+%s%s", 2 + tls13,
             groups[i / 2 % 5], i % 5 == 4 ? ":+GROUP-SECP384R1:+GROUP-X448" : "",
             ciphers[i / 10 % 3], tls13 ? "" : ":-KX-ALL:+ECDHE-RSA:+ECDHE-ECDSA");
    credentials(&server, id);
    credentials(&client, peer);
    begin(&e, priority, server, client, i);
    bool ok = shake(&e);
    if (!ok)
        fprintf(stderr, "of %s with %s\n", gnutls_pk_get_name(id->pk), priority);
    end(&e);
    gnutls_certificate_free_credentials(server);
    gnutls_certificate_free_credentials(client);
    return ok;
}

int main(int argc, char **argv)
{
    static struct identity ids[KINDS], peers[KINDS];
    static const struct {
        gnutls_pk_algorithm_t pk;
        unsigned bits;
    } kinds[] = {
        {GNUTLS_PK_EDDSA_ED25519, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED25519)},
        {GNUTLS_PK_EDDSA_ED448, GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_ED448)},
    };
    unsigned count = argc == 3 ? (unsigned)strtoul(argv[2], NULL, 10) : 0, done = 0;

    if (argc != 3 || !(out = fopen(argv[1], "wb")))
        return 2;
    for (size_t k = 0; k < KINDS; k++) {
        make_identity(&ids[k], kinds[k].pk, kinds[k].bits);
        make_identity(&peers[k], kinds[k].pk, kinds[k].bits);
        peers[k].is_client = true;
    }
    for (unsigned i = 0; i < count; i++)
        done += one(&ids[i / 2 % KINDS], &peers[(i / 2 + i / 30) % KINDS], i);
    printf("gnutls %s: %u handshakes, %u messages\n", gnutls_check_version(NULL), done, written);
    return fclose(out) == 0 && done == count ? 0 : 1;
}
