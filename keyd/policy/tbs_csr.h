/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_csr: a certificate request about to be signed (PKCS#10, RFC 2986).
 */
#ifndef KEYD_POLICY_TBS_CSR_H
#define KEYD_POLICY_TBS_CSR_H

#include <stddef.h>
#include <stdint.h>

#include "keyd/policy/tbs_names.h"
#include "proto/base/err.h"

/* True if the message is exactly one canonical DER CertificationRequestInfo (RFC 2986 4.1), version
 * 0, for exactly this DER SubjectPublicKeyInfo, that asks for nothing but what a TLS server's
 * certificate has (tbs_csr_ext.h), and for no name outside of `allowed`: with patterns there, each
 * dNSName and each CN without a blank inside must be covered by one, and other kinds of alternative
 * names are refused. ERR_BAD_SHAPE says what does not fit. */
bool tbs_csr(const uint8_t *message, size_t len, const uint8_t *spki, size_t spki_len,
             const struct tbs_names *allowed, struct err *err) MUST_USE;

#endif
