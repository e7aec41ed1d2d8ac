/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/token/adopt.h"

#include <openssl/objects.h>
#include <stdio.h>
#include <string.h>

#include "keyd/token/attrs.h"
#include "keyd/token/internal.h"
#include "keyd/token/names.h"
#include "keyd/token/search.h"
#include "keyd/token/sign.h"
#include "keyd/token/uri.h"
#include "proto/base/mem.h"

#define CURVE_MAX   256 /* bytes of CKA_EC_PARAMS that are looked at */
#define MODULUS_MAX 4096

/* ---- by URI */

static bool is_ours(struct token *t, const P11KitUri *uri, struct err *err)
{
    CK_TOKEN_INFO token;
    CK_INFO module;
    CK_RV rv = t->p11->C_GetTokenInfo(t->slot, &token);

    if (rv != CKR_OK)
        return token_fail(t, "C_GetTokenInfo", rv, err);
    rv = t->p11->C_GetInfo(&module);
    if (rv != CKR_OK)
        return token_fail(t, "C_GetInfo", rv, err);
    if (uri_matches(uri, t->slot, &token, &module))
        return true;
    err_set(err, ERR_BAD_REQUEST, "the object's URI names another token than keyd's \"%s\"",
            t->info.label);
    return err_hint(err, "object=LABEL or id=ID are enough");
}

/* "www" (id 0102): how an error names an object. */
static void describe(struct token *t, token_handle object, char *buf, size_t size)
{
    struct token_object *o = NULL;
    char id[2 * TOKEN_CKA_ID_MAX + 1];
    struct err ignored;

    buf[0] = '\0';
    if (!token_read_object(t, object, &o, &ignored))
        return;
    snprintf(buf, size, "\"%.60s\" (id %s)", o->label,
             o->cka_id_len ? hex_encode(o->cka_id, o->cka_id_len, id) : "none");
    token_objects_free(o, 1);
}

static bool fits_several(struct token *t, const token_handle *handles, size_t count,
                         struct err *err)
{
    char a[160], b[160];

    describe(t, handles[0], a, sizeof(a));
    describe(t, handles[1], b, sizeof(b));
    err_set(err, ERR_AMBIGUOUS, "the URI fits %zu private keys: %s and %s%s", count, a, b,
            count > 2 ? ", and more" : "");
    return err_hint(err, "name one by both, object= and id=");
}

static void put_attribute(struct attrs *a, P11KitUri *uri, CK_ATTRIBUTE_TYPE type)
{
    const CK_ATTRIBUTE *wanted = p11_kit_uri_get_attribute(uri, type);

    if (wanted)
        attrs_bytes(a, type, wanted->pValue, wanted->ulValueLen);
}

