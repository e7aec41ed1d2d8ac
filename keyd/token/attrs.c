/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/attrs.h"

#include <stdlib.h>

#include "keyd/token/internal.h"
#include "keyd/token/names.h"

static const CK_BBOOL yes = CK_TRUE, no = CK_FALSE;

static CK_ATTRIBUTE *next(struct attrs *a)
{
    if (a->count == ATTRS_MAX)
        abort(); /* a defect: templates are fixed lists */
    return &a->list[a->count++];
}

void attrs_bool(struct attrs *a, CK_ATTRIBUTE_TYPE type, bool value)
{
    attrs_bytes(a, type, value ? &yes : &no, sizeof(CK_BBOOL));
}

void attrs_ulong(struct attrs *a, CK_ATTRIBUTE_TYPE type, CK_ULONG value)
{
    CK_ULONG *place = &a->numbers[a->count < ATTRS_MAX ? a->count : 0];

    attrs_bytes(a, type, place, sizeof(*place));
    *place = value;
}

void attrs_bytes(struct attrs *a, CK_ATTRIBUTE_TYPE type, const void *p, size_t n)
{
    *next(a) = (CK_ATTRIBUTE){.type = type, .pValue = (void *)(uintptr_t)p, .ulValueLen = n};
}

enum attr_state attr_get(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, void *buf,
                         size_t cap, size_t *ret_len, struct err *err)
{
    CK_ATTRIBUTE a = {.type = type, .pValue = buf, .ulValueLen = cap};
    CK_RV rv = t->p11->C_GetAttributeValue(t->session, object, &a, 1);

    switch (rv) {
    case CKR_OK:
        if (a.ulValueLen == CK_UNAVAILABLE_INFORMATION)
            return ATTR_ABSENT;
        *ret_len = a.ulValueLen;
        return ATTR_FOUND;
    case CKR_ATTRIBUTE_TYPE_INVALID:
        return ATTR_ABSENT;
    case CKR_ATTRIBUTE_SENSITIVE:
        return ATTR_SENSITIVE;
    case CKR_BUFFER_TOO_SMALL:
        return ATTR_TOO_LONG;
    default:
        token_fail(t, "C_GetAttributeValue", rv, err);
        return rv == CKR_OBJECT_HANDLE_INVALID ? ATTR_GONE : ATTR_FAILED;
    }
}

bool attr_read(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, void *buf, size_t cap,
               size_t *ret_len, struct err *err)
{
    char name_buf[NAMES_TEXT_MAX];
    const char *name = names_text(NAMES_ATTRIBUTE, type, name_buf);

    switch (attr_get(t, object, type, buf, cap, ret_len, err)) {
    case ATTR_FOUND:
        return true;
    case ATTR_ABSENT:
        return err_set(err, ERR_TOKEN, "the object has no %s", name);
    case ATTR_SENSITIVE:
        return err_set(err, ERR_TOKEN, "the token does not show %s of the object", name);
    case ATTR_TOO_LONG:
        return err_set(err, ERR_TOKEN, "%s of the object is longer than %zu bytes", name, cap);
    case ATTR_GONE:
    case ATTR_FAILED:
        return err_prefix(err, "%s", name);
    }
    return err_set(err, ERR_INTERNAL, "%s: an unknown outcome", name);
}

static bool read_exact(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, void *buf,
                       size_t size, struct err *err)
{
    char name[NAMES_TEXT_MAX];
    size_t len;

    TRY(attr_read(t, object, type, buf, size, &len, err));
    if (len != size)
        return err_set(err, ERR_TOKEN, "%s of the object has %zu bytes, not %zu",
                       names_text(NAMES_ATTRIBUTE, type, name), len, size);
    return true;
}

bool attr_read_ulong(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, CK_ULONG *ret,
                     struct err *err)
{
    CK_ULONG value;

    TRY(read_exact(t, object, type, &value, sizeof(value), err));
    *ret = value;
    return true;
}

bool attr_read_bool(struct token *t, token_handle object, CK_ATTRIBUTE_TYPE type, bool *ret,
                    struct err *err)
{
    CK_BBOOL value;

    TRY(read_exact(t, object, type, &value, sizeof(value), err));
    *ret = value != CK_FALSE;
    return true;
}
