/* SPDX-License-Identifier: Apache-2.0
 *
 * dns: is this a name that a certificate can be for? People write names as they see them; requests
 * and certificates carry A-labels.
 */
#ifndef KEYD_PROTO_X509_DNS_H
#define KEYD_PROTO_X509_DNS_H

#include "proto/base/err.h"

#define DNS_NAME_MAX 253 /* RFC 1035 2.3.4, written without the dot at the end */

/* Checks a DNS name in UTF-8, "*." in front of it for a wildcard (RFC 6125 6.4.3), and writes it as
 * it stands in a certificate: lower case, U-labels as A-labels (IDNA 2008, RFC 5891, with the
 * mapping of UTS 46), zero-terminated. Names need not have a dot; a wildcard stands before at least
 * two labels. ERR_BAD_REQUEST says what is wrong with which name. */
bool dns_name_normalize(const char *name, char ret[DNS_NAME_MAX + 1], struct err *err) MUST_USE;

#endif