bool token_find_uri(struct token *t, const char *uri, token_handle *ret, struct err *err)
{
    CLEANUP(uri_cleanup) P11KitUri *parsed = NULL;
    AUTO_FREE token_handle *handles = NULL;
    struct attrs what = {0};
    size_t count;

    TRY(uri_parse_object(uri, &parsed, err));
    TRY(is_ours(t, parsed, err));
    attrs_ulong(&what, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_bool(&what, CKA_TOKEN, true);
    put_attribute(&what, parsed, CKA_LABEL);
    put_attribute(&what, parsed, CKA_ID);
    TRY(search_objects(t, &what, &handles, &count, err));
    if (count == 0) {
        err_set(err, ERR_NOT_FOUND, "the token has no private key that fits the URI");
        return err_hint(err, "keydctl token-objects lists what is there");
    }
    if (count > 1)
        return fits_several(t, handles, count, err);
    *ret = handles[0];
    return true;
}

/* ---- its type */

#define TAKEN "keyd takes RSA of 2048, 3072 or 4096 bits, EC P-256 and P-384, and Ed25519"

static unsigned bits_of(const uint8_t *n, size_t len)
{
    size_t i = 0;
    unsigned bits;

    while (i < len && n[i] == 0)
        i++;
    bits = (unsigned)(8 * (len - i));
    for (uint8_t top = i < len ? n[i] : 0x80; !(top & 0x80); top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

static bool rsa_type(struct token *t, token_handle key, enum key_type *ret, struct err *err)
{
    static const enum key_type types[] = {KEY_TYPE_RSA_2048, KEY_TYPE_RSA_3072, KEY_TYPE_RSA_4096};
    uint8_t n[MODULUS_MAX];
    size_t len;

    TRY(attr_read(t, key, CKA_MODULUS, n, sizeof(n), &len, err));
    unsigned bits = bits_of(n, len);
    for (size_t i = 0; i < COUNT(types); i++) {
        if (key_type_info(types[i])->bits == bits) {
            *ret = types[i];
            return true;
        }
    }
    err_set(err, ERR_UNSUPPORTED, "it is an RSA key of %u bits", bits);
    return err_hint(err, TAKEN);
}

static bool other_curve(const uint8_t *params, size_t len, struct err *err)
{
    const unsigned char *at = params;
    ASN1_OBJECT *oid = d2i_ASN1_OBJECT(NULL, &at, (long)len);
    char name[80] = "that has no name";

    if (oid)
        OBJ_obj2txt(name, sizeof(name), oid, 0);
    ASN1_OBJECT_free(oid);
    err_set(err, ERR_UNSUPPORTED, "it is a key on the curve %s", name);
    return err_hint(err, TAKEN);
}

static bool has_params(const struct type_row *row, const uint8_t *params, size_t len)
{
    for (size_t i = 0; i < COUNT(row->params); i++) {
        if (len > 0 && row->params[i].len == len && memcmp(row->params[i].bytes, params, len) == 0)
            return true;
    }
    return false;
}

static bool curve_type(struct token *t, token_handle key, CK_KEY_TYPE key_type, enum key_type *ret,
                       struct err *err)
{
    uint8_t params[CURVE_MAX];
    size_t len;

    TRY(attr_read(t, key, CKA_EC_PARAMS, params, sizeof(params), &len, err));
    for (int i = KEY_TYPE_NONE + 1; i < KEY_TYPE_COUNT; i++) {
        const struct type_row *row = type_row((enum key_type)i);

        if (row->key_type == key_type && has_params(row, params, len)) {
            *ret = row->type;
            return true;
        }
    }
    return other_curve(params, len, err);
}

bool token_private_type(struct token *t, token_handle key, enum key_type *ret, struct err *err)
{
    char name[NAMES_TEXT_MAX];
    CK_ULONG type;

    TRY(attr_read_ulong(t, key, CKA_KEY_TYPE, &type, err));
    if (type == CKK_RSA)
        return rsa_type(t, key, ret, err);
    if (type == CKK_EC || type == CKK_EC_EDWARDS)
        return curve_type(t, key, type, ret, err);
    err_set(err, ERR_UNSUPPORTED, "it is a key of type %s", names_text(NAMES_KEY_TYPE, type, name));
    return err_hint(err, TAKEN);
}

/* ---- its public half */

struct half {
    struct token *t;
    token_handle key;
    enum key_type type;
    uint8_t *spki;
    size_t *spki_len;
};

static bool proven(const struct half *h, struct err *err)
{
    return token_prove(h->t, h->key, h->type, h->spki, *h->spki_len, err) ||
           err_prefix(err, "the key was not proven by a signature");
}

static bool from_info(const struct half *h, struct err *err)
{
    uint8_t der[SPKI_MAX_LEN];
    size_t len = 0;

    if (attr_get(h->t, h->key, CKA_PUBLIC_KEY_INFO, der, sizeof(der), &len, err) != ATTR_FOUND ||
        len == 0)
        return false;
    return spki_canonical(der, len, h->spki, h->spki_len, err) && proven(h, err);
}

static bool from_public_objects(const struct half *h, struct err *err)
{
    AUTO_FREE token_handle *handles = NULL;
    struct attrs what = {0};
    uint8_t id[TOKEN_CKA_ID_MAX];
    size_t id_len, count;

    TRY(search_cka_id(h->t, h->key, id, &id_len, err));
    if (id_len == 0)
        return false;
    attrs_ulong(&what, CKA_CLASS, CKO_PUBLIC_KEY);
    attrs_bytes(&what, CKA_ID, id, id_len);
    TRY(search_objects(h->t, &what, &handles, &count, err));
    for (size_t i = 0; i < count; i++) {
        if (spki_read(h->t, handles[i], h->type, h->spki, h->spki_len, NULL, err) && proven(h, err))
            return true;
    }
    return false;
}

/* A private RSA key has modulus and, as a rule, public exponent (PKCS#11 v2.40 2.1.3). */
static bool from_itself(const struct half *h, struct err *err)
{
    return key_type_info(h->type)->kind == KEY_KIND_RSA &&
           spki_read(h->t, h->key, h->type, h->spki, h->spki_len, NULL, err) && proven(h, err);
}

bool token_public_half(struct token *t, token_handle key, enum key_type type, uint8_t *spki,
                       size_t *spki_len, struct err *err)
{
    static bool (*const ways[])(const struct half *,
                                struct err *) = {from_info, from_public_objects, from_itself};
    const struct half h = {t, key, type, spki, spki_len};
    struct err last = {.code = ERR_NONE};

    for (size_t i = 0; i < COUNT(ways); i++) {
        struct err why = {.code = ERR_NONE};

        if (ways[i](&h, &why))
            return true;
        if (why.code != ERR_NONE)
            last = why;
        if (token_lost(t))
            break;
    }
    *err = last;
    if (last.code != ERR_NONE)
        return false;
    err_set(err, ERR_NOT_FOUND, "the token shows no public key for it");
    return err_hint(err, "put its public key object beside it, with the same CKA_ID");
}

/* ---- fragments */

static bool is_empty(const struct token_object *o, const char *name)
{
    const char *value = token_object_value(o, name);

    return !value || !*value;
}

bool looks_cut_short(const struct token_object *o)
{
    static const char *const any[] = {"CKA_ID",        "CKA_LABEL",    "CKA_MODULUS",
                                      "CKA_EC_PARAMS", "CKA_EC_POINT", "CKA_PUBLIC_KEY_INFO",
                                      "CKA_SUBJECT"};

    if (strcmp(o->cls, "CKO_PRIVATE_KEY") != 0 && strcmp(o->cls, "CKO_PUBLIC_KEY") != 0)
        return false;
    for (size_t i = 0; i < COUNT(any); i++) {
        if (!is_empty(o, any[i]))
            return false;
    }
    return true;
}

/* Whether it makes a signature by any mechanism that keys of keyd have. */
static bool signs(struct token *t, token_handle key, bool *ret, struct err *err)
{
    static const CK_MECHANISM_TYPE all[] = {CKM_ECDSA, CKM_EDDSA, CKM_SHA256_RSA_PKCS};
    uint8_t digest[32] = "keyd test signature", sig[SIGNATURE_MAX];

    *ret = false;
    for (size_t i = 0; i < COUNT(all) && !*ret; i++) {
        CK_MECHANISM mechanism = {.mechanism = all[i]};
        CK_ULONG len = sizeof(sig);
        CK_RV rv = t->p11->C_SignInit(t->session, &mechanism, key);

        if (rv == CKR_OK)
            rv = t->p11->C_Sign(t->session, digest, sizeof(digest), sig, &len);
        *ret = rv == CKR_OK || rv == CKR_BUFFER_TOO_SMALL;
        if (rv_is_loss(rv))
            return token_fail(t, "C_Sign", rv, err);
    }
    return true;
}

bool token_is_fragment(struct token *t, const struct token_object *o, bool *ret, struct err *err)
{
    bool able = false;

    *ret = false;
    if (!looks_cut_short(o))
        return true;
    if (strcmp(o->cls, "CKO_PRIVATE_KEY") == 0)
        TRY(signs(t, o->handle, &able, err));
    *ret = !able;
    return true;
}
