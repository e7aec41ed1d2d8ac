/* SPDX-License-Identifier: Apache-2.0
 *
 * uri: RFC 7512 URIs of tokens, beyond what token.h shows.
 */
#ifndef KEYD_TOKEN_URI_H
#define KEYD_TOKEN_URI_H

#include <p11-kit/pkcs11.h>
#include <p11-kit/uri.h>

#include "proto/base/err.h"

/* Parses and checks as token_uri_check does; *ret is freed with p11_kit_uri_free. */
bool uri_parse(const char *uri, P11KitUri **ret, struct err *err) MUST_USE;

/* Parses the URI of a private key: object or id or both, type=private or none, no query (no PIN, no
 * module). *ret is freed with p11_kit_uri_free. */
bool uri_parse_object(const char *uri, P11KitUri **ret, struct err *err) MUST_USE;

/* For CLEANUP: frees what the variable points to. */
void uri_cleanup(P11KitUri **uri);

/* Whether the slot, the token in it and the module are what the URI selects. */
bool uri_matches(const P11KitUri *uri, CK_SLOT_ID slot, const CK_TOKEN_INFO *token,
                 const CK_INFO *module) MUST_USE;

/* The label that the URI names, padded with blanks as CK_TOKEN_INFO has it; NULL: none. Borrowed.
 */
const CK_UTF8CHAR *uri_label(P11KitUri *uri);

#endif
