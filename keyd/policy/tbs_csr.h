/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_csr: a certificate request about to be signed (PKCS#10, RFC 2986).
 */
#ifndef KEYD_POLICY_TBS_CSR_H
#define KEYD_POLICY_TBS_CSR_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

/* True if the message is exactly one DER CertificationRequestInfo (RFC 2986 4.1), version 0, for
 * exactly this DER SubjectPublicKeyInfo. ERR_BAD_SHAPE says what does not fit. */
bool tbs_csr(const uint8_t *message, size_t len, const uint8_t *spki, size_t spki_len,
             struct err *err) MUST_USE;

#endif
