/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate's TLS over a socket pair, with a client of the test's own: who is let in and as whom,
 * who is not and why, what a changed bundle makes of whoever is in; and files that are refused.
 */
#include "tests/unit/test.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/gate/gate.h"
#include "keyd/gate/tls.h"
#include "proto/base/wr.h"
#include "tests/unit/certs/certs.h"

/* ---- bundles */

struct bundle {
    uint8_t bytes[200000];
    size_t len;
};

/* Of files by name; NULL: not configured. A text with a newline stands for itself. */
static const struct bundle *bundle_of(const char *const names[TLS_FILES])
{
    static struct bundle b;
    struct wr w = wr_of(b.bytes, sizeof(b.bytes));

    for (int i = 0; i < TLS_FILES; i++) {
        size_t len = 0;
        char *text = NULL;

        if (names[i] && !strchr(names[i], '\n'))
            text = certs_read(names[i], &len);
        wr_text(&w, names[i] ? text ? names[i] : "text" : "");
        wr_u32(&w, (uint32_t)(text ? len : names[i] ? strlen(names[i]) : 0));
        wr_bytes(&w,
                 text       ? text
                 : names[i] ? names[i]
                            : "",
                 text       ? len
                 : names[i] ? strlen(names[i])
                            : 0);
        free(text);
    }
    assert_true(wr_ok(&w));
    b.len = w.len;
    return &b;
}

static struct tls *tls_of(const char *ca, const char *crl, const char *deny)
{
    const char *const names[TLS_FILES] = {"server.crt", "server.key", ca, crl, deny};
    const struct bundle *b = bundle_of(names);
    struct tls *t = NULL;
    struct err err;

    if (!tls_make(&t, b->bytes, b->len, &err))
        fail_msg("%s", err.text);
    return t;
}

static void test_bad_files(void **state)
{
    static const struct {
        const char *names[TLS_FILES];
        const char *says;
    } rows[] = {
        {{"server.crt", "client.key", "ca.pem"}, "client.key is not the key of the certificate"},
        {{"server.crt", "server.crt", "ca.pem"}, "server.crt: no private key in PEM"},
        {{"server.key", "server.key", "ca.pem"}, "server.key: no certificates in PEM"},
        {{"server.crt", "server.key", "server.key"}, "server.key: no certificates in PEM"},
        {{"server.crt", "server.key", "ca.pem", "ca.pem"}, "ca.pem: no CRL in PEM"},
        {{"server.crt", "server.key", "ca.pem", "foreign.pem"}, "none of the authorities"},
        {{"server.crt", "server.key", "ca.pem", NULL, "fe-1\nno name\n"}, "line 2: \"no name\""},
        {{"x\n", "server.key", "ca.pem"}, "no certificates in PEM"},
    };
    char warning[700];
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct bundle *b = bundle_of(rows[i].names);

        if (gate_tls_check(b->bytes, b->len, warning, sizeof(warning), &err))
            fail_msg("row %zu was taken", i);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_contains(err.text, rows[i].says);
        assert_int_equal(ERR_peek_error(), 0);
    }
    const struct bundle *b =
        bundle_of((const char *[]){"server.crt", "server.key", "ca.pem", NULL, NULL});
    assert_true(gate_tls_check(b->bytes, b->len, warning, sizeof(warning), &err));
    assert_contains(warning, "server.crt expires in 8 days");
    for (size_t n = 0; n < b->len; n += 37)
        assert_false(gate_tls_check(b->bytes, n, warning, sizeof(warning), &err));
}

/* ---- connections */

struct pair {
    struct stream server;
    SSL *client;
    SSL_CTX *ctx;
    int fd;
    char why[200];
    enum refusal refusal; /* when `failed` */
    bool failed;
};

static SSL_CTX *client_ctx(const char *name)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
    char file[64];

    if (!name)
        return ctx;
    snprintf(file, sizeof(file), "%s.crt", name);
    assert_int_equal(SSL_CTX_use_certificate_file(ctx, certs_path(file), SSL_FILETYPE_PEM), 1);
    snprintf(file, sizeof(file), "%s.key", name);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, certs_path(file), SSL_FILETYPE_PEM), 1);
    return ctx;
}

