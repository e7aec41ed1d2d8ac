/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/remote.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"

#define HOST_MAX 253
#define PORT_MAX 5
#define KEY_MAX  (64u << 10)
#define GROUPS   "X25519:P-256:P-384"

struct remote {
    OSSL_LIB_CTX *lib; /* with the default provider, never the application's */
    OSSL_PROVIDER *provider;
    SSL_CTX *ctx;
    BIO_METHOD *method; /* see socket_method */
    char host[HOST_MAX + 1], port[PORT_MAX + 1];
    char where[HOST_MAX + PORT_MAX + 4]; /* as it was given */
};

/* ---- what OpenSSL says, and not to the application */

static void quiet_begin(void)
{
    ERR_set_mark();
}

static void quiet_end(void)
{
    ERR_pop_to_mark();
}

static const char *reason(void)
{
    unsigned long e = ERR_peek_last_error();
    const char *why = e ? ERR_reason_error_string(e) : NULL;

    return why ? why : "OpenSSL does not say why";
}

/* ---- where */

static bool set_where(struct remote *r, const char *where, struct err *err)
{
    const char *colon = strrchr(where, ':');
    size_t n = colon ? (size_t)(colon - where) : 0;
    bool brackets = n > 2 && *where == '[' && where[n - 1] == ']';
    size_t port = colon ? strlen(colon + 1) : 0;

    if (n == 0 || n > HOST_MAX || port == 0 || port > PORT_MAX ||
        strspn(colon + 1, "0123456789") != port || (!brackets && memchr(where, ':', n))) {
        err_set(err, ERR_BAD_REQUEST, "'tls:%.200s' is no endpoint", where);
        return err_hint(err, "tls:keyd.example.net:7443, tls:192.0.2.7:7443 or "
                             "tls:[2001:db8::7]:7443");
    }
    snprintf(r->host, sizeof(r->host), "%.*s", (int)(brackets ? n - 2 : n), where + brackets);
    snprintf(r->port, sizeof(r->port), "%s", colon + 1);
    snprintf(r->where, sizeof(r->where), "%s", where);
    return true;
}

/* ---- the files */

static bool bad_file(struct err *err, const char *path, const char *what)
{
    return err_set(err, ERR_BAD_REQUEST, "%s: %s: %s", path, what, reason());
}

/* Nobody is asked: we live in other people's programs. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf, (void)size, (void)writing, (void)arg;
    return -1;
}

static bool use_pem_key(struct remote *r, const char *path, const struct secret *pem,
                        struct err *err)
{
    BIO *bio = BIO_new_mem_buf(pem->bytes, (int)pem->len);
    EVP_PKEY *key =
        bio ? PEM_read_bio_PrivateKey_ex(bio, NULL, no_passphrase, NULL, r->lib, NULL) : NULL;

    BIO_free(bio);
    if (!key)
        return bad_file(err, path, "no private key in PEM that needs no passphrase");
    bool ok = SSL_CTX_use_PrivateKey(r->ctx, key) == 1;
    EVP_PKEY_free(key);
    return ok || bad_file(err, path, "it is not the key of the certificate");
}

static bool use_key(struct remote *r, const char *path, struct err *err)
{
    struct secret pem CLEANUP(secret_free) = {0};

    TRY(secret_read_file(&pem, path, KEY_MAX, err));
    return use_pem_key(r, path, &pem, err);
}

static bool use_files(struct remote *r, const struct remote_files *f, struct err *err)
{
    if (!f->ca) {
        err_set(err, ERR_BAD_REQUEST, "tls:%s needs to know whom to believe", r->where);
        return err_hint(err, "name the file (PEM) of the authority that certified keyd");
    }
    if (!f->certificate != !f->key)
        return err_set(err, ERR_BAD_REQUEST,
                       "a client certificate goes with its key: one is missing");
    if (SSL_CTX_load_verify_file(r->ctx, f->ca) != 1)
        return bad_file(err, f->ca, "no authorities in PEM");
    if (!f->certificate)
        return true;
    if (SSL_CTX_use_certificate_chain_file(r->ctx, f->certificate) != 1)
        return bad_file(err, f->certificate, "no certificate in PEM");
    return use_key(r, f->key, err);
}

/* ---- the socket under TLS: as OpenSSL's own, but a peer that is gone raises no SIGPIPE, which
 * would end an application that knows nothing of us. */

