/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 2986 4.1, RFC 2985 5.4.2, RFC 5280 4.1 and 4.2.1:
 *   Attribute  ::= SEQUENCE { OID, SET OF value }        -- OID extensionRequest, one value:
 *   Extensions ::= SEQUENCE SIZE (1..) OF SEQUENCE {
 *       extnID OID, critical BOOLEAN DEFAULT FALSE, extnValue OCTET STRING }
 *
 * A certification authority may copy what it finds here, so only what we can read and what belongs
 * to a TLS server is let through. Refused among others: cA TRUE (the key would sign certificates);
 * challengePassword (RFC 2985 5.4.1: it lets its holder have the certificate revoked; it stands in
 * the clear, and no authority of the Web PKI asks for it); Microsoft's second extensionRequest
 * (two lists of names, of which readers take either).
 */
#include "keyd/policy/tbs_csr_ext.h"

#include <stdio.h>
#include <string.h>

#include "keyd/policy/ber.h"

#define DER_BOOLEAN    0x01
#define DER_IA5_DNS    0x82 /* GeneralName dNSName [2] IMPLICIT IA5String */
#define VALUE_DEPTH    8
#define KEY_CERT_SIGN  0x04 /* bits 5 and 6 of KeyUsage, in the first byte of the BIT STRING */
#define CRL_SIGN       0x02
#define OID_TEXT_BYTES 12 /* of a strange OID that an error shows */

typedef bool judge_value(struct rd value, const struct tbs_names *allowed, struct err *err);

/* ---- OIDs */

/* X.690 8.19.2: no sub-identifier begins with 0x80, the last byte ends one. */
static bool oid_canonical(const uint8_t *p, size_t n)
{
    bool starts = true;

    for (size_t i = 0; i < n; i++) {
        if (starts && p[i] == 0x80)
            return false;
        starts = !(p[i] & 0x80);
    }
    return n > 0 && starts;
}

struct rd tbs_csr_oid(struct rd *r)
{
    struct rd oid = der_enter(r, DER_OID), look = oid;
    size_t n = rd_left(&oid);

    if (!r->failed && !oid_canonical(rd_bytes(&look, n), n))
        r->failed = true;
    return oid;
}

static bool refuse_oid(const char *what, struct rd oid, struct err *err)
{
    char hex[2 * OID_TEXT_BYTES + 1] = "";
    size_t n = rd_left(&oid);

    for (size_t i = 0; i < n && i < OID_TEXT_BYTES; i++)
        snprintf(hex + 2 * i, 3, "%02x", rd_u8(&oid));
    err_set(err, ERR_BAD_SHAPE, "a certificate request with %s (OID, in hex: %s)", what, hex);
    return err_hint(err, "requests may carry subjectAltName, keyUsage, extKeyUsage, "
                         "basicConstraints and the TLS feature");
}

static bool not_well_formed(const char *what, struct err *err)
{
    return err_set(err, ERR_BAD_SHAPE, "a certificate request whose %s is not well-formed", what);
}

/* ---- the extensions, RFC 5280 4.2.1 */

static bool refuse_name(struct rd name, size_t len, struct err *err)
{
    char text[64] = "";

    for (size_t i = 0; i < len && i + 1 < sizeof(text); i++) {
        uint8_t c = rd_u8(&name);
        text[i] = c > ' ' && c < 0x7f ? (char)c : '?';
    }
    err_set(err, ERR_BAD_SHAPE, "a certificate request for \"%s\", which this key may not ask for",
            text);
    return err_hint(err, "keydctl keys-show tells the names that it may ask for");
}

/* GeneralNames (4.2.1.6): SEQUENCE SIZE (1..) OF GeneralName */
static bool judge_alt_names(struct rd value, const struct tbs_names *allowed, struct err *err)
{
    struct rd names = der_enter(&value, DER_SEQUENCE);

    if (!rd_end(&value) || rd_left(&names) == 0)
        return not_well_formed("subjectAltName", err);
    while (rd_left(&names) > 0) {
        struct rd look = names, body = {.failed = true};
        uint8_t tag = der_skip(&names);
        if (names.failed || tag < 0x80)
            return not_well_formed("subjectAltName", err);
        if (tag == DER_IA5_DNS)
            body = der_enter(&look, DER_IA5_DNS);
        else if (allowed->count > 0)
            return err_set(err, ERR_BAD_SHAPE,
                           "a certificate request with an alternative name that is no DNS name; "
                           "this key may ask for DNS names alone");
        size_t len = rd_left(&body);
        struct rd text = body;
        if (tag == DER_IA5_DNS && !tbs_name_allowed(allowed, rd_bytes(&body, len), len))
            return refuse_name(text, len, err);
    }
    return true;
}

/* 4.2.1.3: BIT STRING; DER leaves out the zero bits at its end (X.690 11.2.2) */
static bool judge_key_usage(struct rd value, const struct tbs_names *allowed, struct err *err)
{
    struct rd bits = der_enter(&value, DER_BIT_STRING);
    uint8_t unused = rd_u8(&bits), first = rd_u8(&bits);
    size_t more = rd_left(&bits);
    uint8_t last = more > 0 ? rd_u8(&bits) : first;

    (void)allowed;
    if (!rd_end(&value) || !rd_end(&bits) || more > 1 || unused > 7 || !(last & 1u << unused) ||
        last & ((1u << unused) - 1))
        return not_well_formed("keyUsage", err);
    if (first & (KEY_CERT_SIGN | CRL_SIGN))
        return err_set(err, ERR_BAD_SHAPE,
                       "a certificate request for an authority: keyUsage has keyCertSign or "
                       "cRLSign");
    return true;
}