static void pair_open(struct pair *p, const struct tls *t, const char *name)
{
    int ends[2];

    *p = (struct pair){.ctx = client_ctx(name)};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(tls_accept(t, ends[0], &p->server));
    p->fd = ends[1];
    p->client = SSL_new(p->ctx);
    SSL_set_fd(p->client, p->fd);
    SSL_set_connect_state(p->client);
}

static void pair_close(struct pair *p)
{
    SSL_free(p->client);
    SSL_CTX_free(p->ctx);
    close(p->fd);
    stream_close(&p->server);
}

/* Turns both sides until the server has read the client's "hello", or has ended. */
static void pair_shake(struct pair *p)
{
    char byte[16];
    bool said = false;

    for (int i = 0; i < 100 && !p->failed; i++) {
        said = said || SSL_write(p->client, "hello", 5) == 5;
        ERR_clear_error();
        ssize_t n = stream_read(&p->server, byte, sizeof(byte));
        if (n == 5)
            return;
        if (n == 0 || n == STREAM_BROKEN) {
            p->failed = true;
            p->refusal = tls_failure(&p->server, p->why, sizeof(p->why));
        }
    }
    assert_true(p->failed);
}

static void test_who(void **state)
{
    static const struct {
        const char *name, *uri;
        bool cert, ok;
    } rows[] = {
        {"client", "spiffe://test/fe-1", true, true},
        {"bare", "", true, true},
        {NULL, "", false, true},
        {"two", "", false, false},
    };
    struct tls *t = tls_of("ca.pem", NULL, NULL);

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct identity id = {0};
        struct pair p;
        struct err err;

        pair_open(&p, t, rows[i].name);
        assert_false(stream_ready(&p.server));
        assert_int_equal(stream_write(&p.server, "x", 1), STREAM_BROKEN);
        pair_shake(&p);
        assert_true(stream_ready(&p.server));
        assert_int_equal(tls_identify(&p.server, &id, &err), rows[i].ok);
        if (!rows[i].ok)
            assert_contains(err.text, "two identities");
        assert_string_equal(id.uri, rows[i].uri);
        assert_int_equal(id.cert, rows[i].cert);
        assert_int_equal(id.until > 0, rows[i].cert);
        assert_int_equal(stream_write(&p.server, "x", 1), 1);
        assert_int_equal(SSL_read(p.client, (char[1]){0}, 1), 1);
        assert_false(SSL_session_reused(p.client));
        pair_close(&p);
    }
    tls_free(t);
}

