/* SPDX-License-Identifier: Apache-2.0
 *
 * check FILE...: every captured message is recognised as what it was signed for; and each, bent in
 * many ways, is recognised exactly when a second reading of the RFCs, below, calls it of the shape.
 * That one shares no code with keyd: it works from a printed text, a table of lengths, and the
 * equation of the curve.
 */
#include <openssl/bn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/policy/tbs.h"
#include "tests/differential/capture.h"

#define MESSAGE_MAX 65536
#define FLIPS       24

static unsigned long messages[5], bent, refused, unclear;

static void fail(const char *what, const uint8_t *m, size_t n)
{
    fprintf(stderr, "%s, %zu bytes: ", what, n);
    for (size_t i = 0; i < n; i++)
        fprintf(stderr, "%02x", m[i]);
    fputc('\n', stderr);
    exit(1);
}

/* ---- the second reading */

/* Short Weierstrass curves with a = -3 (FIPS 186-4 D.1.2). */
static const struct {
    unsigned code;
    size_t bytes; /* of a coordinate */
    const char *p, *b;
} nist[] = {
    {23, 32, "FFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF",
     "5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B"},
    {24, 48,
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFFFF0000000000000000FFFF"
     "FFFF",
     "B3312FA7E23EE7E4988E056BE3F82D19181D9C6EFE8141120314088F5013875AC656398D8A2ED19D2A85C8EDD3EC"
     "2AEF"},
    {25, 66,
     "01FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF"
     "FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF",
     "0051953EB9618E1C9A1F929A21A0B68540EEA2DA725B99B315F3B8B489918EF109E156193951EC7E937B1652"
     "C0BD3BB1BF073573DF883D2C34F1EF451FD46B503F00"},
};

static bool on_curve(size_t k, const uint8_t *xy)
{
    static BN_CTX *ctx;
    BIGNUM *p = NULL, *b = NULL, *left = BN_new(), *right = BN_new(), *three = BN_new();

    if (!ctx)
        ctx = BN_CTX_new();
    BN_hex2bn(&p, nist[k].p);
    BN_hex2bn(&b, nist[k].b);
    BIGNUM *x = BN_bin2bn(xy, (int)nist[k].bytes, NULL);
    BIGNUM *y = BN_bin2bn(xy + nist[k].bytes, (int)nist[k].bytes, NULL);
    BN_set_word(three, 3);
    BN_mod_sqr(right, x, p, ctx);
    BN_mod_sub(right, right, three, p, ctx);
    BN_mod_mul(right, right, x, p, ctx);
    BN_mod_add(right, right, b, p, ctx);
    BN_mod_sqr(left, y, p, ctx);
    bool yes = BN_cmp(x, p) < 0 && BN_cmp(y, p) < 0 && BN_cmp(left, right) == 0;
    BIGNUM *all[] = {p, b, left, right, three, x, y};
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++)
        BN_free(all[i]);
    return yes;
}

static bool is_tls12(const uint8_t *m, size_t n)
{
    if (n < 69 || m[64] != 3 || m[65] != 0)
        return false;
    if (m[66] == 29)
        return m[67] == 32 && n == 100;
    if (m[66] == 30)
        return m[67] == 56 && n == 124;
    for (size_t k = 0; k < 3; k++)
        if (m[66] == nist[k].code)
            return m[67] == 2 * nist[k].bytes + 1 && n == 68u + m[67] && m[68] == 4 &&
                   on_curve(k, m + 69);
    return false;
}

static bool is_tls13(const uint8_t *m, size_t n, const char *who)
{
    char head[128];

    snprintf(head, sizeof(head), "%64sTLS 1.3, %s CertificateVerify", "", who);
    return (n == 130 || n == 146) && memcmp(m, head, 98) == 0;
}

static enum purpose second_reading(const uint8_t *m, size_t n)
{
    if (is_tls13(m, n, "server"))
        return PURPOSE_TLS13_SERVER;
    if (is_tls13(m, n, "client"))
        return PURPOSE_TLS13_CLIENT;
    return is_tls12(m, n) ? PURPOSE_TLS12_SERVER : 0;
}

/* ---- comparing */

static enum purpose keyd(const uint8_t *m, size_t n)
{
    struct err err = {0};
    uint8_t *copy = malloc(n ? n : 1); /* of its size: a sanitizer sees what reads behind it */

    if (n)
        memcpy(copy, m, n);
    enum purpose purpose = tbs_recognise(copy, n, &err);
    if (!purpose && (err.code != ERR_BAD_SHAPE || !*err.text))
        fail("refused without a reason", m, n);
    free(copy);
    return purpose;
}

/* A first byte that begins an ASN.1 structure: keyd may say no to what is of the shape, not the
 * other way round. */
