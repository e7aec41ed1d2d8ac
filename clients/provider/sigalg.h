/* SPDX-License-Identifier: Apache-2.0
 *
 * sigalg: from what OpenSSL says about a signature (key type, digest, padding) to what keyd is
 * asked for (an IANA TLS SignatureScheme, RFC 8446 4.2.3) and what stands in certificates and
 * requests (the AlgorithmIdentifier). One table, no state.
 */
#ifndef KEYD_PROVIDER_SIGALG_H
#define KEYD_PROVIDER_SIGALG_H

#include <stddef.h>
#include <stdint.h>

#include "clients/provider/key.h"

enum digest { DIGEST_NONE, DIGEST_SHA256, DIGEST_SHA384, DIGEST_SHA512 };

struct sigalg {
    enum pkey_kind kind;
    enum digest digest;
    int padding;               /* RSA_PKCS1_PADDING, RSA_PKCS1_PSS_PADDING; 0 where there is none */
    uint16_t scheme;           /* 0x0403 */
    const uint8_t *identifier; /* DER AlgorithmIdentifier (RFC 5280 4.1.1.2) */
    size_t identifier_len;
};

/* The row; NULL if keyd knows no such signature. */
const struct sigalg *sigalg_find(enum pkey_kind kind, enum digest digest, int padding);

/* The digest with one of OpenSSL's names ("SHA256", "SHA2-256", ...); DIGEST_NONE if keyd signs
 * nothing with it. */
enum digest digest_by_name(const char *name);

/* OpenSSL's name of a digest, "SHA256"; "" for DIGEST_NONE. A static string. */
const char *digest_name(enum digest digest);

/* Bytes of a digest; 0 for DIGEST_NONE. */
int digest_size(enum digest digest);

#endif