static void test_turned_away(void **state)
{
    static const struct {
        const char *name, *crl;
        enum refusal refusal;
    } rows[] = {
        {"late", NULL, REFUSAL_CERT_EXPIRED},
        {"stranger", NULL, REFUSAL_CERT_UNKNOWN_CA},
        {"purpose", NULL, REFUSAL_CERT_PURPOSE},
        {"client", "revoked.pem", REFUSAL_CERT_REVOKED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls *t = tls_of("ca.pem", rows[i].crl, NULL);
        struct pair p;

        pair_open(&p, t, rows[i].name);
        pair_shake(&p);
        assert_true(p.failed);
        assert_string_equal(refusal_name(p.refusal), refusal_name(rows[i].refusal));
        assert_false(stream_ready(&p.server));
        pair_close(&p);
        tls_free(t);
    }
}

static void test_no_tls(void **state)
{
    static const char http[] = "GET / HTTP/1.0\r\n\r\n", frame[] = "\0\0\0\10abcdefgh";
    struct tls *t = tls_of("ca.pem", NULL, NULL);
    struct pair p;
    char byte[4];

    (void)state;
    for (int i = 0; i < 3; i++) {
        pair_open(&p, t, NULL);
        if (i == 2) {
            SSL_set_max_proto_version(p.client, TLS1_2_VERSION);
            (void)SSL_connect(p.client);
        } else {
            assert_true(send(p.fd, i ? frame : http, i ? sizeof(frame) : sizeof(http), 0) > 0);
        }
        ERR_clear_error();
        assert_int_equal(stream_read(&p.server, byte, sizeof(byte)), STREAM_BROKEN);
        assert_int_equal(tls_failure(&p.server, p.why, sizeof(p.why)),
                         i == 2 ? REFUSAL_TLS_VERSION : REFUSAL_NOT_TLS);
        pair_close(&p);
    }
    tls_free(t);
}

/* The bytes of several records that came at once do not wait for the socket. */
static void test_pending(void **state)
{
    struct tls *t = tls_of("ca.pem", NULL, NULL);
    struct pair p;
    char byte[8];

    (void)state;
    pair_open(&p, t, "client");
    pair_shake(&p);
    for (int i = 0; i < 3; i++)
        assert_int_equal(SSL_write(p.client, "12345678", 8), 8);
    assert_int_equal(stream_read(&p.server, byte, 8), 8);
    for (int i = 0; i < 2; i++) {
        assert_true(stream_pending(&p.server));
        assert_int_equal(stream_read(&p.server, byte, 8), 8);
    }
    assert_int_equal(stream_read(&p.server, byte, 8), STREAM_AGAIN);
    assert_false(stream_pending(&p.server)); /* else a loop would turn for ever */
    close(p.fd);
    p.fd = -1;
    ssize_t n = stream_read(&p.server, byte, 8);
    assert_true(n == 0 || n == STREAM_BROKEN);
    assert_true(stream_ready(&p.server)); /* it was, whatever came */
    pair_close(&p);
    tls_free(t);
}

/* ---- whoever is in, under other settings */

static void test_still_good(void **state)
{
    static const struct {
        const char *ca, *crl;
        bool good;
        enum refusal why;
    } rows[] = {
        {"ca.pem", NULL, true, 0},
        {"ca.pem", "crl.pem", true, 0},
        {"ca.pem", "revoked.pem", false, REFUSAL_CERT_REVOKED},
        {"other.pem", NULL, false, REFUSAL_CERT_UNKNOWN_CA},
    };
    struct tls *first = tls_of("ca.pem", NULL, NULL);
    enum refusal why;
    struct pair p;
    struct err err;

    (void)state;
    pair_open(&p, first, "client");
    pair_shake(&p);
    tls_free(first); /* the connection lives on without it */
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls *t = tls_of(rows[i].ca, rows[i].crl, NULL);

        assert_int_equal(tls_still_good(t, &p.server, &why, &err), rows[i].good);
        if (!rows[i].good)
            assert_int_equal(why, rows[i].why);
        tls_free(t);
    }
    assert_false(tls_still_good(NULL, &p.server, &why, &err));
    pair_close(&p);
}

static void test_deny_list(void **state)
{
    struct identity id = {.cert = true, .uri = "spiffe://test/fe-1"};
    struct principal fe = {.role = ROLE_FRONTEND, .name = "fe-1"}, nobody = {.role = ROLE_NONE};
    static const struct {
        const char *deny;
        bool denied, nobody_too;
    } rows[] = {
        {"fe-2\n# fe-1\n\n", false, false},
        {"x\n fe-1 # stolen\r\n", true, false},
        {"spiffe://test/fe-1\n", true, true},
        {"spiffe://test/fe-1x\nspiffe://test/fe-\n", false, false},
        {"1111111111111111111111111111111111111111111111111111111111111111\n", true, true},
        {"FF11111111111111111111111111111111111111111111111111111111111111\n", false, false},
    };

    (void)state;
    memset(id.spki, 0x11, sizeof(id.spki));
    assert_false(tls_denies(NULL, &id, &fe));
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct tls *t = tls_of("ca.pem", NULL, rows[i].deny);

        assert_int_equal(tls_denies(t, &id, &fe), rows[i].denied);
        assert_int_equal(tls_denies(t, &id, &nobody), rows[i].nobody_too);
        tls_free(t);
    }
    /* a deny list needs no listener */
    const struct bundle *b = bundle_of((const char *[]){NULL, NULL, NULL, NULL, "fe-1\n"});
    struct tls *t = NULL;
    struct stream s;
    struct err err;
    assert_true(tls_make(&t, b->bytes, b->len, &err));
    assert_true(tls_denies(t, &(struct identity){.unix_peer = true}, &fe));
    assert_false(tls_accept(t, 0, &s));
    tls_free(t);
}

static int set_up(void **state)
{
    struct err err;

    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as in keyd */
    certs_make();
    return tls_init(&err) ? 0 : -1;
}

static int done(void **state)
{
    (void)state;
    certs_done();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bad_files),   cmocka_unit_test(test_who),
        cmocka_unit_test(test_turned_away), cmocka_unit_test(test_no_tls),
        cmocka_unit_test(test_pending),     cmocka_unit_test(test_still_good),
        cmocka_unit_test(test_deny_list),
    };

    return cmocka_run_group_tests(tests, set_up, done);
}
