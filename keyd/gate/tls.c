/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/tls.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "keyd/gate/gate.h"
#include "proto/base/mem.h"

#define GROUPS       "X25519:P-256:P-384"
#define CHAIN_MAX    (32 << 10) /* bytes of a client's certificates; libssl's own limit is 100 KiB */
#define DEPTH_MAX    4
#define LEVEL        2 /* SSL_CTX_set_security_level(3): 112 bits */
#define DAY          (24 * 60 * 60)
#define WARN_DAYS    14 /* of a certificate */
#define WARN_CRL     1  /* of a CRL, which is often made for a week */
#define DENIED_MAX   100000
#define PATH_MAX_LEN 511
#define LINE_LEN     (URI_MAX + 1)

struct tls {
    SSL_CTX *ctx; /* NULL: a deny list alone */
    STACK_OF(X509) * anchors;
    STACK_OF(X509_CRL) * crls;
    char (*denied)[LINE_LEN]; /* names, URIs, hashes in lower-case hex */
    size_t denied_count;
};

/* One file of the bundle. */
struct part {
    char path[PATH_MAX_LEN + 1]; /* empty: not configured */
    const uint8_t *bytes;
    size_t len;
};

static const char *const part_names[TLS_FILES] = {"certificate", "key", "ca", "crl", "deny"};

bool tls_init(struct err *err)
{
    uint64_t opts = OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                    OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS |
                    OPENSSL_INIT_LOAD_SSL_STRINGS;

    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_NO_ATEXIT, NULL) &&
        OPENSSL_init_ssl(opts, NULL))
        return true;
    return err_set(err, ERR_INTERNAL, "OpenSSL cannot be initialised");
}

/* What libcrypto says of it, last word first; its queue is empty then. */
static bool bad(const struct part *p, struct err *err, const char *what)
{
    unsigned long e = ERR_peek_last_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    return err_set(err, ERR_BAD_REQUEST, "%s: %s%s%s", p->path, what, why ? ": " : "",
                   why ? why : "");
}

/* ---- the bundle */

static bool get_parts(const uint8_t *bundle, size_t len, struct part ret[TLS_FILES],
                      struct err *err)
{
    struct rd r = rd_of(bundle, len);

    for (int i = 0; i < TLS_FILES; i++) {
        rd_text(&r, ret[i].path, sizeof(ret[i].path));
        ret[i].len = rd_u32(&r);
        ret[i].bytes = rd_bytes(&r, ret[i].len);
    }
    return rd_end(&r) || err_set(err, ERR_INTERNAL, "a bundle of TLS files that makes no sense");
}

static BIO *bio_of(const struct part *p)
{
    return BIO_new_mem_buf(p->bytes, (int)p->len);
}

/* Whether reading PEM ended because there was no more of it, which is no error. */
static bool pem_ended(void)
{
    unsigned long e = ERR_peek_last_error();
    bool ended = ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;

    if (ended)
        ERR_clear_error();
    return ended;
}

static void free_certs(STACK_OF(X509) * certs)
{
    sk_X509_pop_free(certs, X509_free);
}