static bool for_later(int e)
{
    return e == EAGAIN || e == EINTR || e == ENOTCONN;
}

static int socket_write(BIO *bio, const char *p, int n)
{
    ssize_t r = send((int)(intptr_t)BIO_get_data(bio), p, (size_t)n, MSG_NOSIGNAL);

    BIO_clear_retry_flags(bio);
    if (r <= 0 && for_later(errno))
        BIO_set_retry_write(bio);
    return (int)r;
}

static int socket_read(BIO *bio, char *p, int n)
{
    ssize_t r = recv((int)(intptr_t)BIO_get_data(bio), p, (size_t)n, 0);

    BIO_clear_retry_flags(bio);
    if (r < 0 && for_later(errno))
        BIO_set_retry_read(bio);
    if (r == 0)
        BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return (int)r;
}

static long socket_control(BIO *bio, int what, long number, void *pointer)
{
    (void)number, (void)pointer;
    if (what == BIO_CTRL_EOF)
        return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
    return what == BIO_CTRL_FLUSH; /* nothing is kept back */
}

static BIO_METHOD *socket_method(void)
{
    int index = BIO_get_new_index();
    BIO_METHOD *m = index > 0 ? BIO_meth_new(index | BIO_TYPE_SOURCE_SINK, "keyd's socket") : NULL;

    if (!m)
        return NULL;
    BIO_meth_set_write(m, socket_write);
    BIO_meth_set_read(m, socket_read);
    BIO_meth_set_ctrl(m, socket_control);
    return m;
}

static bool set_socket(const struct remote *r, SSL *ssl, int fd)
{
    BIO *bio = BIO_new(r->method);

    if (!bio)
        return false;
    BIO_set_data(bio, (void *)(intptr_t)fd);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    return true;
}

/* ---- the context */

static bool set_up(struct remote *r, struct err *err)
{
    r->lib = OSSL_LIB_CTX_new();
    r->provider = r->lib ? OSSL_PROVIDER_load(r->lib, "default") : NULL;
    r->method = socket_method();
    r->ctx = r->provider && r->method ? SSL_CTX_new_ex(r->lib, NULL, TLS_client_method()) : NULL;
    if (!r->ctx || SSL_CTX_set_min_proto_version(r->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_max_proto_version(r->ctx, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set1_groups_list(r->ctx, GROUPS) != 1)
        return err_set(err, ERR_INTERNAL, "no TLS context can be made: %s", reason());
    SSL_CTX_set_security_level(r->ctx, 2);
    SSL_CTX_set_verify(r->ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(r->ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_options(r->ctx, SSL_OP_NO_TICKET | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_quiet_shutdown(r->ctx, 1);
    SSL_CTX_set_mode(r->ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
                                 SSL_MODE_RELEASE_BUFFERS);
    X509_VERIFY_PARAM_set_flags(SSL_CTX_get0_param(r->ctx), X509_V_FLAG_PARTIAL_CHAIN);
    return true;
}

bool remote_new(struct remote **ret, const char *where, const struct remote_files *files,
                struct err *err)
{
    struct remote *r = mem_new(sizeof(*r));

    if (!r)
        return err_set(err, ERR_INTERNAL, "no memory for an endpoint");
    quiet_begin();
    bool ok = set_where(r, where, err) && set_up(r, err) && use_files(r, files, err);
    quiet_end();
    if (!ok) {
        remote_done(r);
        return false;
    }
    *ret = r;
    return true;
}

void remote_done(struct remote *r)
{
    if (!r)
        return;
    SSL_CTX_free(r->ctx);
    if (r->provider)
        OSSL_PROVIDER_unload(r->provider);
    OSSL_LIB_CTX_free(r->lib);
    BIO_meth_free(r->method);
    mem_free(r);
}

/* ---- connecting */

static bool unreached(const struct remote *r, int error, struct err *err)
{
    err_errno(err, ERR_UNAVAILABLE, error, "cannot reach keyd at tls:%s", r->where);
    return err_hint(err,
                    "is keyd up, and is this the address of [tls] listen-... in its keyd.conf?");
}

/* Waits for the socket; false at the deadline. */
static bool wait_for(int fd, short events, uint64_t deadline)
{
    struct pollfd p = {.fd = fd, .events = events};
    int n;

    do {
        n = poll(&p, 1, clock_wait_ms(deadline));
    } while ((n < 0 && errno == EINTR) || (n == 0 && clock_us() < deadline));
    return n > 0;
}

/* A socket that stands above stdio: an application without it would print into it. */
static int new_socket(int family)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), on = 1;

    if (fd >= 0 && fd <= 2) {
        int high = fcntl(fd, F_DUPFD_CLOEXEC, 3);

        close(fd);
        fd = high;
    }
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    }
    return fd;
}

/* 0, or an errno value. */
static int try_address(const struct addrinfo *a, uint64_t deadline, int *ret_fd)
{
    int fd = new_socket(a->ai_family), e = 0;
    socklen_t len = sizeof(e);

    if (fd < 0)
        return errno;
    if (connect(fd, a->ai_addr, a->ai_addrlen) != 0)
        e = errno;
    if (e == EINPROGRESS || e == EINTR) {
        e = 0;
        if (!wait_for(fd, POLLOUT, deadline))
            e = ETIMEDOUT;
        else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) != 0)
            e = errno;
    }
    if (e != 0)
        close(fd);
    else
        *ret_fd = fd;
    return e;
}

