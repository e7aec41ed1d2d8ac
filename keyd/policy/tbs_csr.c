/* SPDX-License-Identifier: Apache-2.0
 *
 * RFC 2986 4.1:
 *   CertificationRequestInfo ::= SEQUENCE {
 *       version       INTEGER { v1(0) } (v1,...),
 *       subject       Name,                          -- SEQUENCE OF RelativeDistinguishedName
 *       subjectPKInfo SubjectPublicKeyInfo,
 *       attributes    [0] Attributes }               -- IMPLICIT SET OF Attribute
 * Signed is only a request for the very key that signs it. The subject and the attributes are read
 * as deep as their grammar goes, since what is signed here is for others to read, all of it.
 */
#include "keyd/policy/tbs_csr.h"

#include "keyd/policy/ber.h"

#define DEPTH_MAX 16 /* constructed values in one another, inside of attributes */

/* RDNSequence (RFC 5280 4.1.2.4): SEQUENCE OF SET SIZE (1..) OF SEQUENCE { OID, any value } */
static bool name_fits(struct rd name)
{
    while (rd_left(&name) > 0) {
        struct rd rdn = der_enter(&name, DER_SET);
        do {
            struct rd pair = der_enter(&rdn, DER_SEQUENCE);
            der_enter(&pair, DER_OID);
            der_skip(&pair);
            if (!rd_end(&pair))
                return false;
        } while (rd_left(&rdn) > 0);
        if (!rd_end(&rdn))
            return false;
    }
    return rd_end(&name);
}

/* Attribute (RFC 2986 4.1): SEQUENCE { OID, SET SIZE (1..) OF any value } */
static bool attributes_fit(struct rd attributes)
{
    struct rd whole = attributes;

    while (rd_left(&attributes) > 0) {
        struct rd pair = der_enter(&attributes, DER_SEQUENCE);
        der_enter(&pair, DER_OID);
        struct rd values = der_enter(&pair, DER_SET);
        if (!rd_end(&pair) || rd_left(&values) == 0)
            return false;
    }
    return rd_end(&attributes) && der_well_formed(whole, DEPTH_MAX);
}

bool tbs_csr(const uint8_t *message, size_t len, const uint8_t *spki, size_t spki_len,
             struct err *err)
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
    if (info.failed || !name_fits(subject))
        return err_set(err, ERR_BAD_SHAPE, "a certificate request without a well-formed subject");
    rd_expect(&info, spki, spki_len);
    if (info.failed || spki_len == 0)
        return err_set(err, ERR_BAD_SHAPE,
                       "a certificate request for another public key than the one that is to sign");
    struct rd attributes = der_enter(&info, DER_CONTEXT_0);
    if (info.failed || !attributes_fit(attributes))
        return err_set(err, ERR_BAD_SHAPE, "a certificate request without well-formed attributes");
    if (!rd_end(&info))
        return err_set(err, ERR_BAD_SHAPE, "a certificate request with %zu bytes too many",
                       rd_left(&info));
    return true;
}
