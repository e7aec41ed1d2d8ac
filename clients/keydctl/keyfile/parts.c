/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/parts.h"

#include <string.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "clients/libkeyd/keyd.h"
#include "proto/x509/der.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

#define E_MAX_BYTES   8  /* OpenSSL verifies no longer exponents for large moduli */
#define ED25519_BYTES 32 /* RFC 8032 5.1.5 */
#define PKCS8_HEADS   64 /* bytes around the key itself, at most */

static const uint8_t oid_rsa[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01};
static const uint8_t oid_ec[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01};
static const uint8_t oid_ed25519[] = {0x2b, 0x65, 0x70};

struct curve {
    const uint8_t *oid;
    size_t oid_len;
    size_t bytes; /* of a coordinate and of the scalar */
    int type;     /* enum keyd_key_type */
    const char *words;
};

static const uint8_t oid_p256[] = {0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
static const uint8_t oid_p384[] = {0x2b, 0x81, 0x04, 0x00, 0x22};

static const struct curve curves[] = {
    {oid_p256, sizeof(oid_p256), 32, KEYD_KEY_EC_P256, "EC P-256"},
    {oid_p384, sizeof(oid_p384), 48, KEYD_KEY_EC_P384, "EC P-384"},
};

static const struct {
    size_t bits;
    int type;
    const char *words;
} rsa_types[] = {
    {2048, KEYD_KEY_RSA_2048, "RSA-2048"},
    {3072, KEYD_KEY_RSA_3072, "RSA-3072"},
    {4096, KEYD_KEY_RSA_4096, "RSA-4096"},
};

static bool damaged(const char *what, struct err *err)
{
    err_set(err, ERR_BAD_REQUEST, "the %s is damaged", what);
    return err_hint(err, "does 'openssl pkey -in FILE -check -noout' read it?");
}

enum parts_form parts_form(const struct rd *der)
{
    struct rd all = *der;
    struct rd body = asn1_enter(&all, TAG_SEQUENCE);
    uint32_t version = asn1_small(&body);
    uint8_t next = asn1_peek(&body);

    if (body.failed)
        return PARTS_UNKNOWN;
    if (version <= 1 && next == TAG_SEQUENCE)
        return PARTS_PKCS8;
    if (version == 1 && next == TAG_OCTETS)
        return PARTS_SEC1;
    return version <= 1 && next == TAG_INTEGER ? PARTS_PKCS1 : PARTS_UNKNOWN;
}

/* ---- RSA */

/* DSA's old form begins as RSA's does: version, p, q, g, y, x, all of them whole numbers. */
static bool is_dsa(const struct rd *der)
{
    struct rd all = *der;
    struct rd body = asn1_enter(&all, TAG_SEQUENCE);

    for (unsigned i = 0; i < 6; i++)
        asn1_natural(&body);
    return rd_end(&body);
}

static bool unsupported_dsa(struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "this is a DSA key; TLS has no more use for it");
    return err_hint(err, "keyd keeps RSA, EC P-256, EC P-384 and Ed25519");
}

static bool read_rsa(struct rd *r, struct parts *parts, struct err *err)
{
    struct rd whole = asn1_whole(r), at = whole;
    struct rd body = asn1_enter(&at, TAG_SEQUENCE);
    uint32_t version = asn1_small(&body);
    struct rd v[8];
    bool zero = false;

    if (is_dsa(&whole))
        return unsupported_dsa(err);
    for (size_t i = 0; i < COUNT(v); i++) {
        v[i] = asn1_natural(&body);
        zero |= rd_left(&v[i]) == 0;
    }
    if (!body.failed && version == 1) {
        err_set(err, ERR_UNSUPPORTED, "this RSA key has more than two primes");
        return err_hint(err, "make a new one: keydctl keys-generate");
    }
    if (!rd_end(&body) || version != 0)
        return damaged("RSA private key", err);
    if (zero) {
        err_set(err, ERR_UNSUPPORTED,
                "the RSA private key lacks its primes or what follows from "
                "them");
        return err_hint(err, "keyd takes keys with p, q, dP, dQ and qInv (RFC 8017 3.2)");
    }
    *parts = (struct parts){.kind = PARTS_RSA, .rsa = whole, .n = v[0], .e = v[1]};
    parts->p = v[3];
    parts->q = v[4];
    return true;
}

/* ---- EC */