/* The addresses in turn, each with its share of the time that is left. */
static bool connect_any(struct remote *r, uint64_t deadline, int *ret_fd, struct err *err)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *all;
    unsigned left = 0;
    int e = getaddrinfo(r->host, r->port, &hints, &all);

    if (e != 0) {
        err_set(err, ERR_UNAVAILABLE, "cannot find keyd at %s: %s", r->host,
                e == EAI_SYSTEM ? strerror(errno) : gai_strerror(e));
        return err_hint(err, "in a chroot names are often not found: use the address");
    }
    for (struct addrinfo *a = all; a; a = a->ai_next)
        left++;
    e = ETIMEDOUT;
    for (struct addrinfo *a = all; a && e != 0; a = a->ai_next, left--) {
        uint64_t now = clock_us();

        e = try_address(a, now < deadline ? now + (deadline - now) / left : now, ret_fd);
    }
    freeaddrinfo(all);
    return e == 0 || unreached(r, e, err);
}

static SSL *new_ssl(struct remote *r, int fd)
{
    SSL *ssl = SSL_new(r->ctx);
    X509_VERIFY_PARAM *param = ssl ? SSL_get0_param(ssl) : NULL;

    if (!ssl || !set_socket(r, ssl, fd)) {
        SSL_free(ssl);
        return NULL;
    }
    /* an address is looked for among addresses, a name among names (RFC 9525 6) */
    bool named = X509_VERIFY_PARAM_set1_ip_asc(param, r->host) == 1 ||
                 (SSL_set1_host(ssl, r->host) == 1 && SSL_set_tlsext_host_name(ssl, r->host) == 1);
    if (!named) {
        SSL_free(ssl);
        return NULL;
    }
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set_connect_state(ssl);
    return ssl;
}

/* SSL_get_error(3) looks at the application's errors too. */
static bool wants_read(const SSL *ssl)
{
    return SSL_want_read(ssl) && BIO_should_read(SSL_get_rbio(ssl));
}

static bool wants_write(const SSL *ssl)
{
    return SSL_want_write(ssl) && BIO_should_write(SSL_get_wbio(ssl));
}

