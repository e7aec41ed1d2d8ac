/* SPDX-License-Identifier: Apache-2.0
 *
 * tbs_tls13: the content of a TLS 1.3 CertificateVerify (RFC 8446 4.4.3).
 */
#ifndef KEYD_POLICY_TBS_TLS13_H
#define KEYD_POLICY_TBS_TLS13_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/keys.h"

/* Whether it begins with the 64 blanks that every TLS 1.3 signature begins with. */
bool tbs_tls13_begins(const uint8_t *message, size_t len) MUST_USE;

/* PURPOSE_TLS13_SERVER or PURPOSE_TLS13_CLIENT; 0 with ERR_BAD_SHAPE. */
enum purpose tbs_tls13(const uint8_t *message, size_t len, struct err *err) MUST_USE;

#endif
