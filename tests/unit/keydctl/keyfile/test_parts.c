/* SPDX-License-Identifier: Apache-2.0
 *
 * Keys put together by hand, each with one thing that is not as it should be. What openssl writes
 * is in test_keyfile.c.
 */
#include "clients/keydctl/keyfile/parts.h"

#include <stdio.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "proto/x509/der.h"
#include "tests/unit/keydctl/keyfile/fixture.h"

/* ---- RSA: its numbers are only looked at, so any of the right size will do */

enum number { NONE, N, E, D, P, Q, DP, DQ, QINV };

struct rsa {
    unsigned version;
    size_t bits;   /* 0: 2048 */
    const char *e; /* NULL: 65537 */
    size_t e_len;
    enum number zero, negative, even; /* the one that is so */
    size_t more;                      /* bytes inside, after qInv */
    size_t after;                     /* bytes after all */
};

static void put_number(struct der_out *o, const struct rsa *k, enum number i)
{
    size_t bits = k->bits ? k->bits : 2048, bytes = i == N || i == D ? bits / 8 : bits / 16;
    uint8_t n[4096] = {0};

    if (i == E) {
        der_value(o, TAG_INTEGER, k->e ? k->e : "\1\0\1", k->e ? k->e_len : 3);
        return;
    }
    n[1] = 0x80; /* after the zero that keeps it positive */
    n[bytes] = k->even == i ? 0 : 1;
    if (k->zero == i)
        der_value(o, TAG_INTEGER, "\0", 1);
    else if (k->negative == i)
        der_value(o, TAG_INTEGER, n + 1, bytes);
    else
        der_value(o, TAG_INTEGER, n, bytes + 1);
}

static struct rd make_rsa(const struct rsa *k)
{
    static uint8_t room[32768];
    struct der_out o = der_out_of(room, sizeof(room));
    static const uint8_t zeros[16];
    uint8_t version = (uint8_t)k->version;

    der_raw(&o, zeros, k->after);
    const uint8_t *inner = der_mark(&o);
    der_raw(&o, zeros, k->more);
    for (enum number i = QINV; i >= N; i--)
        put_number(&o, k, i);
    der_value(&o, TAG_INTEGER, &version, 1);
    der_wrap(&o, TAG_SEQUENCE, inner);
    assert_false(o.failed);
    return (struct rd){.at = o.at, .end = o.end};
}

static void check(const struct rd *der, const char *text, enum err_code code, size_t row)
{
    struct parts p;
    struct err err = {0};
    bool ok = parts_read(der, parts_form(der), &p, &err) && parts_judge(&p, &err);

    if (ok != !text || (text && (!strstr(err.text, text) || err.code != code)))
        fail_msg("row %zu: %s", row, ok ? "read" : err.text);
}

static void test_rsa(void **state)
{
    static const struct {
        struct rsa key;
        const char *text; /* NULL: read */
        enum err_code code;
    } rows[] = {
        {{0}, NULL, 0},
        {{.bits = 3072}, NULL, 0},
        {{.bits = 4096}, NULL, 0},
        {{.bits = 1024}, "has 1024 bits, which can be broken", ERR_UNSUPPORTED},
        {{.bits = 2040}, "has 2040 bits, which can be broken", ERR_UNSUPPORTED},
        {{.bits = 2064}, "has 2064 bits, an unusual length", ERR_UNSUPPORTED},
        {{.bits = 8192}, "has 8192 bits, more than keyd keeps", ERR_UNSUPPORTED},
        {{.bits = 16384}, "has 16384 bits, more than keyd keeps", ERR_UNSUPPORTED},
        {{.version = 1}, "more than two primes", ERR_UNSUPPORTED},
        {{.version = 2}, "no private key", ERR_BAD_REQUEST},
        {{.e = "\1\0\0", .e_len = 3}, "exponent is even", ERR_UNSUPPORTED},
        {{.e = "\2", .e_len = 1}, "exponent is even", ERR_UNSUPPORTED},
        {{.e = "\1", .e_len = 1}, "exponent is 1", ERR_UNSUPPORTED},
        {{.e = "\0", .e_len = 1}, "lacks its primes", ERR_UNSUPPORTED},
        {{.e = "\1\0\0\0\0\0\0\0\1", .e_len = 9}, "exponent has 65 bits", ERR_UNSUPPORTED},
        {{.e = "\0\1\0\1", .e_len = 4}, "is damaged", ERR_BAD_REQUEST}, /* not DER */
        {{.zero = N}, "lacks its primes", ERR_UNSUPPORTED},
        {{.zero = P}, "lacks its primes", ERR_UNSUPPORTED},
        {{.zero = QINV}, "lacks its primes", ERR_UNSUPPORTED},
        {{.negative = N}, "is damaged", ERR_BAD_REQUEST},
        {{.negative = DQ}, "is damaged", ERR_BAD_REQUEST},
        {{.even = N}, "is damaged", ERR_BAD_REQUEST},
        {{.even = P}, "is damaged", ERR_BAD_REQUEST},
        {{.even = Q}, "is damaged", ERR_BAD_REQUEST},
        {{.more = 2}, "is damaged", ERR_BAD_REQUEST},
        {{.after = 1}, "1 bytes follow the private key", ERR_BAD_REQUEST},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd der = make_rsa(&rows[i].key);

        if (rows[i].key.version == 2)
            assert_int_equal(parts_form(&der), PARTS_UNKNOWN);
        else
            check(&der, rows[i].text, rows[i].code, i);
    }
}