/* All certificates of a file, at least one. */
static bool get_certs(const struct part *p, STACK_OF(X509) * *ret, struct err *err)
{
    STACK_OF(X509) *certs = sk_X509_new_null();
    BIO *bio = bio_of(p);
    X509 *x = NULL;

    ERR_clear_error();
    while (certs && bio && (x = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
        if (!sk_X509_push(certs, x))
            X509_free(x);
    BIO_free(bio);
    if (certs && pem_ended() && sk_X509_num(certs) > 0) {
        *ret = certs;
        return true;
    }
    free_certs(certs);
    return bad(p, err, "no certificates in PEM");
}

/* ---- certificate and key */

/* Encrypted keys are not asked about: nobody sits at a daemon. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static bool use_key(SSL_CTX *ctx, const struct part *p, const struct part *certificate,
                    struct err *err)
{
    BIO *bio = bio_of(p);

    ERR_clear_error();
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_passphrase, NULL) : NULL;
    BIO_free(bio);
    if (!key) {
        bad(p, err, "no private key in PEM that needs no passphrase");
        return err_hint(err, "an ordinary key file: openssl pkey -in FILE -out NEW removes a "
                             "passphrase");
    }
    bool fits = X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) == 1;
    bool used = fits && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    EVP_PKEY_free(key);
    if (used)
        return true;
    if (fits)
        return bad(p, err, "a key that cannot be used");
    ERR_clear_error();
    return err_set(err, ERR_BAD_REQUEST, "%s is not the key of the certificate %s", p->path,
                   certificate->path);
}

static bool use_certificate(SSL_CTX *ctx, const struct part *p, struct err *err)
{
    STACK_OF(X509) * certs;

    TRY(get_certs(p, &certs, err));
    bool ok = SSL_CTX_use_certificate(ctx, sk_X509_value(certs, 0)) == 1;
    for (int i = 1; ok && i < sk_X509_num(certs); i++)
        ok = SSL_CTX_add1_chain_cert(ctx, sk_X509_value(certs, i)) == 1;
    free_certs(certs);
    return ok || bad(p, err, "a certificate that cannot be used");
}

/* ---- whom to believe */

static bool use_ca(struct tls *t, const struct part *p, struct err *err)
{
    X509_STORE *store = SSL_CTX_get_cert_store(t->ctx);
    bool ok = true;

    TRY(get_certs(p, &t->anchors, err));
    for (int i = 0; ok && i < sk_X509_num(t->anchors); i++) {
        X509 *ca = sk_X509_value(t->anchors, i);

        ok = X509_STORE_add_cert(store, ca) == 1 && SSL_CTX_add_client_CA(t->ctx, ca) == 1;
    }
    X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN);
    return ok || bad(p, err, "an authority that cannot be used");
}

/* A list counts only when an authority that we believe has signed it (RFC 5280 6.3.3 f, g). */
static bool signed_by_anchor(const struct tls *t, X509_CRL *crl)
{
    for (int i = 0; i < sk_X509_num(t->anchors); i++) {
        X509 *ca = sk_X509_value(t->anchors, i);

        if (X509_NAME_cmp(X509_get_subject_name(ca), X509_CRL_get_issuer(crl)) == 0 &&
            X509_CRL_verify(crl, X509_get0_pubkey(ca)) == 1)
            return true;
    }
    return false;
}

static bool add_crl(struct tls *t, const struct part *p, X509_CRL *crl, struct err *err)
{
    if (!signed_by_anchor(t, crl)) {
        ERR_clear_error();
        return err_set(err, ERR_BAD_REQUEST, "%s: a CRL that none of the authorities in ca signed",
                       p->path);
    }
    if (sk_X509_CRL_push(t->crls, crl) && X509_CRL_up_ref(crl) &&
        X509_STORE_add_crl(SSL_CTX_get_cert_store(t->ctx), crl) == 1)
        return true;
    return bad(p, err, "a CRL that cannot be used");
}

static bool use_crls(struct tls *t, const struct part *p, struct err *err)
{
    BIO *bio = bio_of(p);
    X509_CRL *crl = NULL;
    bool ok = true;

    t->crls = sk_X509_CRL_new_null();
    ERR_clear_error();
    while (ok && bio && t->crls && (crl = PEM_read_bio_X509_CRL(bio, NULL, NULL, NULL)) != NULL) {
        ok = add_crl(t, p, crl, err);
        X509_CRL_free(crl);
    }
    BIO_free(bio);
    if (!ok)
        return false;
    if (!pem_ended() || sk_X509_CRL_num(t->crls) <= 0)
        return bad(p, err, "no CRL in PEM");
    X509_STORE_set_flags(SSL_CTX_get_cert_store(t->ctx), X509_V_FLAG_CRL_CHECK);
    return true;
}

/* ---- the context */

/* The chain is judged by libssl; a client without a certificate is judged at its hello. */
static void set_policy(SSL_CTX *ctx)
{
    SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION | SSL_OP_NO_RENEGOTIATION |
                                 SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                              SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_max_early_data(ctx, 0);
    SSL_CTX_set_quiet_shutdown(ctx, 1);
    SSL_CTX_set_read_ahead(ctx, 1); /* one system call for many records */
    SSL_CTX_set_max_cert_list(ctx, CHAIN_MAX);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_verify_depth(ctx, DEPTH_MAX);
    SSL_CTX_set_security_level(ctx, LEVEL);
}

static SSL_CTX *new_ctx(struct err *err)
{
    static const uint8_t session[] = "keyd";
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    if (ctx && SSL_CTX_set_min_proto_version(ctx, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1 &&
        SSL_CTX_set1_groups_list(ctx, GROUPS) == 1 && SSL_CTX_set_num_tickets(ctx, 0) == 1 &&
        SSL_CTX_set_purpose(ctx, X509_PURPOSE_SSL_CLIENT) == 1 &&
        SSL_CTX_set_session_id_context(ctx, session, sizeof(session) - 1) == 1) {
        set_policy(ctx);
        return ctx;
    }
    SSL_CTX_free(ctx);
    ERR_clear_error();
    err_set(err, ERR_INTERNAL, "no TLS context can be made");
    return NULL;
}

static bool set_up(struct tls *t, const struct part parts[TLS_FILES], struct err *err)
{
    t->ctx = new_ctx(err);
    if (!t->ctx)
        return false;
    TRY(use_certificate(t->ctx, &parts[TLS_CERTIFICATE], err));
    TRY(use_key(t->ctx, &parts[TLS_KEY], &parts[TLS_CERTIFICATE], err));
    TRY(use_ca(t, &parts[TLS_CA], err));
    return !*parts[TLS_CRL].path || use_crls(t, &parts[TLS_CRL], err);
}

/* ---- the deny list */

static bool add_denied(struct tls *t, const struct part *p, unsigned number, char *line,
                       struct err *err)
{
    uint8_t hash[KEY_ID_LEN];
    struct err ignored;

    if (hex_decode(line, hash, sizeof(hash)))
        hex_encode(hash, sizeof(hash), line);
    else if (!strchr(line, ':') && !name_check(line, "principal", &ignored)) {
        err_set(err, ERR_BAD_REQUEST, "%s line %u: \"%.80s\" is no principal, URI or hash", p->path,
                number, line);
        return err_hint(err, "a principal's name, the URI of a certificate, or the SHA-256 of its "
                             "public key in hex; # begins a comment");
    }
    char(*more)[LINE_LEN] = mem_resize(t->denied, t->denied_count + 1, LINE_LEN);
    if (!more || t->denied_count >= DENIED_MAX)
        return err_set(err, ERR_TOO_LARGE, "%s is longer than keyd can hold", p->path);
    t->denied = more;
    memcpy(t->denied[t->denied_count++], line, LINE_LEN);
    return true;
}

/* One line, without blanks around it and without its comment. */
static bool take_line(const struct part *p, unsigned number, const char *at, size_t n,
                      char ret[LINE_LEN], struct err *err)
{
    const char *comment = memchr(at, '#', n);

    if (comment)
        n = (size_t)(comment - at);
    while (n && strchr(" \t\r", at[n - 1]))
        n--;
    while (n && strchr(" \t", *at))
        at++, n--;
    if (n >= LINE_LEN || memchr(at, 0, n))
        return err_set(err, ERR_BAD_REQUEST, "%s line %u is longer than %d bytes, or no text",
                       p->path, number, LINE_LEN - 1);
    memset(ret, 0, LINE_LEN);
    memcpy(ret, at, n);
    return true;
}

static bool read_denied(struct tls *t, const struct part *p, struct err *err)
{
    const char *at = (const char *)p->bytes, *end = at + p->len;
    char line[LINE_LEN];

    for (unsigned number = 1; at < end; number++) {
        const char *nl = memchr(at, '\n', (size_t)(end - at));
        const char *stop = nl ? nl : end;

        TRY(take_line(p, number, at, (size_t)(stop - at), line, err));
        if (*line)
            TRY(add_denied(t, p, number, line, err));
        at = stop + 1;
    }
    return true;
}

static bool on_list(const struct tls *t, const char *what)
{
    for (size_t i = 0; i < t->denied_count; i++)
        if (strcmp(t->denied[i], what) == 0)
            return true;
    return false;
}

bool tls_denies(const struct tls *t, const struct identity *id, const struct principal *who)
{
    char hex[2 * KEY_ID_LEN + 1];

    if (!t || !t->denied_count)
        return false;
    if (who->role != ROLE_NONE && on_list(t, who->name))
        return true;
    return id->cert && ((*id->uri && on_list(t, id->uri)) ||
                        on_list(t, hex_encode(id->spki, sizeof(id->spki), hex)));
}

/* ---- all of it */

bool tls_make(struct tls **ret, const uint8_t *bundle, size_t len, struct err *err)
{
    struct part parts[TLS_FILES];
    struct tls *t = mem_new(sizeof(*t));

    if (!t)
        return err_set(err, ERR_INTERNAL, "no memory for TLS");
    bool ok = get_parts(bundle, len, parts, err) &&
              (!*parts[TLS_CERTIFICATE].path || set_up(t, parts, err)) &&
              read_denied(t, &parts[TLS_DENY], err);
    if (!ok) {
        tls_free(t);
        return false;
    }
    *ret = t;
    return true;
}

void tls_free(struct tls *t)
{
    if (!t)
        return;
    SSL_CTX_free(t->ctx);
    free_certs(t->anchors);
    sk_X509_CRL_pop_free(t->crls, X509_CRL_free);
    mem_free(t->denied);
    mem_free(t);
}

/* Seconds since 1970; a time that cannot be read has passed. */
static int64_t seconds_of(const ASN1_TIME *when)
{
    struct tm tm;

    return when && ASN1_TIME_to_tm(when, &tm) == 1 ? (int64_t)timegm(&tm) : 0;
}

static void warn_of(const char *path, const ASN1_TIME *end, int days, char *ret, size_t size)
{
    int64_t left = seconds_of(end) - (int64_t)time(NULL);

    if (!end || *ret || left > days * DAY)
        return;
    if (left < 0)
        snprintf(ret, size, "%s has expired", path);
    else
        snprintf(ret, size, "%s expires in %lld days", path, (long long)left / DAY);
}

static void warn_of_all(const struct tls *t, const struct part parts[TLS_FILES], char *ret,
                        size_t size)
{
    if (t->ctx)
        warn_of(parts[TLS_CERTIFICATE].path, X509_get0_notAfter(SSL_CTX_get0_certificate(t->ctx)),
                WARN_DAYS, ret, size);
    for (int i = 0; i < sk_X509_num(t->anchors); i++)
        warn_of(parts[TLS_CA].path, X509_get0_notAfter(sk_X509_value(t->anchors, i)), WARN_DAYS,
                ret, size);
    for (int i = 0; i < sk_X509_CRL_num(t->crls); i++)
        warn_of(parts[TLS_CRL].path, X509_CRL_get0_nextUpdate(sk_X509_CRL_value(t->crls, i)),
                WARN_CRL, ret, size);
}

bool gate_tls_check(const uint8_t *bundle, size_t len, char *ret_warning, size_t size,
                    struct err *err)
{
    struct part parts[TLS_FILES];
    struct tls *t;

    TRY(tls_init(err));
    TRY(get_parts(bundle, len, parts, err));
    if (!tls_make(&t, bundle, len, err))
        return err_prefix(err, "[tls]");
    ret_warning[0] = 0;
    warn_of_all(t, parts, ret_warning, size);
    tls_free(t);
    return true;
}

const char *gate_tls_file(enum tls_file which)
{
    return part_names[which];
}

/* ---- connections */

bool tls_accept(const struct tls *t, int fd, struct stream *ret)
{
    SSL *ssl = t && t->ctx ? SSL_new(t->ctx) : NULL;

    if (!ssl || SSL_set_fd(ssl, fd) != 1) {
        SSL_free(ssl);
        ERR_clear_error();
        return false;
    }
    SSL_set_accept_state(ssl);
    *ret = (struct stream){.fd = fd, .ssl = ssl};
    return true;
}

static enum refusal of_certificate(long result)
{
    switch (result) {
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return REFUSAL_CERT_EXPIRED;
    case X509_V_ERR_CERT_REVOKED:
        return REFUSAL_CERT_REVOKED;
    case X509_V_ERR_INVALID_PURPOSE:
        return REFUSAL_CERT_PURPOSE;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_CERT_UNTRUSTED:
    case X509_V_ERR_CERT_SIGNATURE_FAILURE:
        return REFUSAL_CERT_UNKNOWN_CA;
    case X509_V_ERR_UNABLE_TO_GET_CRL:
    case X509_V_ERR_CRL_HAS_EXPIRED:
    case X509_V_ERR_CRL_NOT_YET_VALID:
        return REFUSAL_CRL;
    default:
        return REFUSAL_CERT_OTHER;
    }
}

static enum refusal of_reason(int reason)
{
    switch (reason) {
    case SSL_R_WRONG_VERSION_NUMBER:
    case SSL_R_HTTP_REQUEST:
    case SSL_R_HTTPS_PROXY_REQUEST:
    case SSL_R_PACKET_LENGTH_TOO_LONG:
    case SSL_R_RECORD_LENGTH_MISMATCH:
        return REFUSAL_NOT_TLS;
    case SSL_R_UNSUPPORTED_PROTOCOL:
    case SSL_R_VERSION_TOO_LOW:
    case SSL_R_NO_PROTOCOLS_AVAILABLE:
        return REFUSAL_TLS_VERSION;
    default:
        return REFUSAL_HANDSHAKE;
    }
}

enum refusal tls_failure(const struct stream *s, char *why, size_t size)
{
    long result = SSL_get_verify_result(s->ssl);
    unsigned long e = ERR_peek_error();
    const char *reason = e ? ERR_reason_error_string(e) : NULL;

    ERR_clear_error();
    snprintf(why, size, "%s", reason ? reason : "the client left");
    if (result == X509_V_OK)
        return e && ERR_GET_LIB(e) == ERR_LIB_SSL ? of_reason(ERR_GET_REASON(e))
                                                  : REFUSAL_HANDSHAKE;
    snprintf(why, size, "%s", X509_verify_cert_error_string(result));
    return of_certificate(result);
}

/* ---- identity */

/* RFC 5280 4.2.1.6: an IA5String. One with anything but printing characters is none. */
static bool copy_uri(const ASN1_IA5STRING *from, char ret[URI_MAX + 1], struct err *err)
{
    const uint8_t *p = ASN1_STRING_get0_data(from);
    int n = ASN1_STRING_length(from);

    if (n < 1 || n > URI_MAX)
        return err_set(err, ERR_DENIED,
                       "the URI in the client certificate has %d bytes; 1 to %d "
                       "are possible",
                       n, URI_MAX);
    for (int i = 0; i < n; i++)
        if (p[i] <= ' ' || p[i] > '~')
            return err_set(err, ERR_DENIED, "the URI in the client certificate is no text");
    memcpy(ret, p, (size_t)n);
    ret[n] = 0;
    return true;
}

static bool only_uri(const GENERAL_NAMES *names, char ret[URI_MAX + 1], struct err *err)
{
    int found = 0;

    for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(names, i);

        if (name->type != GEN_URI)
            continue;
        if (found++) {
            err_set(err, ERR_DENIED, "the client certificate has two identities");
            return err_hint(err, "one URI in its subjectAltName, no more");
        }
        TRY(copy_uri(name->d.uniformResourceIdentifier, ret, err));
    }
    return true;
}

static bool get_uri(const X509 *cert, char ret[URI_MAX + 1], struct err *err)
{
    int critical;
    GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, &critical, NULL);

    if (!names && critical != -1) {
        ERR_clear_error();
        return err_set(err, ERR_DENIED, "the client certificate has %s subjectAltName",
                       critical == -2 ? "more than one" : "an unreadable");
    }
    bool ok = !names || only_uri(names, ret, err);
    GENERAL_NAMES_free(names);
    return ok;
}