static bool other_curve(const struct rd *oid, struct err *err)
{
    char name[ASN1_OID_NAME];

    err_set(err, ERR_UNSUPPORTED, "the key is on the curve %s, which public TLS does not use",
            asn1_oid_name(oid, name));
    return err_hint(err, "keyd keeps EC keys on P-256 and P-384: keydctl keys-generate --type "
                         "ec-p256");
}

/* ECParameters (RFC 5480 2.1.1): a name; those that spell the curve out are for attackers
 * (CVE-2020-0601). */
static bool read_curve(struct rd *r, const struct curve **ret, struct err *err)
{
    if (asn1_peek(r) == TAG_SEQUENCE) {
        err_set(err, ERR_UNSUPPORTED, "the key spells its curve out instead of naming it");
        return err_hint(err,
                        "name it: openssl ec -in FILE -param_enc named_curve -no_public -out NEW");
    }
    struct rd oid = asn1_enter(r, TAG_OID);
    if (oid.failed)
        return damaged("EC private key", err);
    for (size_t i = 0; i < COUNT(curves); i++)
        if (asn1_is(&oid, curves[i].oid, curves[i].oid_len)) {
            *ret = &curves[i];
            return true;
        }
    return other_curve(&oid, err);
}

/* A BIT STRING of whole bytes; a failed cursor if it is something else. */
static struct rd read_bits(struct rd *r, uint8_t tag)
{
    struct rd bits = asn1_enter(r, tag);

    rd_expect(&bits, "\0", 1);
    return bits;
}

/* ECPrivateKey (RFC 5915 3). The curve is in there, or around it (PKCS#8), or both. */
static bool read_ec(struct rd *r, const struct curve *curve, struct parts *parts, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);
    struct parts p = {.kind = PARTS_EC};

    if (asn1_small(&body) != 1)
        body.failed = true;
    p.secret = asn1_enter(&body, TAG_OCTETS);
    if (asn1_peek(&body) == TAG_CONTEXT(0)) {
        struct rd inside = asn1_enter(&body, TAG_CONTEXT(0));

        TRY(read_curve(&inside, &p.curve, err));
        if (!rd_end(&inside) || (curve && curve != p.curve))
            return damaged("EC private key", err);
    }
    if (asn1_peek(&body) == TAG_CONTEXT(1)) {
        struct rd inside = asn1_enter(&body, TAG_CONTEXT(1));

        p.point = read_bits(&inside, TAG_BIT_STRING);
        if (!rd_end(&inside) || rd_left(&p.point) == 0)
            body.failed = true;
    }
    p.curve = p.curve ? p.curve : curve;
    if (!rd_end(&body) || !p.curve || rd_left(&p.secret) == 0 ||
        rd_left(&p.secret) > p.curve->bytes)
        return damaged("EC private key", err);
    *parts = p;
    return true;
}

/* ---- PKCS#8 */

static bool other_algorithm(const struct rd *oid, struct err *err)
{
    char name[ASN1_OID_NAME];

    err_set(err, ERR_UNSUPPORTED, "this is a private key of the type %s, which keyd does not keep",
            asn1_oid_name(oid, name));
    return err_hint(err, "keyd keeps RSA, EC P-256, EC P-384 and Ed25519");
}

/* The AlgorithmIdentifier (RFC 5280 4.1.1.2) of a key that keyd keeps. */
static bool read_algorithm(struct rd *r, struct parts *p, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);
    struct rd oid = asn1_enter(&body, TAG_OID);

    if (oid.failed)
        return damaged("PKCS#8 private key", err);
    if (asn1_is(&oid, oid_rsa, sizeof(oid_rsa))) {
        p->kind = PARTS_RSA;
        if (asn1_peek(&body) == TAG_NULL) /* RFC 3279 2.3.1; left out by some */
            rd_expect(&body, "\5\0", 2);
    } else if (asn1_is(&oid, oid_ec, sizeof(oid_ec))) {
        p->kind = PARTS_EC;
        TRY(read_curve(&body, &p->curve, err));
    } else if (asn1_is(&oid, oid_ed25519, sizeof(oid_ed25519))) {
        p->kind = PARTS_ED25519;
    } else {
        return other_algorithm(&oid, err);
    }
    return rd_end(&body) || damaged("PKCS#8 private key", err);
}

