/* SPDX-License-Identifier: Apache-2.0
 *
 * The one place where a CK_RV becomes an error: its name always, and what to do about those that a
 * person can do something about.
 */
#include "keyd/token/internal.h"
#include "keyd/token/names.h"

struct meaning {
    CK_RV rv;
    enum err_code code;
    const char *hint; /* NULL: none */
};

static const struct meaning meanings[] = {
    {CKR_SESSION_HANDLE_INVALID, ERR_UNAVAILABLE, NULL},
    {CKR_SESSION_CLOSED, ERR_UNAVAILABLE, NULL},
    {CKR_USER_NOT_LOGGED_IN, ERR_UNAVAILABLE, NULL},
    {CKR_DEVICE_ERROR, ERR_UNAVAILABLE, NULL},
    {CKR_DEVICE_REMOVED, ERR_UNAVAILABLE, "is the token still plugged in or reachable?"},
    {CKR_TOKEN_NOT_PRESENT, ERR_UNAVAILABLE, "is the token still plugged in or reachable?"},
    {CKR_TOKEN_NOT_RECOGNIZED, ERR_UNAVAILABLE, NULL},
    {CKR_CRYPTOKI_NOT_INITIALIZED, ERR_UNAVAILABLE, NULL},
    {CKR_SESSION_COUNT, ERR_UNAVAILABLE, "the token has no session left: who else uses it?"},
    {CKR_PIN_INCORRECT, ERR_DENIED, "the PIN is wrong: check pin-source; it is not tried again"},
    {CKR_PIN_LOCKED, ERR_DENIED, "the PIN is locked: its security officer must set a new one"},
    {CKR_PIN_EXPIRED, ERR_DENIED, "the PIN has expired: set a new one"},
    {CKR_PIN_INVALID, ERR_DENIED, "the token does not take a PIN with these characters"},
    {CKR_PIN_LEN_RANGE, ERR_DENIED, "the token does not take a PIN of this length"},
    {CKR_USER_PIN_NOT_INITIALIZED, ERR_UNAVAILABLE, "the token has no user PIN yet"},
    {CKR_MECHANISM_INVALID, ERR_UNSUPPORTED, NULL},
    {CKR_MECHANISM_PARAM_INVALID, ERR_UNSUPPORTED, NULL},
    {CKR_FUNCTION_NOT_SUPPORTED, ERR_UNSUPPORTED, NULL},
    {CKR_TOKEN_WRITE_PROTECTED, ERR_TOKEN, "the token's files or the token itself are read-only"},
    {CKR_DEVICE_MEMORY, ERR_TOKEN, "the token is full"},
    {CKR_OBJECT_HANDLE_INVALID, ERR_TOKEN,
     "the object is gone, or the process may not read the token's files"},
};

/* PKCS#11 v2.40 5.1.2 to 5.1.4; and CKR_OPERATION_ACTIVE: the one session has an operation that
 * nobody will end any more. */
bool rv_is_loss(CK_RV rv)
{
    switch (rv) {
    case CKR_SESSION_HANDLE_INVALID:
    case CKR_SESSION_CLOSED:
    case CKR_USER_NOT_LOGGED_IN:
    case CKR_DEVICE_ERROR:
    case CKR_DEVICE_REMOVED:
    case CKR_TOKEN_NOT_PRESENT:
    case CKR_TOKEN_NOT_RECOGNIZED:
    case CKR_CRYPTOKI_NOT_INITIALIZED:
    case CKR_OPERATION_ACTIVE:
        return true;
    default:
        return false;
    }
}

bool rv_fail(const char *function, CK_RV rv, struct err *err)
{
    char buf[NAMES_TEXT_MAX];
    const struct meaning *m = NULL;

    for (size_t i = 0; i < COUNT(meanings) && !m; i++) {
        if (meanings[i].rv == rv)
            m = &meanings[i];
    }
    err_set(err, m ? m->code : ERR_TOKEN, "%s: %s", function, names_text(NAMES_RESULT, rv, buf));
    return m && m->hint ? err_hint(err, "%s", m->hint) : false;
}

bool token_fail(struct token *t, const char *function, CK_RV rv, struct err *err)
{
    if (rv_is_loss(rv))
        t->lost = true;
    return rv_fail(function, rv, err);
}

bool token_lost(const struct token *t)
{
    return t->lost;
}
