/* SPDX-License-Identifier: Apache-2.0
 *
 * token: API tokens: "keyd_" and 43 characters of base64url (RFC 4648 5, without padding) over 256
 * random bits. keyd keeps SHA-256 over the text; a token is called by the first 8 hex digits of it.
 */
#ifndef KEYD_PROTO_TOKEN_H
#define KEYD_PROTO_TOKEN_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"

#define API_TOKEN_HASH_LEN 32
#define API_TOKEN_LEN      48 /* without its final zero */
#define API_TOKEN_ID_LEN   8

/* A new token with a final zero. False only when there are no random bits. */
bool api_token_make(char ret[API_TOKEN_LEN + 1]) MUST_USE;

/* The hash of a token's text. False for what has not the form of one. */
bool api_token_hash(const char *text, uint8_t ret[API_TOKEN_HASH_LEN]) MUST_USE;

#endif
