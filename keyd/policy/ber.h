/* SPDX-License-Identifier: Apache-2.0
 *
 * ber: ASN.1 values, read in two ways. Strictly (DER, X.690 10), for what we are about to sign as
 * ASN.1; and as leniently as the laxest reader out there, for what must not be ASN.1.
 */
#ifndef KEYD_POLICY_BER_H
#define KEYD_POLICY_BER_H

#include "proto/base/rd.h"

#define DER_INTEGER    0x02
#define DER_BIT_STRING 0x03
#define DER_OCTETS     0x04
#define DER_OID        0x06
#define DER_SEQUENCE   0x30
#define DER_SET        0x31
#define DER_CONTEXT_0  0xa0 /* [0], constructed */

/* A cursor over the contents of the next DER value, which must have this one-byte tag; a length
 * that is indefinite or longer than needed fails (X.690 10.1). On failure r fails too. */
struct rd der_enter(struct rd *r, uint8_t tag);

/* Skips the next DER value of any one-byte tag and gives its tag; 0 on failure. Its contents are
 * not looked at. */
uint8_t der_skip(struct rd *r);

/* Whether r is used up by DER values within DER values, down to `depth` levels of constructed ones
 * (deeper: false). */
bool der_well_formed(struct rd r, unsigned depth) MUST_USE;

/* Whether some reader of ASN.1 may take the message for a structure that people sign (certificate,
 * request, revocation list, OCSP response, CMS attributes): a SEQUENCE or SET that spans it. */
bool ber_is_signable(const uint8_t *message, size_t len) MUST_USE;

#endif
