/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 2986 4.1:
 *   CertificationRequestInfo ::= SEQUENCE {
 *       version       INTEGER { v1(0) } (v1,...),
 *       subject       Name,                          -- SEQUENCE OF RelativeDistinguishedName
 *       subjectPKInfo SubjectPublicKeyInfo,
 *       attributes    [0] Attributes }               -- IMPLICIT SET OF Attribute
 * Signed is only a request for the very key that signs it, for names that the key may have. What is
 * signed here is for others to read, all of it: so it is read as deep as its grammar goes, and has
 * one encoding (X.690 10, 11).
 */
#include "keyd/policy/tbs_csr.h"

#include <string.h>

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs_csr_ext.h"

#define UTF8_STRING      0x0c
#define PRINTABLE_STRING 0x13

/* ---- the names in the subject */

static bool refuse_subject(struct err *err)
{
    return err_set(err, ERR_BAD_SHAPE, "a certificate request without a well-formed subject");
}

/* Some readers take a CN for a host name where there is no subjectAltName, with or without blanks
 * around it. One with a blank inside ("Acme Inc.") is none for anybody. */
static bool reads_as_host(const uint8_t *cn, size_t n)
{
    while (n > 0 && cn[n - 1] <= ' ')
        n--;
    while (n > 0 && *cn <= ' ') {
        cn++;
        n--;
    }
    return !memchr(cn, ' ', n) || memchr(cn, '\0', n);
}

static bool cn_allowed(struct rd pair, const struct tbs_names *allowed, struct err *err)
{
    struct rd look = pair;
    uint8_t tag = rd_u8(&look);

    if (allowed->count == 0)
        return true;
    if (tag != UTF8_STRING && tag != PRINTABLE_STRING) {
        err_set(err, ERR_BAD_SHAPE,
                "a certificate request whose CN is no UTF8String or PrintableString");
        return err_hint(err, "this key may ask for certain names alone, so they must be readable");
    }
    struct rd text = der_enter(&pair, tag);
    size_t n = rd_left(&text);
    const uint8_t *cn = rd_bytes(&text, n);
    if (!cn || n == 0 || !reads_as_host(cn, n) || tbs_name_allowed(allowed, cn, n))
        return true;
    err_set(err, ERR_BAD_SHAPE,
            "a certificate request with a CN of %zu bytes that this key may not ask for", n);
    return err_hint(err, "keydctl keys-show tells the names; a CN with a blank inside is no name");
}

/* AttributeTypeAndValue: SEQUENCE { OID, any value } */
static bool pair_fits(struct rd *rdn, const struct tbs_names *allowed, struct err *err)
{
    static const uint8_t common_name[] = {0x55, 0x04, 0x03};
    struct rd pair = der_enter(rdn, DER_SEQUENCE);
    struct rd oid = tbs_csr_oid(&pair), value = pair;

    der_skip(&pair);
    if (!rd_end(&pair))
        return refuse_subject(err);
    rd_expect(&oid, common_name, sizeof(common_name));
    return !rd_end(&oid) || cn_allowed(value, allowed, err);
}

/* SET OF in DER is in ascending order (X.690 11.6). */
static bool in_order(const uint8_t *a, size_t a_len, const uint8_t *b, size_t b_len)
{
    int order = memcmp(a, b, a_len < b_len ? a_len : b_len);

    return order < 0 || (order == 0 && a_len <= b_len);
}

static bool rdn_fits(struct rd rdn, const struct tbs_names *allowed, struct err *err)
{
    const uint8_t *before = NULL;
    size_t before_len = 0;

    do {
        struct rd start = rdn;
        TRY(pair_fits(&rdn, allowed, err));
        size_t len = rd_left(&start) - rd_left(&rdn);
        const uint8_t *at = rd_bytes(&start, len);
        if (before && !in_order(before, before_len, at, len))
            return refuse_subject(err);
        before = at;
        before_len = len;
    } while (rd_left(&rdn) > 0);
    return true;
}

/* RDNSequence (RFC 5280 4.1.2.4): SEQUENCE OF SET SIZE (1..) OF AttributeTypeAndValue */
static bool name_fits(struct rd name, const struct tbs_names *allowed, struct err *err)
{
    while (rd_left(&name) > 0) {
        struct rd rdn = der_enter(&name, DER_SET);
        if (name.failed)
            return refuse_subject(err);
        TRY(rdn_fits(rdn, allowed, err));
    }
    return true;
}

/* ---- the whole */

bool tbs_csr(const uint8_t *message, size_t len, const uint8_t *spki, size_t spki_len,
             const struct tbs_names *allowed, struct err *err)
{
    static const uint8_t version_0[] = {DER_INTEGER, 1, 0};
    struct rd r = rd_of(message, len);

    struct rd info = der_enter(&r, DER_SEQUENCE);
    if (!rd_end(&r)) {
        err_set(err, ERR_BAD_SHAPE,
                "a message of %zu bytes is not one whole DER CertificationRequestInfo", len);
        return err_hint(err, "on control.sock keyd signs certificate requests alone (RFC 2986)");
    }
    rd_expect(&info, version_0, sizeof(version_0));
    if (info.failed)
        return err_set(err, ERR_BAD_SHAPE,
                       "a DER SEQUENCE that is no certificate request: its "
                       "first member is not version 0");
    struct rd subject = der_enter(&info, DER_SEQUENCE);
    if (info.failed)
        return refuse_subject(err);
    TRY(name_fits(subject, allowed, err));
    rd_expect(&info, spki, spki_len);
    if (info.failed || spki_len == 0)
        return err_set(err, ERR_BAD_SHAPE,
                       "a certificate request for another public key than the one that is to sign");
    struct rd attributes = der_enter(&info, DER_CONTEXT_0);
    if (info.failed)
        return err_set(err, ERR_BAD_SHAPE, "a certificate request without well-formed attributes");
    TRY(tbs_csr_attributes(attributes, allowed, err));
    if (!rd_end(&info))
        return err_set(err, ERR_BAD_SHAPE, "a certificate request with %zu bytes too many",
                       rd_left(&info));
    return true;
}