static bool get_spki(const X509 *cert, uint8_t ret[KEY_ID_LEN], struct err *err)
{
    uint8_t *der = NULL;
    int n = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(cert), &der);
    bool ok = n > 0 && key_id_of(der, (size_t)n, ret);

    OPENSSL_free(der);
    return ok || err_set(err, ERR_INTERNAL, "the key in the client certificate cannot be hashed");
}

bool tls_identify(const struct stream *s, struct identity *ret, struct err *err)
{
    const X509 *cert = SSL_get0_peer_certificate(s->ssl);
    struct identity id = *ret;

    if (!cert)
        return true;
    TRY(get_uri(cert, id.uri, err));
    TRY(get_spki(cert, id.spki, err));
    id.until = seconds_of(X509_get0_notAfter(cert));
    id.cert = true;
    *ret = id;
    return true;
}

static bool is_anchor(const struct tls *t, X509 *x)
{
    for (int i = 0; i < sk_X509_num(t->anchors); i++)
        if (X509_cmp(sk_X509_value(t->anchors, i), x) == 0)
            return true;
    return false;
}

static bool revoked(const struct tls *t, X509 *cert)
{
    X509_REVOKED *entry;

    for (int i = 0; i < sk_X509_CRL_num(t->crls); i++) {
        X509_CRL *crl = sk_X509_CRL_value(t->crls, i);

        /* 2: it was on the list and is taken off it (removeFromCRL) */
        if (X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_issuer_name(cert)) == 0 &&
            X509_CRL_get0_by_cert(crl, &entry, cert) == 1)
            return true;
    }
    return false;
}

bool tls_still_good(const struct tls *t, const struct stream *s, enum refusal *ret_why,
                    struct err *err)
{
    X509 *cert = SSL_get0_peer_certificate(s->ssl);
    STACK_OF(X509) *chain = SSL_get0_verified_chain(s->ssl);

    if (!cert)
        return true;
    if (!t || !t->ctx || !is_anchor(t, sk_X509_value(chain, sk_X509_num(chain) - 1))) {
        *ret_why = REFUSAL_CERT_UNKNOWN_CA;
        return err_set(err, ERR_DENIED, "the client certificate's authority is no longer trusted");
    }
    if (revoked(t, cert)) {
        *ret_why = REFUSAL_CERT_REVOKED;
        return err_set(err, ERR_DENIED, "the client certificate was revoked");
    }
    return true;
}
