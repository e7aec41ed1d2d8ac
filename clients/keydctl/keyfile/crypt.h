/* SPDX-License-Identifier: Apache-2.0
 *
 * crypt: undoes the encryption of a private key with a passphrase, as far as OpenSSL's default
 * provider can. What a file asks for is read before it is done: a derivation that would take hours
 * is refused.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_CRYPT_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_CRYPT_H

#include "clients/keydctl/keyfile/pem.h"
#include "proto/base/rd.h"
#include "proto/base/secret.h"

/* Whether the DER begins like an EncryptedPrivateKeyInfo (RFC 5958 3). */
bool crypt_is_pkcs8(const struct rd *der);

/* Decrypts an EncryptedPrivateKeyInfo, nothing after it: PBES2 with PBKDF2 or scrypt (RFC 8018 6.2,
 * RFC 7914 7), PBES1 and those of PKCS#12 (RFC 7292 C). ERR_DENIED: the passphrase is wrong, or the
 * file is damaged; ERR_UNSUPPORTED; ERR_BAD_REQUEST. That the result is a key must be looked at
 * still. */
bool crypt_pkcs8(const struct rd *der, const struct secret *pass, uint64_t max_rounds,
                 struct secret *ret, struct err *err) MUST_USE;

/* Whether a password-based AlgorithmIdentifier is one that can be undone and asks for no more than
 * max_rounds. ERR_UNSUPPORTED, ERR_BAD_REQUEST. */
bool crypt_check(struct rd *algorithm, uint64_t max_rounds, struct err *err) MUST_USE;

/* Refuses more iterations than max_rounds. ERR_UNSUPPORTED. */
bool crypt_check_rounds(uint64_t rounds, uint64_t max_rounds, struct err *err) MUST_USE;

/* Whether the block has the headers of an encrypted one (RFC 1421 4.6.1.1). */
bool crypt_is_pem(const struct pem_block *block);

/* Decrypts the body of such a block as OpenSSL does (one round of MD5 over the passphrase). Errors
 * as crypt_pkcs8. */
bool crypt_pem(const struct pem_block *block, const struct secret *body, const struct secret *pass,
               struct secret *ret, struct err *err) MUST_USE;

/* ERR_DENIED: the passphrase is wrong. Always returns false. */
bool crypt_wrong(struct err *err);

#endif
