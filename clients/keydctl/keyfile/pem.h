/* SPDX-License-Identifier: Apache-2.0
 *
 * pem: the blocks of a PEM text (RFC 7468), also with the headers of RFC 1421 that OpenSSL puts
 * before an encrypted body. What stands around the blocks is skipped ("explanatory text").
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYFILE_PEM_H
#define KEYD_CLIENTS_KEYDCTL_KEYFILE_PEM_H

#include "proto/base/rd.h"
#include "proto/base/secret.h"

#define PEM_LABEL_MAX 64

struct pem_block { /* borrowed from the text */
    char label[PEM_LABEL_MAX + 1];
    struct rd headers; /* lines; empty without headers */
    struct rd body;    /* base64 */
};

enum pem_found { PEM_NONE, PEM_BLOCK, PEM_BROKEN };

/* Finds the next block and moves the cursor behind it. PEM_BROKEN: one begins and does not end as
 * it should; err says how. */
enum pem_found pem_next(struct rd *text, struct pem_block *ret, struct err *err) MUST_USE;

/* The value of a header, without blanks around it; a failed cursor if there is no such header. */
struct rd pem_header(const struct pem_block *block, const char *name);

/* Decodes base64 with white space between, strictly: padding at the end alone, no stray bits.
 * ERR_BAD_REQUEST. */
bool pem_decode(struct rd body, struct secret *ret, struct err *err) MUST_USE;

#endif
