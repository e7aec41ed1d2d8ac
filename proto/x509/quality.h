/* SPDX-License-Identifier: Apache-2.0
 *
 * quality: is this public key one that a key of keyd may have? Judged from the SubjectPublicKeyInfo
 * alone, by the daemon before a key is taken in, and by clients that want to know it before.
 */
#ifndef KEYD_PROTO_X509_QUALITY_H
#define KEYD_PROTO_X509_QUALITY_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define QUALITY_SPKI_MAX 16384 /* bytes that are looked at */

/* Finds what a DER SubjectPublicKeyInfo (RFC 5280 4.1.2.7) holds: *ret_type is "rsa-2048",
 * "rsa-3072", "rsa-4096", "ec-p256", "ec-p384" or "ed25519", a static string (key_type_by_name).
 * RSA: an odd public exponent from 65537 to 64 bits, a modulus without small factors; curves: an
 * uncompressed point. ERR_UNSUPPORTED names what it is instead; ERR_BAD_REQUEST for what is no
 * public key, or not written in the one way that DER allows. */
bool quality_judge(const uint8_t *spki, size_t len, const char **ret_type,
                   struct err *err) MUST_USE;

#endif
