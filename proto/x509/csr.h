/* SPDX-License-Identifier: Apache-2.0
 *
 * csr: certificate requests (PKCS#10, RFC 2986) in two steps, since the signature between them is
 * made elsewhere: in the token.
 */
#ifndef KEYD_PROTO_X509_CSR_H
#define KEYD_PROTO_X509_CSR_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define CSR_NAMES_MAX 256

/* Builds the DER CertificationRequestInfo (RFC 2986 4.1) for a DER SubjectPublicKeyInfo, which
 * stands in it byte by byte: subject as subject_parse takes it; names are DNS names as
 * dns_name_normalize takes them, written into a subjectAltName in an extensionRequest (RFC
 * 2985 5.4.2), each once. With no names a CN that is a host name stands there instead. At least a
 * CN or one name must be given. *ret is freed with mem_free. ERR_BAD_REQUEST names what is wrong.
 */
bool csr_build(const uint8_t *spki, size_t spki_len, const char *subject, const char *const *names,
               size_t name_count, uint8_t **ret, size_t *ret_len, struct err *err) MUST_USE;

/* Puts info and signature together to a CertificationRequest, verifies it, and gives it as PEM
 * (RFC 7468 7), zero-terminated, freed with mem_free. The scheme is a TLS SignatureScheme code,
 * from which the AlgorithmIdentifier follows; Ecdsa-Sig-Value is DER. ERR_UNSUPPORTED for a scheme
 * that has none; ERR_INTERNAL when it does not verify. */
bool csr_finish(const uint8_t *info, size_t info_len, uint16_t scheme, const uint8_t *signature,
                size_t signature_len, char **ret_pem, struct err *err) MUST_USE;

#endif