/* What is in the OCTET STRING of a PKCS#8. */
static bool read_inner(struct rd *key, struct parts *p, struct err *err)
{
    if (p->kind == PARTS_RSA) {
        TRY(read_rsa(key, p, err));
    } else if (p->kind == PARTS_EC) {
        TRY(read_ec(key, p->curve, p, err));
    } else { /* RFC 8410 7 */
        p->secret = asn1_enter(key, TAG_OCTETS);
        if (rd_left(&p->secret) != ED25519_BYTES)
            return damaged("Ed25519 private key", err);
    }
    return rd_end(key) || damaged("PKCS#8 private key", err);
}

static bool read_pkcs8(struct rd *r, struct parts *parts, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);
    uint32_t version = asn1_small(&body);
    struct parts p = {0};

    TRY(read_algorithm(&body, &p, err));
    struct rd key = asn1_enter(&body, TAG_OCTETS);
    if (key.failed || version > 1)
        return damaged("PKCS#8 private key", err);
    TRY(read_inner(&key, &p, err));
    if (asn1_peek(&body) == TAG_CONTEXT(0)) /* attributes: nothing that we keep */
        asn1_whole(&body);
    if (version == 1 && asn1_peek(&body) == TAG_PRIMITIVE(1)) { /* RFC 5958 2: publicKey */
        struct rd point = read_bits(&body, TAG_PRIMITIVE(1));

        if (rd_left(&point) == 0)
            body.failed = true;
        if (p.kind != PARTS_RSA)
            p.point = point;
    }
    if (!rd_end(&body))
        return damaged("PKCS#8 private key", err);
    *parts = p;
    return true;
}

bool parts_read(const struct rd *der, enum parts_form form, struct parts *ret, struct err *err)
{
    struct rd r = *der;
    struct parts p = {0};
    bool ok = form == PARTS_PKCS1  ? read_rsa(&r, &p, err)
              : form == PARTS_SEC1 ? read_ec(&r, NULL, &p, err)
                                   : read_pkcs8(&r, &p, err);

    TRY(ok);
    if (!rd_end(&r)) {
        err_set(err, ERR_BAD_REQUEST, "%zu bytes follow the private key", rd_left(&r));
        return err_hint(err, "was it copied as text? copy it again, in binary");
    }
    *ret = p;
    return true;
}

/* ---- quality */

static size_t bits_of(const struct rd *n)
{
    size_t bytes = rd_left(n), bits = bytes * 8;

    for (unsigned first = bytes ? *n->at : 0x80; !(first & 0x80); first <<= 1)
        bits--;
    return bits;
}

static bool even(const struct rd *n)
{
    return !(n->end[-1] & 1);
}

static bool judge_length(size_t bits, struct err *err)
{
    for (size_t i = 0; i < COUNT(rsa_types); i++)
        if (bits == rsa_types[i].bits)
            return true;
    err_set(err, ERR_UNSUPPORTED, "the RSA key has %zu bits, %s", bits,
            bits < 2048   ? "which can be broken"
            : bits > 4096 ? "more than keyd keeps"
                          : "an unusual length that keyd does not keep");
    return err_hint(err, "keyd keeps RSA keys of 2048, 3072 and 4096 bits; a new one: keydctl "
                         "keys-generate");
}

bool parts_judge(const struct parts *parts, struct err *err)
{
    const struct rd *e = &parts->e;

    if (parts->kind != PARTS_RSA)
        return true;
    TRY(judge_length(bits_of(&parts->n), err));
    if (even(&parts->n) || even(&parts->p) || even(&parts->q))
        return damaged("RSA private key", err);
    if (even(e))
        err_set(err, ERR_UNSUPPORTED, "the RSA key's public exponent is even");
    else if (rd_left(e) == 1 && *e->at < 3)
        err_set(err, ERR_UNSUPPORTED, "the RSA key's public exponent is 1");
    else if (rd_left(e) > E_MAX_BYTES)
        err_set(err, ERR_UNSUPPORTED, "the RSA key's public exponent has %zu bits", bits_of(e));
    else
        return true;
    return err_hint(err, "it is 65537 in a sound key; a new one: keydctl keys-generate");
}

int parts_type(const struct parts *parts, const char **ret_words)
{
    size_t i = 0;

    switch (parts->kind) {
    case PARTS_EC:
        *ret_words = parts->curve->words;
        return parts->curve->type;
    case PARTS_ED25519:
        *ret_words = "Ed25519";
        return KEYD_KEY_ED25519;
    case PARTS_RSA:
        break;
    }
    while (i + 1 < COUNT(rsa_types) && bits_of(&parts->n) != rsa_types[i].bits)
        i++;
    *ret_words = rsa_types[i].words;
    return rsa_types[i].type;
}

