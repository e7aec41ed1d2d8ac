/* SPDX-License-Identifier: Apache-2.0
 *
 * asn1: reads DER (X.690 10) strictly, on a cursor: definite lengths, as short as can be. A value
 * that does not fit makes the cursor fail, as rd does.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_ASN1_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_ASN1_H

#include "proto/base/rd.h"

#define TAG_INTEGER      0x02
#define TAG_BIT_STRING   0x03
#define TAG_OCTETS       0x04
#define TAG_NULL         0x05
#define TAG_OID          0x06
#define TAG_SEQUENCE     0x30
#define TAG_CONTEXT(n)   (0xa0 | (n)) /* constructed */
#define TAG_PRIMITIVE(n) (0x80 | (n))

#define ASN1_OID_NAME 80 /* bytes of an object identifier in words */

/* The tag of the next value; 0 at the end. */
uint8_t asn1_peek(const struct rd *r);

/* A cursor over the contents of the next value, which must have this one-byte tag. */
struct rd asn1_enter(struct rd *r, uint8_t tag);

/* A cursor over the next value as a whole, header included, of any one-byte tag. */
struct rd asn1_whole(struct rd *r);

/* A cursor over the bytes of the next value, an INTEGER that is not negative, without a leading
 * zero byte: empty for 0. */
struct rd asn1_natural(struct rd *r);

/* The next value, an INTEGER from 0 to 2^32 - 1. */
uint32_t asn1_small(struct rd *r);

/* Whether the contents of an OBJECT IDENTIFIER are these n bytes. */
bool asn1_is(const struct rd *oid, const void *p, size_t n);

/* The name that libcrypto has for the contents of an OBJECT IDENTIFIER, else its numbers with dots.
 * Returns buf. */
const char *asn1_oid_name(const struct rd *oid, char buf[ASN1_OID_NAME]);

/* How many bytes the value at the head of r claims, header included; 0 if that cannot be said. */
size_t asn1_claims(const struct rd *r);

#endif