static bool may_be_der(const uint8_t *m)
{
    return (m[0] & 0xe0) == 0x20 && m[0] != 0x20;
}

static void compare(const uint8_t *m, size_t n)
{
    enum purpose mine = second_reading(m, n), theirs = keyd(m, n);

    bent++;
    if (theirs == 0)
        refused++;
    if (theirs == mine)
        return;
    if (theirs == 0 && may_be_der(m)) {
        unclear++;
        return;
    }
    fail("the two readings differ", m, n);
}

/* ---- bending; the same ways in every run */

static uint32_t noise(void)
{
    static uint32_t x = 2463534242u;

    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return x;
}

static void bend_bytes(uint8_t *m, size_t n)
{
    for (unsigned i = 0; i < FLIPS; i++) {
        size_t at = i < 8 ? n - 1 - noise() % (n - 64) : noise() % n;
        uint8_t bit = (uint8_t)(1u << noise() % 8);
        m[at] ^= bit;
        compare(m, n);
        m[at] ^= bit;
    }
}

static void bend_length(uint8_t *m, size_t n)
{
    uint8_t longer[MESSAGE_MAX + 16];

    for (size_t less = 1; less <= 18 && less < n; less++)
        compare(m, n - less);
    compare(m + 1, n - 1);
    memcpy(longer, m, n);
    for (size_t more = 1; more <= 16; more++) {
        longer[n + more - 1] = (uint8_t)noise();
        compare(longer, n + more);
    }
    for (unsigned i = 0; i < 6; i++) { /* one in, one out */
        size_t at = noise() % n;
        memcpy(longer, m, at);
        longer[at] = (uint8_t)noise();
        memcpy(longer + at + 1, m + at, n - at);
        compare(longer, n + 1);
        memcpy(longer, m, at);
        memcpy(longer + at, m + at + 1, n - at - 1);
        compare(longer, n - 1);
    }
}

/* Bytes 64 to 68: curve type, curve, length, form; or the first ones of the context string. */
static void bend_head(uint8_t *m, size_t n)
{
    for (size_t at = 64; at < 69; at++) {
        uint8_t was = m[at];
        for (unsigned v = 0; v < 256; v += at == 66 ? 1 : 7) {
            m[at] = (uint8_t)v;
            compare(m, n);
        }
        m[at] = was;
    }
}

static void bend_context(uint8_t *m, size_t n)
{
    static const char *const others[] = {
        "TLS 1.3, client CertificateVerify", "TLS 1.3, server CertificateVerify",
        "TLS, server delegated credentials", "TLS, client delegated credentials"};
    uint8_t was[33];

    if (n < 98)
        return;
    memcpy(was, m + 64, 33);
    for (size_t i = 0; i < 4; i++) {
        memcpy(m + 64, others[i], 33);
        compare(m, n);
    }
    memcpy(m + 64, was, 33);
}

/* ---- the captured ones */

static enum purpose purpose_of(unsigned kind)
{
    switch (kind) {
    case CAPTURE_TLS13_SERVER:
        return PURPOSE_TLS13_SERVER;
    case CAPTURE_TLS13_CLIENT:
        return PURPOSE_TLS13_CLIENT;
    case CAPTURE_TLS12_SERVER:
        return PURPOSE_TLS12_SERVER;
    default:
        return 0;
    }
}

static void take(unsigned kind, uint8_t *m, size_t n)
{
    messages[kind]++;
    if (keyd(m, n) != purpose_of(kind))
        fail("captured and not recognised as what it is", m, n);
    if (second_reading(m, n) != purpose_of(kind))
        fail("the second reading does not know it", m, n);
    if (n < 100)
        return;
    bend_bytes(m, n);
    bend_length(m, n);
    bend_head(m, n);
    bend_context(m, n);
}

static void read_file(const char *path)
{
    static uint8_t m[MESSAGE_MAX];
    FILE *f = fopen(path, "rb");
    uint8_t head[5];

    if (!f)
        fail(path, NULL, 0);
    while (fread(head, 1, 5, f) == 5) {
        size_t n = (size_t)head[1] << 24 | (size_t)head[2] << 16 | (size_t)head[3] << 8 | head[4];
        if (head[0] < 1 || head[0] > 4 || n > sizeof(m) || fread(m, 1, n, f) != n)
            fail("no capture", head, 5);
        take(head[0], m, n);
    }
    fclose(f);
}

int main(int argc, char **argv)
{
    for (int i = 1; i < argc; i++)
        read_file(argv[i]);
    printf("recognised %lu tls13-server, %lu tls13-client, %lu tls12-server; refused %lu TLS 1.2 "
           "clients'\nbent %lu, refused %lu of them, %lu more for they may be DER\n",
           messages[1], messages[2], messages[3], messages[4], bent, refused, unclear);
    return messages[1] && messages[3] ? 0 : 1;
}