/* ---- curves: SEC1 and PKCS#8 in hex */

static struct rd unhex(const char *hex)
{
    static uint8_t out[512];
    size_t n = 0;

    for (; hex[0]; hex += hex[0] == ' ' ? 1 : 2) {
        unsigned v;

        if (hex[0] == ' ')
            continue;
        assert_int_equal(sscanf(hex, "%2x", &v), 1);
        out[n++] = (uint8_t)v;
    }
    return rd_of(out, n);
}

#define S32      "1111111111111111111111111111111111111111111111111111111111111111"
#define S31      "11111111111111111111111111111111111111111111111111111111111111"
#define OID256   "06082a8648ce3d030107"
#define OID384   "06052b81040022"
#define OID521   "06052b81040023"
#define OIDEC    "06072a8648ce3d0201"
#define OID25519 "06032b6570"
#define POINT    "04" S32 S32

static void test_curves(void **state)
{
    static const struct {
        const char *hex;
        const char *text;
        enum err_code code;
    } rows[] = {
        /* SEC1 */
        {"3031 020101 0420" S32 "a00a" OID256, NULL, 0},
        {"3030 020101 041f" S31 "a00a" OID256, NULL, 0}, /* shorter than it should be */
        {"3077 020101 0420" S32 "a00a" OID256 "a144 034200" POINT, NULL, 0},
        {"3025 020101 0420" S32, "is damaged", ERR_BAD_REQUEST},                  /* no curve */
        {"3032 020101 0421 00" S32 "a00a" OID256, "is damaged", ERR_BAD_REQUEST}, /* longer */
        {"3011 020101 0400 a00a" OID256, "is damaged", ERR_BAD_REQUEST},          /* empty */
        {"302e 020101 0420" S32 "a007" OID521, "curve secp521r1", ERR_UNSUPPORTED},
        {"3033 020101 0420" S32 "a00c" OID256 "0500", "is damaged", ERR_BAD_REQUEST},
        {"3033 020101 0420" S32 "a00a" OID256 "0500", "is damaged", ERR_BAD_REQUEST},
        {"3077 020101 0420" S32 "a00a" OID256 "a144 034201" POINT, "is damaged", ERR_BAD_REQUEST},
        {"3036 020101 0420" S32 "a00a" OID256 "a103 030100", "is damaged", ERR_BAD_REQUEST},
        {"3029 020101 0420" S32 "a002 3000", "spells its curve out", ERR_UNSUPPORTED},
        {"3029 020101 0420" S32 "a002 0500", "is damaged", ERR_BAD_REQUEST},
        {"3031 020101 0420" S32 "a00a" OID256 "00", "1 bytes follow", ERR_BAD_REQUEST},
        /* PKCS#8 */
        {"3041 020100 3013" OIDEC OID256 "0427 3025 020101 0420" S32, NULL, 0},
        {"304d 020100 3013" OIDEC OID256 "0433 3031 020101 0420" S32 "a00a" OID256, NULL, 0},
        {"304a 020100 3013" OIDEC OID256 "0430 302e 020101 0420" S32 "a007" OID384, "is damaged",
         ERR_BAD_REQUEST}, /* two curves */
        {"3036 020100 3008" OIDEC "0427 3025 020101 0420" S32, "is damaged", ERR_BAD_REQUEST},
        {"3043 020100 3013" OIDEC OID256 "0427 3025 020101 0420" S32 "a000", NULL,
         0}, /* attributes */
        {"3043 020100 3013" OIDEC OID256 "0427 3025 020101 0420" S32 "a100", "is damaged",
         ERR_BAD_REQUEST},
        {"3043 020100 3013" OIDEC OID256 "0429 3025 020101 0420" S32 "0500", "is damaged",
         ERR_BAD_REQUEST},
        {"3043 020100 3015" OIDEC OID256 "0500 0427 3025 020101 0420" S32, "is damaged",
         ERR_BAD_REQUEST},
        {"3041 020102 3013" OIDEC OID256 "0427 3025 020101 0420" S32, "no private key",
         ERR_BAD_REQUEST},
        {"302e 020100 3005" OID25519 "0422 0420" S32, NULL, 0},
        {"302d 020100 3005" OID25519 "0421 041f" S31, "is damaged", ERR_BAD_REQUEST},
        {"3030 020100 3007" OID25519 "0500 0422 0420" S32, "is damaged", ERR_BAD_REQUEST},
        {"3051 020101 3005" OID25519 "0422 0420" S32 "812100" S32, NULL, 0}, /* RFC 8410 10.3 */
        {"3051 020100 3005" OID25519 "0422 0420" S32 "812100" S32, "is damaged", ERR_BAD_REQUEST},
        {"3031 020101 3005" OID25519 "0422 0420" S32 "810100", "is damaged", ERR_BAD_REQUEST},
        {"3006 020100 3001 06", "is damaged", ERR_BAD_REQUEST},
        {"300a 020100 3003 060101 0400", "which keyd does not keep", ERR_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd der = unhex(rows[i].hex);

        if (rows[i].text && strcmp(rows[i].text, "no private key") == 0)
            assert_int_equal(parts_form(&der), PARTS_UNKNOWN);
        else
            check(&der, rows[i].text, rows[i].code, i);
    }
}

/* The public key beside the private one, in each encoding of SEC 1 2.3.3. */
static void test_point(void **state)
{
    static const struct {
        const char *point; /* what stands in the file */
        bool fits;
    } rows[] = {
        {"04 01" S31 "02" S31, false},
        {"04" S32 "22" S31, false},
        {"04" S32 "02" S31, true},
        {"03" S32, true},
        {"02" S32, false},
        {"07" S32 "02" S31, true},
        {"06" S32 "02" S31, false},
        {"05" S32, false},
        {"04" S32, false},
        {"03" S32 "02" S31, false},
        {"04" S32 "02" S31 "00", false},
        {"00", false},
        {"03 12" S31, false},
    };
    uint8_t point[65] = {4};

    (void)state;
    memset(point + 1, 0x11, 64);
    point[33] = 2;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd der = unhex("3031 020101 0420" S32 "a00a" OID256);
        struct parts p;
        struct err err;
        uint8_t given[80];

        assert_true(parts_read(&der, PARTS_SEC1, &p, &err));
        assert_true(parts_point_fits(&p, point, sizeof(point))); /* there is none */
        struct rd text = unhex(rows[i].point);
        size_t n = rd_left(&text);
        rd_copy(&text, given, n);
        p.point = rd_of(given, n);
        der = unhex("3031 020101 0420" S32 "a00a" OID256);
        if (parts_point_fits(&p, point, sizeof(point)) != rows[i].fits)
            fail_msg("row %zu", i);
    }
}

/* A scalar that is shorter than the field is written in full (RFC 5915 3). */
static void test_write(void **state)
{
    struct rd der = unhex("3030 020101 041f" S31 "a00a" OID256);
    struct secret s;
    struct parts p;
    struct err err;

    (void)state;
    assert_true(parts_read(&der, PARTS_SEC1, &p, &err));
    assert_true(parts_write(&p, NULL, 0, &s, &err));
    uint8_t written[128];
    size_t n = s.len;
    assert_true(n < sizeof(written));
    memcpy(written, s.bytes, n);
    secret_free(&s);
    struct rd want = unhex("3041 020100 3013" OIDEC OID256 "0427 3025 020101 0420 00" S31);
    assert_int_equal(n, rd_left(&want));
    assert_memory_equal(written, want.at, n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rsa),
        cmocka_unit_test(test_curves),
        cmocka_unit_test(test_point),
        cmocka_unit_test(test_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
