/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/search.h"

#include "keyd/token/internal.h"
#include "proto/base/mem.h"

#define BATCH 256

static bool collect(struct token *t, token_handle **handles, size_t *count, struct err *err)
{
    CK_ULONG n;

    do {
        token_handle *grown = mem_resize(*handles, *count + BATCH, sizeof(*grown));

        if (!grown)
            return err_set(err, ERR_INTERNAL, "no memory for %zu object handles", *count + BATCH);
        *handles = grown;
        CK_RV rv = t->p11->C_FindObjects(t->session, grown + *count, BATCH, &n);
        if (rv != CKR_OK)
            return token_fail(t, "C_FindObjects", rv, err);
        *count += n;
    } while (n > 0);
    return true;
}

bool search_objects(struct token *t, struct attrs *what, token_handle **ret, size_t *ret_count,
                    struct err *err)
{
    AUTO_FREE token_handle *handles = NULL;
    size_t count = 0;
    CK_RV rv = t->p11->C_FindObjectsInit(t->session, what->list, what->count);

    if (rv != CKR_OK)
        return token_fail(t, "C_FindObjectsInit", rv, err);
    bool ok = collect(t, &handles, &count, err);
    rv = t->p11->C_FindObjectsFinal(t->session);
    TRY(ok);
    if (rv != CKR_OK)
        return token_fail(t, "C_FindObjectsFinal", rv, err);
    *ret = TAKE(handles);
    *ret_count = count;
    return true;
}

bool search_cka_id(struct token *t, token_handle object, uint8_t out[TOKEN_CKA_ID_MAX],
                   size_t *ret_len, struct err *err)
{
    size_t len = 0;

    if (attr_get(t, object, CKA_ID, out, TOKEN_CKA_ID_MAX, &len, err) == ATTR_FAILED)
        return false;
    *ret_len = len;
    return true;
}
