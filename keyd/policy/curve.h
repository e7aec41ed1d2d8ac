/* SPDX-License-Identifier: Apache-2.0
 *
 * curve: is it a point of that curve? The one file of policy that calls libcrypto.
 */
#ifndef KEYD_POLICY_CURVE_H
#define KEYD_POLICY_CURVE_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* Checks the public value of a key exchange: the NamedCurve code (IANA TLS Supported Groups) is one
 * of secp256r1, secp384r1, secp521r1, x25519, x448; the length is right; and a point of a NIST
 * curve is uncompressed (RFC 8422 5.1.2) and lies on it. Each curve is set up once in a process, at
 * its first use; later calls allocate nothing. ERR_BAD_SHAPE, ERR_INTERNAL. */
bool curve_point_check(uint16_t code, const uint8_t *point, size_t len, struct err *err) MUST_USE;

#endif
