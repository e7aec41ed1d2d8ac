/* SPDX-License-Identifier: Apache-2.0
 *
 * search: C_FindObjects (PKCS#11 v2.40 5.7). A scan of the whole token; nothing on the signing path
 * includes this.
 */
#ifndef KEYD_TOKEN_SEARCH_H
#define KEYD_TOKEN_SEARCH_H

#include "keyd/token/attrs.h"

/* The handles of all objects that fit the template. *ret is freed with mem_free. */
bool search_objects(struct token *t, struct attrs *what, token_handle **ret, size_t *ret_count,
                    struct err *err) MUST_USE;

/* Reads CKA_ID; *ret_len 0: the object has none, or one longer than any of ours. */
bool search_cka_id(struct token *t, token_handle object, uint8_t out[TOKEN_CKA_ID_MAX],
                   size_t *ret_len, struct err *err) MUST_USE;

#endif
