/* SPDX-License-Identifier: Apache-2.0
 *
 * subject: the name of a request's owner, as people write it, into an X.501 Name.
 */
#ifndef KEYD_PROTO_X509_SUBJECT_H
#define KEYD_PROTO_X509_SUBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define SUBJECT_CN_MAX   64  /* characters: ub-common-name, RFC 5280 A.1 */
#define SUBJECT_TEXT_MAX 512 /* bytes of one value */

struct subject {
    uint8_t *der; /* Name: an RDNSequence, RFC 5280 4.1.2.4 */
    size_t der_len;
    char cn[SUBJECT_TEXT_MAX + 1]; /* its first CN, empty without one */
};

/* Reads "CN=www.example.com,O=Acme" (RFC 4514: the most specific part first, so it is written last
 * in the DER; escapes \, and \2C) or "/O=Acme/CN=www.example.com" (OpenSSL: in the order of the
 * DER; escape \/). "+" joins parts to one RDN in both. An empty text gives an empty name. A CN that
 * is a host name with a dot is written in A-labels. Known attributes: see the error for an unknown
 * one. *ret is freed with subject_free. ERR_BAD_REQUEST. */
bool subject_parse(const char *text, struct subject *ret, struct err *err) MUST_USE;

/* Frees; an empty subject is fine. */
void subject_free(struct subject *s);

/* Whether a CN counts as a host name: it has a dot and is a DNS name. Writes it normalized. */
bool subject_cn_is_host(const char *cn, char *host);

#endif
