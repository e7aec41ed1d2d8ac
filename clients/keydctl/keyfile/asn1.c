/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/asn1.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

#define TAG_HIGH 0x1f /* tags of several bytes: none of ours */

/* X.690 10.1; up to three bytes of it, which is more than a file may have. */
static size_t read_length(struct rd *r)
{
    uint8_t first = rd_u8(r);
    unsigned bytes = first & 0x7f;
    size_t len = 0;

    if (first < 0x80)
        return first;
    for (unsigned i = 0; i < bytes && i < 3; i++)
        len = len << 8 | rd_u8(r);
    if (bytes < 1 || bytes > 3 || len < 0x80 || len < (size_t)1 << 8 * (bytes - 1))
        r->failed = true;
    return len;
}

uint8_t asn1_peek(const struct rd *r)
{
    return rd_left(r) ? *r->at : 0;
}

struct rd asn1_enter(struct rd *r, uint8_t tag)
{
    rd_expect(r, &tag, 1);
    size_t len = read_length(r);
    return rd_sub(r, len);
}

struct rd asn1_whole(struct rd *r)
{
    const uint8_t *start = r->at;
    uint8_t tag = rd_u8(r);

    if ((tag & TAG_HIGH) == TAG_HIGH)
        r->failed = true;
    rd_bytes(r, read_length(r));
    return r->failed ? (struct rd){.failed = true} : (struct rd){.at = start, .end = r->at};
}

struct rd asn1_natural(struct rd *r)
{
    struct rd v = asn1_enter(r, TAG_INTEGER);
    size_t n = rd_left(&v);
    bool zero = n > 0 && v.at[0] == 0;

    /* As short as can be (X.690 8.3.2), and not negative. */
    if (n == 0 || v.at[0] & 0x80 || (zero && n > 1 && !(v.at[1] & 0x80))) {
        r->failed = true;
        return (struct rd){.failed = true};
    }
    rd_bytes(&v, zero);
    return v;
}

uint32_t asn1_small(struct rd *r)
{
    struct rd v = asn1_natural(r);
    uint32_t n = 0;

    if (rd_left(&v) > sizeof(n)) {
        r->failed = true;
        return 0;
    }
    while (rd_left(&v))
        n = n << 8 | rd_u8(&v);
    return n;
}

bool asn1_is(const struct rd *oid, const void *p, size_t n)
{
    return rd_left(oid) == n && memcmp(oid->at, p, n) == 0;
}

const char *asn1_oid_name(const struct rd *oid, char buf[ASN1_OID_NAME])
{
    uint8_t der[2 + 64] = {TAG_OID};
    const uint8_t *at = der;
    size_t n = rd_left(oid);

    snprintf(buf, ASN1_OID_NAME, "an unknown algorithm");
    if (n == 0 || n > sizeof(der) - 2)
        return buf;
    der[1] = (uint8_t)n;
    memcpy(der + 2, oid->at, n);
    ASN1_OBJECT *object = d2i_ASN1_OBJECT(NULL, &at, (long)n + 2);
    if (object)
        OBJ_obj2txt(buf, ASN1_OID_NAME, object, 0);
    ASN1_OBJECT_free(object);
    return buf;
}

size_t asn1_claims(const struct rd *r)
{
    struct rd copy = *r;

    rd_u8(&copy);
    size_t len = read_length(&copy);
    return copy.failed ? 0 : (size_t)(copy.at - r->at) + len;
}