/* What keyd's alert says of our certificate (RFC 8446 6.2); NULL if it is about something else. */
static const char *about_us(void)
{
    switch (ERR_GET_REASON(ERR_peek_last_error())) {
    case SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED:
        return "it has expired";
    case SSL_R_SSLV3_ALERT_CERTIFICATE_REVOKED:
        return "it was revoked";
    case SSL_R_TLSV1_ALERT_UNKNOWN_CA:
        return "its authority is none of keyd's [tls] ca";
    case SSL_R_SSLV3_ALERT_BAD_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE:
    case SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN:
    case SSL_R_TLSV1_ALERT_DECRYPT_ERROR:
        return "it is not one for TLS clients, or does not verify";
    default:
        return NULL;
    }
}

static bool broke(struct err *err, const char *what)
{
    const char *us = about_us();

    if (us) {
        err_set(err, ERR_DENIED, "keyd refuses the certificate of this client: %s", us);
        return err_hint(err, "keyd's log has the same refusal, with the reason");
    }
    unsigned long e = ERR_peek_last_error();
    err_set(err, ERR_UNAVAILABLE, "%s%s%s", what, e ? ": " : "", e ? reason() : "");
    return err_hint(err, "keyd restarted, or its log says why it ended the connection");
}

static bool shake_failed(const struct remote *r, SSL *ssl, struct err *err)
{
    long verdict = SSL_get_verify_result(ssl);

    if (verdict == X509_V_OK)
        return broke(err, "keyd ended the TLS handshake");
    err_set(err, ERR_DENIED, "the certificate of tls:%s is not to be believed: %s", r->where,
            X509_verify_cert_error_string(verdict));
    return err_hint(err,
                    "is the ca the one that certified keyd, and the certificate for this name?");
}

static bool shake_hands(const struct remote *r, SSL *ssl, int fd, uint64_t deadline,
                        struct err *err)
{
    while (SSL_connect(ssl) != 1) {
        short events = wants_read(ssl) ? POLLIN : wants_write(ssl) ? POLLOUT : 0;

        if (!events)
            return shake_failed(r, ssl, err);
        if (!wait_for(fd, events, deadline))
            return unreached(r, ETIMEDOUT, err);
    }
    return true;
}

bool remote_connect(struct remote *r, uint64_t deadline, int *ret_fd, struct ssl_st **ret_ssl,
                    struct err *err)
{
    int fd = -1;

    TRY(connect_any(r, deadline, &fd, err));
    quiet_begin();
    SSL *ssl = new_ssl(r, fd);
    bool ok = ssl ? shake_hands(r, ssl, fd, deadline, err)
                  : err_set(err, ERR_INTERNAL, "no TLS connection can be made: %s", reason());
    quiet_end();
    if (!ok) {
        SSL_free(ssl);
        close(fd);
        return false;
    }
    *ret_fd = fd;
    *ret_ssl = ssl;
    return true;
}

/* ---- a connection */

static int cut(size_t n)
{
    return n < INT_MAX ? (int)n : INT_MAX;
}

static ssize_t nothing_read(SSL *ssl, struct err *err)
{
    if (wants_read(ssl))
        return REMOTE_AGAIN;
    if (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN && !about_us())
        return 0;
    broke(err, "the connection to keyd broke");
    return REMOTE_BROKEN;
}

ssize_t remote_read(struct ssl_st *ssl, void *p, size_t n, struct err *err)
{
    quiet_begin();
    ssize_t r = SSL_read(ssl, p, cut(n));
    if (r <= 0)
        r = nothing_read(ssl, err);
    quiet_end();
    return r;
}

ssize_t remote_write(struct ssl_st *ssl, const void *p, size_t n)
{
    quiet_begin();
    ssize_t r = SSL_write(ssl, p, cut(n));
    if (r <= 0)
        r = wants_write(ssl) ? REMOTE_AGAIN : REMOTE_BROKEN;
    quiet_end();
    return r;
}

bool remote_pending(const struct ssl_st *ssl)
{
    return SSL_pending(ssl) > 0;
}

void remote_forget(struct ssl_st *ssl)
{
    if (!ssl)
        return;
    /* else libssl would look for the session in the context, under a lock that a fork may have
     * copied in its locked state */
    SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}
