/* SPDX-License-Identifier: Apache-2.0
 *
 * attrs: CK_ATTRIBUTE templates, built and read (PKCS#11 v2.40 5.7). The other files of this room
 * seldom touch a bare CK_ATTRIBUTE.
 */
#ifndef KEYD_TOKEN_ATTRS_H
#define KEYD_TOKEN_ATTRS_H

#include <p11-kit/pkcs11.h>

#include "keyd/token/keys.h"

#define ATTRS_MAX 24

/* A template being built. Values lie in it or are borrowed, so it must not be copied. */
struct attrs {
    CK_ATTRIBUTE list[ATTRS_MAX];
    CK_ULONG numbers[ATTRS_MAX];
    CK_ULONG count;
};

/* Appends CK_TRUE or CK_FALSE. */
void attrs_bool(struct attrs *a, CK_ATTRIBUTE_TYPE type, bool value);

/* Appends a CK_ULONG. */
void attrs_ulong(struct attrs *a, CK_ATTRIBUTE_TYPE type, CK_ULONG value);

/* Appends n bytes, which stay the caller's and must outlive the template. */
void attrs_bytes(struct attrs *a, CK_ATTRIBUTE_TYPE type, const void *p, size_t n);

enum attr_state {
    ATTR_FOUND,
    ATTR_ABSENT,    /* CKR_ATTRIBUTE_TYPE_INVALID: this object has no such attribute */
    ATTR_SENSITIVE, /* CKR_ATTRIBUTE_SENSITIVE: the token does not show it */
    ATTR_TOO_LONG,  /* it does not fit into cap */
    ATTR_GONE,      /* CKR_OBJECT_HANDLE_INVALID: somebody destroyed the object */
    ATTR_FAILED     /* the token failed */
};

/* Reads one attribute into buf; *ret_len only with ATTR_FOUND; err with ATTR_GONE and ATTR_FAILED.
 */
enum attr_state attr_get(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, void *buf,
                         size_t cap, size_t *ret_len, struct err *err);

/* As attr_get; anything but ATTR_FOUND is an error that names the attribute. */
bool attr_read(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, void *buf, size_t cap,
               size_t *ret_len, struct err *err) MUST_USE;

/* As attr_read, for a CK_ULONG. */
bool attr_read_ulong(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret,
                     struct err *err) MUST_USE;

/* As attr_read, for a CK_BBOOL. */
bool attr_read_bool(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, bool *ret,
                    struct err *err) MUST_USE;

#endif