/* ---- writing */

static void put_rd(struct der_out *o, const struct rd *r)
{
    der_raw(o, r->at, rd_left(r));
}

/* ECPrivateKey (RFC 5915 3) without parameters: PKCS#8 has them. */
static void put_ec(struct der_out *o, const struct parts *p, const uint8_t *point, size_t len)
{
    static const uint8_t zeros[64];
    const uint8_t *inner = der_mark(o);

    if (point) {
        const uint8_t *bits = der_mark(o);

        der_raw(o, point, len);
        der_raw(o, zeros, 1);
        der_wrap(o, TAG_BIT_STRING, bits);
        der_wrap(o, TAG_CONTEXT(1), bits);
    }
    const uint8_t *scalar = der_mark(o);
    put_rd(o, &p->secret);
    der_raw(o, zeros, p->curve->bytes - rd_left(&p->secret));
    der_wrap(o, TAG_OCTETS, scalar);
    der_value(o, TAG_INTEGER, "\1", 1);
    der_wrap(o, TAG_SEQUENCE, inner);
}

static void put_algorithm(struct der_out *o, const struct parts *p)
{
    const uint8_t *inner = der_mark(o);

    if (p->kind == PARTS_RSA) {
        der_value(o, TAG_NULL, NULL, 0);
        der_value(o, TAG_OID, oid_rsa, sizeof(oid_rsa));
    } else if (p->kind == PARTS_EC) {
        der_value(o, TAG_OID, p->curve->oid, p->curve->oid_len);
        der_value(o, TAG_OID, oid_ec, sizeof(oid_ec));
    } else {
        der_value(o, TAG_OID, oid_ed25519, sizeof(oid_ed25519));
    }
    der_wrap(o, TAG_SEQUENCE, inner);
}

static void put_pkcs8(struct der_out *o, const struct parts *p, const uint8_t *point, size_t len)
{
    const uint8_t *inner = der_mark(o);

    if (p->kind == PARTS_RSA) {
        put_rd(o, &p->rsa);
    } else if (p->kind == PARTS_EC) {
        put_ec(o, p, point, len);
    } else {
        put_rd(o, &p->secret);
        der_wrap(o, TAG_OCTETS, inner);
    }
    der_wrap(o, TAG_OCTETS, inner);
    put_algorithm(o, p);
    der_value(o, TAG_INTEGER, "\0", 1);
    der_wrap(o, TAG_SEQUENCE, inner);
}

bool parts_write(const struct parts *parts, const uint8_t *point, size_t point_len,
                 struct secret *ret, struct err *err)
{
    size_t cap = rd_left(&parts->rsa) + rd_left(&parts->secret) + 2 * point_len + 2 * PKCS8_HEADS;
    struct secret s = {0};

    TRY(secret_new(&s, cap, err));
    struct der_out o = der_out_of(s.bytes, cap);
    put_pkcs8(&o, parts, point, point_len);
    if (o.failed) {
        secret_free(&s);
        return err_set(err, ERR_INTERNAL, "a PKCS#8 longer than %zu bytes", cap);
    }
    s.len = (size_t)(o.end - o.at);
    memmove(s.bytes, o.at, s.len);
    secret_wipe(s.bytes + s.len, cap - s.len);
    *ret = s;
    return true;
}

/* SEC 1, 2.3.3: 02 or 03 and x; 04, x and y; 06 or 07, x and y. */
bool parts_point_fits(const struct parts *parts, const uint8_t *point, size_t point_len)
{
    struct rd given = parts->point, want = rd_of(point, point_len);

    if (rd_left(&given) == 0)
        return true;
    if (parts->kind == PARTS_ED25519) {
        rd_expect(&given, point, point_len);
        return rd_end(&given);
    }
    uint8_t form = rd_u8(&given), odd = want.end[-1] & 1;
    size_t bytes = parts->curve->bytes;
    bool known = form == 4 || form == 6 + odd || form == 2 + odd;

    rd_u8(&want);
    rd_expect(&given, rd_bytes(&want, bytes), bytes);
    if (form >= 4)
        rd_expect(&given, rd_bytes(&want, bytes), bytes);
    return known && rd_end(&given);
}
