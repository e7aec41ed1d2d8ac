/* SPDX-License-Identifier: Apache-2.0
 *
 * One answer for all that can be wrong with what came in: a token that says "bad padding" here and
 * "bad key" there, however kindly, is an oracle on other people's keys. What is the token's own
 * trouble (full, read-only, gone) depends on nobody's bytes and is told as it is.
 */
#include "keyd/token/unwrap.h"

#include <string.h>

#include "keyd/token/internal.h"
#include "proto/base/mem.h"

/* PKCS#11 v2.40 2.1.20; not in p11-kit 0.24. */
struct rsa_aes_params {
    CK_ULONG aes_bits;
    CK_RSA_PKCS_OAEP_PARAMS *oaep;
};

bool unwrap_refused(struct err *err)
{
    err_set(err, ERR_BAD_REQUEST, "the key could not be unwrapped");
    return err_hint(err,
                    "was it wrapped for this import key, by a client of this keyd? begin anew");
}

/* What depends on the token alone, whatever came in. */
static bool is_own_trouble(CK_RV rv)
{
    switch (rv) {
    case CKR_HOST_MEMORY:
    case CKR_DEVICE_MEMORY:
    case CKR_TOKEN_WRITE_PROTECTED:
    case CKR_SESSION_READ_ONLY:
    case CKR_MECHANISM_INVALID:
    case CKR_UNWRAPPING_KEY_HANDLE_INVALID:
    case CKR_OBJECT_HANDLE_INVALID:
        return true;
    default:
        return rv_is_loss(rv);
    }
}

/* ---- C_UnwrapKey (PKCS#11 v2.40 5.13) */

struct unwrapping {
    struct token *t;
    CK_MECHANISM *mechanism;
    token_handle with;
    const uint8_t *blob;
    size_t len;
    struct attrs *attrs;
};

static bool unwrap(const struct unwrapping *u, token_handle *ret, bool *ret_refused,
                   struct err *err)
{
    token_handle handle = 0;
    CK_RV rv = u->t->p11->C_UnwrapKey(u->t->session, u->mechanism, u->with,
                                      (CK_BYTE_PTR)(uintptr_t)u->blob, u->len, u->attrs->list,
                                      u->attrs->count, &handle);

    if (rv == CKR_OK) {
        *ret = handle;
        return true;
    }
    *ret_refused = !is_own_trouble(rv);
    return token_fail(u->t, "C_UnwrapKey", rv, err);
}

static CK_RSA_PKCS_OAEP_PARAMS oaep_params(enum import_hash hash)
{
    bool sha1 = hash == IMPORT_HASH_SHA1;

    /* no label: pSource NULL (RFC 8017 7.1.1: the empty string) */
    return (CK_RSA_PKCS_OAEP_PARAMS){.hashAlg = sha1 ? CKM_SHA_1 : CKM_SHA256,
                                     .mgf = sha1 ? CKG_MGF1_SHA1 : CKG_MGF1_SHA256,
                                     .source = CKZ_DATA_SPECIFIED};
}

/* ---- two steps */

/* Some tokens do not fill in CKA_VALUE_LEN of what they unwrap (SoftHSM says 0): then a shorter AES
 * key passes, which is the sender's own loss. */
static bool has_kek_length(struct token *t, token_handle kek, bool *ret_refused, struct err *err)
{
    CK_ULONG n = 0;
    size_t len;

    switch (attr_get(t, kek, CKA_VALUE_LEN, &n, sizeof(n), &len, err)) {
    case ATTR_FOUND:
        *ret_refused = n != 0 && n != IMPORT_KEK_LEN;
        return !*ret_refused || unwrap_refused(err);
    case ATTR_GONE:
    case ATTR_FAILED:
        return false;
    default:
        return true;
    }
}

/* The AES key, as a session object that can do nothing but this. */
static bool unwrap_kek(struct token *t, token_handle import_key, const struct unwrap_way *way,
                       const struct unwrap_blobs *blobs, token_handle *ret, bool *ret_refused,
                       struct err *err)
{
    CK_RSA_PKCS_OAEP_PARAMS oaep = oaep_params(way->hash);
    CK_MECHANISM mechanism = {
        .mechanism = CKM_RSA_PKCS_OAEP, .pParameter = &oaep, .ulParameterLen = sizeof(oaep)};
    CK_MECHANISM_TYPE allowed = way->key_wrap;
    struct attrs a = {0};
    token_handle kek;

    attrs_ulong(&a, CKA_CLASS, CKO_SECRET_KEY);
    attrs_ulong(&a, CKA_KEY_TYPE, CKK_AES);
    attrs_bool(&a, CKA_TOKEN, false);
    attrs_bool(&a, CKA_PRIVATE, true);
    attrs_bool(&a, CKA_SENSITIVE, true);
    attrs_bool(&a, CKA_EXTRACTABLE, false);
    attrs_bool(&a, CKA_UNWRAP, true);
    attrs_bool(&a, CKA_WRAP, false);
    attrs_bool(&a, CKA_ENCRYPT, false);
    attrs_bool(&a, CKA_DECRYPT, false);
    attrs_bool(&a, CKA_SIGN, false);
    attrs_bool(&a, CKA_VERIFY, false);
    attrs_bool(&a, CKA_DERIVE, false);
    attrs_bytes(&a, CKA_ALLOWED_MECHANISMS, &allowed, sizeof(allowed));
    const struct unwrapping u = {t, &mechanism, import_key, blobs->kek, blobs->kek_len, &a};
    TRY(unwrap(&u, &kek, ret_refused, err));
    if (!has_kek_length(t, kek, ret_refused, err)) {
        (void)t->p11->C_DestroyObject(t->session, kek);
        return false;
    }
    *ret = kek;
    return true;
}

