/* SPDX-License-Identifier: Apache-2.0
 *
 * pfx: the private key in a PFX (PKCS#12, RFC 7292). libcrypto reads the container, which may be
 * BER; the bags are walked here, so that certificates in ciphers that OpenSSL has put away (RC2-40,
 * the rule before 2021) are passed over and not in the way.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_PFX_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_PFX_H

#include <openssl/pkcs12.h>

#include "proto/base/secret.h"

/* Reads a PFX of n bytes, nothing after it; NULL if it is none. Freed with PKCS12_free. */
PKCS12 *pfx_read(const uint8_t *p, size_t n);

/* Whether the passphrase is the PFX's own. ERR_DENIED, ERR_UNSUPPORTED; ERR_BAD_REQUEST. True for
 * one without a MAC: then the key tells. */
bool pfx_verify(PKCS12 *pfx, const struct secret *pass, uint64_t max_rounds,
                struct err *err) MUST_USE;

/* The PrivateKeyInfo of the one private key in it. ERR_BAD_REQUEST: there is none, or more than
 * one; else as crypt_pkcs8. */
bool pfx_key(PKCS12 *pfx, const struct secret *pass, uint64_t max_rounds, struct secret *ret,
             struct err *err) MUST_USE;

#endif
