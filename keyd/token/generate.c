/* SPDX-License-Identifier: Apache-2.0
 *
 * New keys. The private half is what stays; the public half is a session object that lives until
 * its SubjectPublicKeyInfo has been read, so that the token holds one object a key and not two.
 */
#include <stdio.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"

static const uint8_t f4[] = {0x01, 0x00, 0x01}; /* RSA's public exponent, 65537 */

void private_template(struct attrs *a, const struct generate *what, const struct type_row *row)
{
    const CK_MECHANISM_TYPE *allowed = what->allowed ? what->allowed : row->allowed;
    size_t count = what->allowed ? what->allowed_count : row->allowed_count;

    attrs_bool(a, CKA_TOKEN, what->persistent);
    attrs_bool(a, CKA_PRIVATE, true);
    attrs_bool(a, CKA_SENSITIVE, true);
    attrs_bool(a, CKA_EXTRACTABLE, false);
    attrs_bool(a, CKA_SIGN, !what->unwraps);
    attrs_bool(a, CKA_SIGN_RECOVER, false);
    attrs_bool(a, CKA_DECRYPT, false);
    attrs_bool(a, CKA_UNWRAP, what->unwraps);
    attrs_bool(a, CKA_DERIVE, false);
    attrs_bytes(a, CKA_ALLOWED_MECHANISMS, allowed, count * sizeof(*allowed));
    attrs_bytes(a, CKA_ID, what->cka_id, what->cka_id_len);
    attrs_bytes(a, CKA_LABEL, what->label, strlen(what->label));
    if (what->unmodifiable)
        attrs_bool(a, CKA_MODIFIABLE, false);
}

static void public_template(struct attrs *a, const struct generate *what,
                            const struct type_row *row, size_t param)
{
    attrs_bool(a, CKA_TOKEN, false);
    attrs_bool(a, CKA_PRIVATE, false);
    attrs_bool(a, what->unwraps ? CKA_WRAP : CKA_VERIFY, true);
    attrs_bytes(a, CKA_ID, what->cka_id, what->cka_id_len);
    if (row->key_type == CKK_RSA) {
        attrs_ulong(a, CKA_MODULUS_BITS, key_type_info(what->type)->bits);
        attrs_bytes(a, CKA_PUBLIC_EXPONENT, f4, sizeof(f4));
    } else {
        attrs_bytes(a, CKA_EC_PARAMS, row->params[param].bytes, row->params[param].len);
    }
}

static bool refuses_params(CK_RV rv)
{
    return rv == CKR_DOMAIN_PARAMS_INVALID || rv == CKR_ATTRIBUTE_VALUE_INVALID ||
           rv == CKR_TEMPLATE_INCONSISTENT || rv == CKR_CURVE_NOT_SUPPORTED;
}

bool generate_pair(struct token *t, const struct generate *what, token_handle *ret_public,
                   token_handle *ret_private, struct err *err)
{
    const struct type_row *row = type_row(what->type);
    CK_MECHANISM mechanism = {.mechanism = row->generate};
    struct attrs private_attrs = {0};
    token_handle public_key = 0, private_key = 0;
    CK_RV rv = CKR_OK;

    private_template(&private_attrs, what, row);
    for (size_t i = 0; i < COUNT(row->params); i++) {
        struct attrs public_attrs = {0};

        if (i > 0 && (!refuses_params(rv) || row->params[i].len == 0))
            break;
        public_template(&public_attrs, what, row, i);
        rv = t->p11->C_GenerateKeyPair(t->session, &mechanism, public_attrs.list,
                                       public_attrs.count, private_attrs.list, private_attrs.count,
                                       &public_key, &private_key);
    }
    if (rv != CKR_OK)
        return token_fail(t, "C_GenerateKeyPair", rv, err);
    *ret_public = public_key;
    *ret_private = private_key;
    return true;
}

static bool refuse_type(const struct token *t, enum key_type type, struct err *err)
{
    const struct key_type_info *info = key_type_info(type);
    size_t len = 0;

    err_set(err, ERR_UNSUPPORTED, "token \"%s\" cannot make keys of type %s", t->info.label,
            info ? info->name : "unknown");
    for (int i = KEY_TYPE_NONE + 1; i < KEY_TYPE_COUNT && len < sizeof(err->hint); i++) {
        if (t->can_generate[i])
            len += (size_t)snprintf(
                err->hint + len, sizeof(err->hint) - len, "%s%s",
                len ? ", " : "it can make: ", key_type_info((enum key_type)i)->name);
    }
    return false;
}

void offer_spki(struct token *t, token_handle private_key, const uint8_t *spki, size_t len)
{
    struct attrs a = {0};

    attrs_bytes(&a, CKA_PUBLIC_KEY_INFO, spki, len);
    (void)t->p11->C_SetAttributeValue(t->session, private_key, a.list, a.count);
}

bool generate_key(struct token *t, const struct generate *what, token_handle *ret, uint8_t *spki,
                  size_t *spki_len, struct err *err)
{
    token_handle public_key, private_key;

    TRY(generate_pair(t, what, &public_key, &private_key, err));
    bool ok = spki_read(t, public_key, what->type, spki, spki_len, NULL, err);
    (void)t->p11->C_DestroyObject(t->session, public_key); /* else it ends with the session */
    if (!ok) {
        (void)t->p11->C_DestroyObject(t->session, private_key);
        return false;
    }
    if (what->persistent)
        offer_spki(t, private_key, spki, *spki_len);
    *ret = private_key;
    return true;
}

bool token_generate(struct token *t, enum key_type type, const uint8_t *cka_id, size_t cka_id_len,
                    const char *label, bool persistent, token_handle *ret, uint8_t *spki,
                    size_t *spki_len, struct err *err)
{
    const struct generate what = {.type = type,
                                  .cka_id = cka_id,
                                  .cka_id_len = cka_id_len,
                                  .label = label,
                                  .persistent = persistent};

    if (!token_can_generate(t, type))
        return refuse_type(t, type, err);
    return generate_key(t, &what, ret, spki, spki_len, err);
}
