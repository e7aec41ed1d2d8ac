/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_csr_ext: what a certificate request asks for beside its subject.
 */
#ifndef KEYD_POLICY_TBS_CSR_EXT_H
#define KEYD_POLICY_TBS_CSR_EXT_H

#include "keyd/policy/tbs_names.h"
#include "proto/base/err.h"
#include "proto/base/rd.h"

/* Judges the contents of a request's attributes [0] (RFC 2986 4.1): nothing, or one
 * extensionRequest (RFC 2985 5.4.2) with each of these at most once: subjectAltName, keyUsage
 * without keyCertSign and cRLSign, extKeyUsage, basicConstraints with cA FALSE, TLS feature (RFC
 * 7633). All else is refused with ERR_BAD_SHAPE. */
bool tbs_csr_attributes(struct rd attributes, const struct tbs_names *allowed,
                        struct err *err) MUST_USE;

/* Whether an AttributeType is an OID in canonical DER; gives its contents. On failure r fails. */
struct rd tbs_csr_oid(struct rd *r);

#endif
