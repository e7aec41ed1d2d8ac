/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/internal.h"

/* C_SetPIN (PKCS#11 v2.40 5.6): in a session of the logged-in user it is the user's PIN. Sessions
 * that are logged in stay so. */
bool token_set_pin(struct token *t, const struct secret *old, const struct secret *new,
                   struct err *err)
{
    CK_RV rv = t->p11->C_SetPIN(t->session, old->bytes, old->len, new->bytes, new->len);

    if (rv == CKR_OK)
        return true;
    token_fail(t, "C_SetPIN", rv, err);
    return err_prefix(err, "token \"%s\"", t->info.label);
}
