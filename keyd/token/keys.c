/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/keys.h"

#include <stdio.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/names.h"
#include "keyd/token/search.h"
#include "proto/base/mem.h"

/* ---- finding */

/* What selects private keys that are token objects. Without CKA_TOKEN the process would find its
 * own session copies, which carry the same CKA_ID. */
static void private_keys(struct attrs *a)
{
    attrs_ulong(a, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_bool(a, CKA_TOKEN, true);
}

bool token_list_private(struct token *t, struct token_private **ret, size_t *ret_count,
                        struct err *err)
{
    struct attrs what = {0};
    AUTO_FREE token_handle *handles = NULL;
    size_t count;

    private_keys(&what);
    TRY(search_objects(t, &what, &handles, &count, err));
    AUTO_FREE struct token_private *list = mem_array(count, sizeof(*list));
    if (!list)
        return err_set(err, ERR_INTERNAL, "no memory for %zu private keys", count);
    for (size_t i = 0; i < count; i++) {
        list[i].handle = handles[i];
        TRY(search_cka_id(t, handles[i], list[i].cka_id, &list[i].cka_id_len, err));
    }
    *ret = TAKE(list);
    *ret_count = count;
    return true;
}

bool token_find_private(struct token *t, const uint8_t *cka_id, size_t cka_id_len,
                        token_handle *ret, struct err *err)
{
    struct attrs what = {0};
    AUTO_FREE token_handle *handles = NULL;
    size_t count;

    private_keys(&what);
    attrs_bytes(&what, CKA_ID, cka_id, cka_id_len);
    TRY(search_objects(t, &what, &handles, &count, err));
    if (count == 0)
        return err_set(err, ERR_NOT_FOUND, "the token has no private key of that CKA_ID");
    if (count > 1)
        return err_set(err, ERR_CONFLICT, "the token has %zu private keys of one CKA_ID", count);
    *ret = handles[0];
    return true;
}

/* ---- judging */

static bool judge_flags(struct token *t, token_handle key, bool unwraps, struct err *err)
{
    const struct {
        CK_ATTRIBUTE_TYPE type;
        bool must_be;
    } flags[] = {
        {CKA_TOKEN, true},     {CKA_PRIVATE, true},  {CKA_SENSITIVE, true},
        {CKA_SIGN, !unwraps},  {CKA_DECRYPT, false}, {CKA_EXTRACTABLE, false},
        {CKA_UNWRAP, unwraps}, {CKA_DERIVE, false},  {CKA_SIGN_RECOVER, false},
    };

    for (size_t i = 0; i < COUNT(flags); i++) {
        bool is;

        TRY(attr_read_bool(t, key, flags[i].type, &is, err));
        if (is != flags[i].must_be)
            return err_set(err, ERR_TOKEN, "%s of the private key is %s",
                           names_find(NAMES_ATTRIBUTE, flags[i].type), is ? "true" : "false");
    }
    return true;
}

static bool is_allowed(const struct judge *as, CK_MECHANISM_TYPE mechanism)
{
    for (size_t i = 0; i < as->allowed_count; i++) {
        if (as->allowed[i] == mechanism)
            return true;
    }
    return false;
}

static bool judge_mechanisms(struct token *t, token_handle key, const struct judge *as,
                             struct err *err)
{
    CK_MECHANISM_TYPE list[32];
    char name[NAMES_TEXT_MAX];
    size_t bytes, count;

    TRY(attr_read(t, key, CKA_ALLOWED_MECHANISMS, list, sizeof(list), &bytes, err));
    count = bytes / sizeof(list[0]);
    for (size_t i = 0; i < count; i++) {
        if (!is_allowed(as, list[i]))
            return err_set(err, ERR_TOKEN,
                           "CKA_ALLOWED_MECHANISMS of the private key has %s too much",
                           names_text(NAMES_MECHANISM, list[i], name));
    }
    if (count != as->allowed_count)
        return err_set(err, ERR_TOKEN,
                       "CKA_ALLOWED_MECHANISMS of the private key has %zu mechanisms, not %zu",
                       count, as->allowed_count);
    return true;
}

static bool judge_type(struct token *t, token_handle key, CK_KEY_TYPE wanted, struct err *err)
{
    CK_ULONG cls, type;
    char name[NAMES_TEXT_MAX];

    TRY(attr_read_ulong(t, key, CKA_CLASS, &cls, err));
    if (cls != CKO_PRIVATE_KEY)
        return err_set(err, ERR_TOKEN, "CKA_CLASS of the object is %s",
                       names_text(NAMES_CLASS, cls, name));
    TRY(attr_read_ulong(t, key, CKA_KEY_TYPE, &type, err));
    if (type != wanted)
        return err_set(err, ERR_TOKEN, "CKA_KEY_TYPE of the private key is %s",
                       names_text(NAMES_KEY_TYPE, type, name));
    return true;
}

bool judge_key(struct token *t, token_handle key, const struct judge *as, struct err *err)
{
    TRY(judge_type(t, key, as->key_type, err));
    TRY(judge_flags(t, key, as->unwraps, err));
    return judge_mechanisms(t, key, as, err);
}

bool token_key_judge(struct token *t, token_handle key, enum key_type type, struct err *err)
{
    const struct type_row *row = type_row(type);

    if (!row)
        return err_set(err, ERR_INTERNAL, "no key type %d", (int)type);
    const struct judge as = {
        .key_type = row->key_type, .allowed = row->allowed, .allowed_count = row->allowed_count};
    return judge_key(t, key, &as, err);
}

const char *token_allowed_words(enum key_type type, char *buf, size_t size)
{
    const struct type_row *row = type_row(type);
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; row && i < row->allowed_count && at < size; i++)
        at += (size_t)snprintf(buf + at, size - at, "%s%s", i ? ", " : "",
                               names_find(NAMES_MECHANISM, row->allowed[i]));
    return buf;
}

/* ---- copies, ends */

bool token_session_copy(struct token *t, token_handle key, token_handle *ret, struct err *err)
{
    struct attrs a = {0};
    token_handle copy;

    attrs_bool(&a, CKA_TOKEN, false);
    CK_RV rv = t->p11->C_CopyObject(t->session, key, a.list, a.count, &copy);
    if (rv != CKR_OK)
        return token_fail(t, "C_CopyObject", rv, err);
    *ret = copy;
    return true;
}

bool token_destroy(struct token *t, token_handle object, struct err *err)
{
    CK_RV rv = t->p11->C_DestroyObject(t->session, object);

    return rv == CKR_OK || token_fail(t, "C_DestroyObject", rv, err);
}