static bool unwrap_two_steps(struct token *t, token_handle import_key, const struct unwrap_way *way,
                             const struct unwrap_blobs *blobs, struct attrs *attrs,
                             token_handle *ret, bool *ret_refused, struct err *err)
{
    CK_MECHANISM mechanism = {.mechanism = way->key_wrap};
    token_handle kek;

    TRY(unwrap_kek(t, import_key, way, blobs, &kek, ret_refused, err));
    const struct unwrapping u = {t, &mechanism, kek, blobs->key, blobs->key_len, attrs};
    bool ok = unwrap(&u, ret, ret_refused, err);
    (void)t->p11->C_DestroyObject(t->session, kek); /* else it ends with the session */
    return ok;
}

/* ---- one step */

static bool unwrap_one_step(struct token *t, token_handle import_key, const struct unwrap_way *way,
                            const struct unwrap_blobs *blobs, struct attrs *attrs,
                            token_handle *ret, bool *ret_refused, struct err *err)
{
    CK_RSA_PKCS_OAEP_PARAMS oaep = oaep_params(way->hash);
    struct rsa_aes_params params = {.aes_bits = 8 * IMPORT_KEK_LEN, .oaep = &oaep};
    CK_MECHANISM mechanism = {
        .mechanism = CKM_RSA_AES_KEY_WRAP, .pParameter = &params, .ulParameterLen = sizeof(params)};
    size_t len = blobs->kek_len + blobs->key_len;
    AUTO_FREE uint8_t *both = mem_new(len);

    if (!both)
        return err_set(err, ERR_INTERNAL, "no memory for a wrapped key of %zu bytes", len);
    memcpy(both, blobs->kek, blobs->kek_len);
    memcpy(both + blobs->kek_len, blobs->key, blobs->key_len);
    const struct unwrapping u = {t, &mechanism, import_key, both, len, attrs};
    return unwrap(&u, ret, ret_refused, err);
}

/* ---- both */

static bool any_way(struct token *t, token_handle import_key, const struct unwrap_way *way,
                    const struct unwrap_blobs *blobs, const struct unwrap_as *as, bool persistent,
                    token_handle *ret, bool *ret_refused, struct err *err)
{
    const struct type_row *row = type_row(as->type);
    const struct generate what = {.type = as->type,
                                  .cka_id = as->cka_id,
                                  .cka_id_len = as->cka_id_len,
                                  .label = as->label,
                                  .persistent = persistent};
    struct attrs a = {0};

    *ret_refused = false;
    if (way->hash == IMPORT_HASH_NONE || !row)
        return err_set(err, ERR_UNSUPPORTED, "the token \"%s\" cannot unwrap keys", t->info.label);
    attrs_ulong(&a, CKA_CLASS, CKO_PRIVATE_KEY);
    attrs_ulong(&a, CKA_KEY_TYPE, row->key_type);
    private_template(&a, &what, row);
    return (way->one_step ? unwrap_one_step : unwrap_two_steps)(t, import_key, way, blobs, &a, ret,
                                                                ret_refused, err);
}

bool token_unwrap_try(struct token *t, token_handle import_key, const struct unwrap_way *way,
                      const struct unwrap_blobs *blobs, const struct unwrap_as *as,
                      token_handle *ret, bool *ret_refused, struct err *err)
{
    if (any_way(t, import_key, way, blobs, as, false, ret, ret_refused, err))
        return true;
    return *ret_refused ? unwrap_refused(err) : false;
}

bool token_unwrap_keep(struct token *t, token_handle import_key, const struct unwrap_way *way,
                       const struct unwrap_blobs *blobs, const struct unwrap_as *as,
                       token_handle *ret, struct err *err)
{
    token_handle key;
    bool refused;

    TRY(any_way(t, import_key, way, blobs, as, true, &key, &refused, err));
    if (as->spki)
        offer_spki(t, key, as->spki, as->spki_len);
    *ret = key;
    return true;
}

/* ---- import keys */

static CK_MECHANISM_TYPE import_mechanism(const struct unwrap_way *way)
{
    return way->one_step ? CKM_RSA_AES_KEY_WRAP : CKM_RSA_PKCS_OAEP;
}

bool import_key_generate(struct token *t, enum key_type type, const struct unwrap_way *way,
                         const uint8_t *cka_id, size_t cka_id_len, const char *label,
                         bool persistent, token_handle *ret, uint8_t *spki, size_t *spki_len,
                         struct err *err)
{
    const CK_MECHANISM_TYPE allowed = import_mechanism(way);
    const struct generate what = {.type = type,
                                  .cka_id = cka_id,
                                  .cka_id_len = cka_id_len,
                                  .label = label,
                                  .persistent = persistent,
                                  .unwraps = true,
                                  .allowed = &allowed,
                                  .allowed_count = 1};

    return generate_key(t, &what, ret, spki, spki_len, err);
}

bool import_key_judge(struct token *t, token_handle key, const struct unwrap_way *way,
                      struct err *err)
{
    const CK_MECHANISM_TYPE allowed = import_mechanism(way);
    const struct judge as = {
        .key_type = CKK_RSA, .unwraps = true, .allowed = &allowed, .allowed_count = 1};

    return judge_key(t, key, &as, err);
}
