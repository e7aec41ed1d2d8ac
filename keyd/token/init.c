/* SPDX-License-Identifier: Apache-2.0
 *
 * Making a token: C_InitToken (PKCS#11 v2.40 5.5), then as security officer C_InitPIN. Cut short
 * between the two, a token without a user PIN is left: the next run goes on with it.
 */
#include <string.h>

#include "keyd/token/internal.h"
#include "keyd/token/softhsm.h"
#include "keyd/token/uri.h"
#include "proto/base/mem.h"

/* The first slot that is blank; or the one with a token of that label that was begun. */
static bool find_slot(const struct module *m, const CK_UTF8CHAR *label, CK_SLOT_ID *ret,
                      bool *ret_begun, struct err *err)
{
    AUTO_FREE CK_SLOT_ID *slots = NULL;
    size_t count, blank = 0;
    CK_SLOT_ID first = 0;

    TRY(module_slots(m, &slots, &count, err));
    for (size_t i = 0; i < count; i++) {
        CK_TOKEN_INFO info;
        CK_RV rv = m->p11->C_GetTokenInfo(slots[i], &info);

        if (rv != CKR_OK)
            return rv_fail("C_GetTokenInfo", rv, err);
        bool made = info.flags & CKF_TOKEN_INITIALIZED;
        bool ours = made && memcmp(info.label, label, sizeof(info.label)) == 0;
        if (ours && (info.flags & CKF_USER_PIN_INITIALIZED))
            return err_set(err, ERR_EXISTS, "there is a token of that label already");
        if (ours) {
            *ret_begun = true;
            *ret = slots[i];
            return true;
        }
        if (!made && blank++ == 0)
            first = slots[i];
    }
    if (blank == 0) {
        err_set(err, ERR_UNAVAILABLE, "the module has no slot with an uninitialised token");
        return err_hint(err, "make a token with the vendor's tool");
    }
    *ret = first;
    return true;
}

/* C_InitPIN, in a session in which the security officer is logged in. */
static bool set_user_pin(CK_FUNCTION_LIST *p11, CK_SESSION_HANDLE session,
                         const struct secret *so_pin, const struct secret *user_pin,
                         struct err *err)
{
    CK_RV rv = p11->C_Login(session, CKU_SO, so_pin->bytes, so_pin->len);

    if (rv != CKR_OK)
        return rv_fail("C_Login", rv, err);
    rv = p11->C_InitPIN(session, user_pin->bytes, user_pin->len);
    (void)p11->C_Logout(session);
    return rv == CKR_OK || rv_fail("C_InitPIN", rv, err);
}

static bool make(const struct module *m, const CK_UTF8CHAR *label, const struct secret *so_pin,
                 const struct secret *user_pin, struct err *err)
{
    CK_FUNCTION_LIST *p11 = m->p11;
    CK_UTF8CHAR padded[sizeof(((CK_TOKEN_INFO *)0)->label)];
    CK_SLOT_ID slot = 0;
    CK_SESSION_HANDLE session = 0;
    CK_RV rv = CKR_OK;
    bool begun = false;

    TRY(find_slot(m, label, &slot, &begun, err));
    memcpy(padded, label, sizeof(padded));
    if (!begun)
        rv = p11->C_InitToken(slot, so_pin->bytes, so_pin->len, padded);
    if (rv != CKR_OK)
        return rv_fail("C_InitToken", rv, err);
    rv = p11->C_OpenSession(slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL, &session);
    if (rv != CKR_OK)
        return rv_fail("C_OpenSession", rv, err);
    bool ok = set_user_pin(p11, session, so_pin, user_pin, err);
    (void)p11->C_CloseSession(session);
    return ok;
}

bool token_init(const char *uri, const char *state_dir, const struct secret *so_pin,
                const struct secret *user_pin, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;
    CLEANUP(module_unload) struct module m = {0};

    TRY(uri_parse(uri, &parsed, err));
    const CK_UTF8CHAR *label = uri_label(parsed);
    if (!label) {
        err_set(err, ERR_BAD_REQUEST, "the token's URI names no label for the new token");
        return err_hint(err, "pkcs11:token=LABEL?module-path=...");
    }
    TRY(softhsm_environment(state_dir, err));
    TRY(module_load(&m, p11_kit_uri_get_module_path(parsed), err));
    TRY(make(&m, label, so_pin, user_pin, err));
    return softhsm_sync(state_dir, err);
}