/* 4.2.1.12: SEQUENCE SIZE (1..) OF OID */
static bool judge_ext_key_usage(struct rd value, const struct tbs_names *allowed, struct err *err)
{
    struct rd list = der_enter(&value, DER_SEQUENCE);

    (void)allowed;
    if (!rd_end(&value) || rd_left(&list) == 0)
        return not_well_formed("extKeyUsage", err);
    while (rd_left(&list) > 0)
        tbs_csr_oid(&list);
    return rd_end(&list) || not_well_formed("extKeyUsage", err);
}

/* 4.2.1.9: SEQUENCE { cA BOOLEAN DEFAULT FALSE, pathLen }: FALSE is left out in DER, and then there
 * is no path */
static bool judge_basic_constraints(struct rd value, const struct tbs_names *allowed,
                                    struct err *err)
{
    struct rd body = der_enter(&value, DER_SEQUENCE);

    (void)allowed;
    if (!rd_end(&value))
        return not_well_formed("basicConstraints", err);
    return rd_left(&body) == 0 ||
           err_set(err, ERR_BAD_SHAPE,
                   "a certificate request for an authority: basicConstraints is not CA:FALSE");
}

/* RFC 7633 4.1: SEQUENCE OF INTEGER */
static bool judge_tls_feature(struct rd value, const struct tbs_names *allowed, struct err *err)
{
    struct rd list = der_enter(&value, DER_SEQUENCE);

    (void)allowed;
    while (rd_left(&list) > 0) {
        struct rd number = der_enter(&list, DER_INTEGER);
        size_t n = rd_left(&number);
        if (n < 1 || n > 3 || (n > 1 && rd_u8(&number) == 0 && !(rd_u8(&number) & 0x80)))
            return not_well_formed("TLS feature", err);
    }
    return (rd_end(&value) && rd_end(&list)) || not_well_formed("TLS feature", err);
}

static const struct {
    uint8_t oid[8];
    size_t len;
    judge_value *judge;
} extensions[] = {
    {{0x55, 0x1d, 0x11}, 3, judge_alt_names},
    {{0x55, 0x1d, 0x0f}, 3, judge_key_usage},
    {{0x55, 0x1d, 0x25}, 3, judge_ext_key_usage},
    {{0x55, 0x1d, 0x13}, 3, judge_basic_constraints},
    {{0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18}, 8, judge_tls_feature},
};

#define EXTENSIONS (sizeof(extensions) / sizeof(extensions[0]))

/* The row of an extension; EXTENSIONS for one that we do not let through. */
static size_t extension_of(struct rd oid)
{
    size_t n = rd_left(&oid), i = 0;
    const uint8_t *p = rd_bytes(&oid, n);

    while (p && i < EXTENSIONS && (n != extensions[i].len || memcmp(p, extensions[i].oid, n) != 0))
        i++;
    return i;
}

static bool judge_extension(struct rd *list, const struct tbs_names *allowed, bool seen[EXTENSIONS],
                            struct err *err)
{
    static const uint8_t critical[] = {DER_BOOLEAN, 1, 0xff};
    struct rd ext = der_enter(list, DER_SEQUENCE);
    struct rd oid = tbs_csr_oid(&ext), look = ext;

    if (rd_u8(&look) == DER_BOOLEAN)
        rd_expect(&ext, critical, sizeof(critical));
    struct rd value = der_enter(&ext, DER_OCTETS);
    if (!rd_end(&ext) || !der_well_formed(value, VALUE_DEPTH))
        return not_well_formed("list of extensions", err);
    size_t i = extension_of(oid);
    if (i == EXTENSIONS)
        return refuse_oid("an extension that keyd does not sign", oid, err);
    if (seen[i])
        return refuse_oid("the same extension twice", oid, err);
    seen[i] = true;
    return extensions[i].judge(value, allowed, err);
}

bool tbs_csr_attributes(struct rd attributes, const struct tbs_names *allowed, struct err *err)
{
    static const uint8_t request[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e};
    bool seen[EXTENSIONS] = {false};

    if (!attributes.failed && rd_left(&attributes) == 0)
        return true;
    struct rd attribute = der_enter(&attributes, DER_SEQUENCE);
    struct rd oid = tbs_csr_oid(&attribute), look = oid;
    struct rd set = der_enter(&attribute, DER_SET);
    if (attributes.failed || !rd_end(&attribute))
        return not_well_formed("list of attributes", err);
    rd_expect(&look, request, sizeof(request));
    if (!rd_end(&look))
        return refuse_oid("an attribute that keyd does not sign", oid, err);
    struct rd list = der_enter(&set, DER_SEQUENCE);
    if (!rd_end(&set) || rd_left(&list) == 0)
        return not_well_formed("list of extensions", err);
    while (rd_left(&list) > 0)
        TRY(judge_extension(&list, allowed, seen, err));
    return rd_end(&attributes) ||
           err_set(err, ERR_BAD_SHAPE, "a certificate request with more than one attribute");
}
