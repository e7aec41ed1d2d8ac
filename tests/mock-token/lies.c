/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/mock-token/lies.h"

#include <stddef.h>
#include <string.h>

#include "tests/mock-token/mock.h"

#define EXPORT __attribute__((visibility("default")))

EXPORT struct lies lies;

static CK_FUNCTION_LIST *real, mine;
static bool turned;

static CK_RV lying_initialize(void *args)
{
    turned = false;
    return lies.fail_initialize ? lies.fail_initialize : real->C_Initialize(args);
}

static CK_RV lying_login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
    lies.logins++;
    return lies.fail_login ? lies.fail_login : real->C_Login(s, user, pin, len);
}

static CK_RV lying_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = real->C_GetTokenInfo(slot, info);

    info->flags |= lies.token_flags;
    if (lies.blank)
        info->flags &= ~(CK_FLAGS)CKF_TOKEN_INITIALIZED;
    return rv;
}

static CK_RV lying_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    if (lies.few_mechanisms && type != CKM_ECDSA && type != CKM_EC_KEY_PAIR_GEN)
        return CKR_MECHANISM_INVALID;
    if (lies.one_step && type == CKM_RSA_AES_KEY_WRAP)
        return real->C_GetMechanismInfo(slot, CKM_RSA_PKCS_OAEP, info);
    return real->C_GetMechanismInfo(slot, type, info);
}

static CK_RV lying_sign_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    bool fails = lies.sign_inits++ >= lies.fail_sign_after;
    return lies.fail_sign && fails ? lies.fail_sign : real->C_SignInit(s, m, key);
}

static CK_RV lying_sign(CK_SESSION_HANDLE s, CK_BYTE *data, CK_ULONG len, CK_BYTE *sig,
                        CK_ULONG *sig_len)
{
    CK_ULONG room = *sig_len;
    CK_RV rv = real->C_Sign(s, data, len, sig, sig_len);

    if (rv == CKR_OK && lies.signature_len > 0) {
        memcpy(sig, lies.signature, lies.signature_len < room ? lies.signature_len : room);
        *sig_len = lies.signature_len;
        return lies.signature_len > room ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    if (rv == CKR_OK && lies.bad_signatures)
        sig[*sig_len - 1] ^= 1;
    return rv;
}

static CK_RV lying_find(CK_SESSION_HANDLE s, CK_ATTRIBUTE *list, CK_ULONG n)
{
    lies.finds++;
    return real->C_FindObjectsInit(s, list, n);
}

static bool is_oid(const CK_ATTRIBUTE *a)
{
    return a->type == CKA_EC_PARAMS && a->ulValueLen == 5 && *(CK_BYTE *)a->pValue == 0x06;
}

/* The string "edwards25519", which SoftHSM does not know, becomes the OID that it does. */
static bool translate(CK_ATTRIBUTE *a)
{
    static CK_BYTE oid[] = {0x06, 0x03, 0x2b, 0x65, 0x70};

    if (a->type != CKA_EC_PARAMS || *(CK_BYTE *)a->pValue != 0x13)
        return false;
    a->pValue = oid;
    a->ulValueLen = sizeof(oid);
    return true;
}

static CK_RV lying_generate(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n,
                            CK_ATTRIBUTE *priv, CK_ULONG priv_n, CK_OBJECT_HANDLE *pub_h,
                            CK_OBJECT_HANDLE *priv_h)
{
    if (lies.fail_generate)
        return lies.fail_generate;
    for (CK_ULONG i = 0; lies.no_names && i < pub_n; i++) {
        if (!translate(&pub[i]) && is_oid(&pub[i]))
            return CKR_DOMAIN_PARAMS_INVALID;
    }
    for (CK_ULONG i = 0; lies.any_mechanism && i < priv_n; i++) {
        if (priv[i].type == CKA_ALLOWED_MECHANISMS)
            priv[i] = priv[0]; /* once more CKA_TOKEN, and no list */
    }
    return real->C_GenerateKeyPair(s, m, pub, pub_n, priv, priv_n, pub_h, priv_h);
}

static CK_RV lying_copy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *list, CK_ULONG n,
                        CK_OBJECT_HANDLE *copy)
{
    return lies.fail_copy ? lies.fail_copy : real->C_CopyObject(s, o, list, n, copy);
}

static CK_RV lying_set(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *list, CK_ULONG n)
{
    turned = lies.flags_turn;
    return lies.flags_turn ? CKR_OK : real->C_SetAttributeValue(s, o, list, n);
}

/* "04 41 04 ..." becomes "04 ...". */
static void strip(CK_ATTRIBUTE *a)
{
    CK_BYTE *p = a->pValue;

    if (p && a->ulValueLen > 2 && a->ulValueLen != CK_UNAVAILABLE_INFORMATION) {
        memmove(p, p + 2, a->ulValueLen - 2);
        a->ulValueLen -= 2;
    }
}

static CK_RV lying_get(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a, CK_ULONG n)
{
    CK_RV rv = real->C_GetAttributeValue(s, o, a, n);

    if (rv == CKR_ATTRIBUTE_SENSITIVE && lies.shows_values) {
        a->ulValueLen = 32;
        return CKR_OK;
    }
    if (rv == CKR_OK && lies.bad_points && a->type == CKA_EC_POINT)
        ((CK_BYTE *)a->pValue)[a->ulValueLen - 1] ^= 1;
    if (rv == CKR_OK && lies.raw_points && a->type == CKA_EC_POINT)
        strip(a);
    if (rv == CKR_OK && turned && a->type == CKA_EXTRACTABLE)
        *(CK_BBOOL *)a->pValue = CK_TRUE;
    return rv;
}

static CK_RV lying_wrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
                        CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
    return lies.wraps ? CKR_OK : real->C_WrapKey(s, m, with, key, out, len);
}

/* ---- unwrapping */

struct rsa_aes_params {
    CK_ULONG aes_bits;
    CK_RSA_PKCS_OAEP_PARAMS *oaep;
};

/* CKM_RSA_AES_KEY_WRAP under a key of 2048 or 3072 bits, in two steps. */
static CK_RV in_two_steps(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
                          CK_BYTE *blob, CK_ULONG len, CK_ATTRIBUTE *list, CK_ULONG n,
                          CK_OBJECT_HANDLE *key)
{
    struct rsa_aes_params *params = m->pParameter;
    CK_MECHANISM oaep = {CKM_RSA_PKCS_OAEP, params->oaep, sizeof(*params->oaep)};
    CK_MECHANISM kwp = {CKM_AES_KEY_WRAP_PAD, NULL, 0};
    CK_OBJECT_CLASS cls = CKO_SECRET_KEY;
    CK_KEY_TYPE aes = CKK_AES;
    CK_BBOOL yes = CK_TRUE, no = CK_FALSE;
    CK_ATTRIBUTE kek_list[] = {{CKA_CLASS, &cls, sizeof(cls)},
                               {CKA_KEY_TYPE, &aes, sizeof(aes)},
                               {CKA_TOKEN, &no, sizeof(no)},
                               {CKA_UNWRAP, &yes, sizeof(yes)}};
    CK_BYTE modulus[512];
    CK_ATTRIBUTE a = {CKA_MODULUS, modulus, sizeof(modulus)};
    CK_OBJECT_HANDLE kek;

    CK_RV rv = real->C_GetAttributeValue(s, with, &a, 1);
    if (rv != CKR_OK || len <= a.ulValueLen || params->aes_bits != 256)
        return CKR_WRAPPED_KEY_LEN_RANGE;
    rv = real->C_UnwrapKey(s, &oaep, with, blob, a.ulValueLen, kek_list, 4, &kek);
    if (rv != CKR_OK)
        return rv;
    rv = real->C_UnwrapKey(s, &kwp, kek, blob + a.ulValueLen, len - a.ulValueLen, list, n, key);
    real->C_DestroyObject(s, kek);
    return rv;
}

/* A new pair whose private half stands for what was unwrapped. */
static CK_RV another_key(CK_SESSION_HANDLE s, CK_ATTRIBUTE *list, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
    static CK_BYTE p256[] = {0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07};
    CK_MECHANISM m = {CKM_EC_KEY_PAIR_GEN, NULL, 0};
    CK_ATTRIBUTE params = {CKA_EC_PARAMS, p256, sizeof(p256)};
    CK_OBJECT_HANDLE pub;

    CK_RV rv = real->C_GenerateKeyPair(s, &m, &params, 1, list, n, &pub, key);
    if (rv == CKR_OK)
        real->C_DestroyObject(s, pub);
    return rv;
}

static bool is_private(const CK_ATTRIBUTE *list, CK_ULONG n)
{
    for (CK_ULONG i = 0; i < n; i++)
        if (list[i].type == CKA_CLASS)
            return *(CK_OBJECT_CLASS *)list[i].pValue == CKO_PRIVATE_KEY;
    return false;
}

static CK_RV lying_unwrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
                          CK_BYTE *blob, CK_ULONG len, CK_ATTRIBUTE *list, CK_ULONG n,
                          CK_OBJECT_HANDLE *key)
{
    CK_RSA_PKCS_OAEP_PARAMS sha1 = {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM any = {CKM_RSA_PKCS_OAEP, &sha1, sizeof(sha1)};

    if (lies.unwraps++ >= lies.fail_unwrap_after && lies.fail_unwrap)
        return lies.fail_unwrap;
    if (lies.one_step && m->mechanism == CKM_RSA_AES_KEY_WRAP)
        return in_two_steps(s, m, with, blob, len, list, n, key);
    if (lies.any_hash && m->mechanism == CKM_RSA_PKCS_OAEP)
        m = &any;
    if (lies.any_value && is_private(list, n))
        return another_key(s, list, n, key);
    for (CK_ULONG i = 0; lies.any_mechanism && i < n; i++) {
        if (list[i].type == CKA_ALLOWED_MECHANISMS)
            list[i] = list[0];
    }
    return real->C_UnwrapKey(s, m, with, blob, len, list, n, key);
}

CK_FUNCTION_LIST *lies_over(CK_FUNCTION_LIST *softhsm)
{
    real = softhsm;
    mine = *real;
    mine.C_Initialize = lying_initialize;
    mine.C_Login = lying_login;
    mine.C_GetTokenInfo = lying_token_info;
    mine.C_GetMechanismInfo = lying_mechanism_info;
    mine.C_SignInit = lying_sign_init;
    mine.C_Sign = lying_sign;
    mine.C_FindObjectsInit = lying_find;
    mine.C_GenerateKeyPair = lying_generate;
    mine.C_CopyObject = lying_copy;
    mine.C_SetAttributeValue = lying_set;
    mine.C_GetAttributeValue = lying_get;
    mine.C_WrapKey = lying_wrap;
    mine.C_UnwrapKey = lying_unwrap;
    return &mine;
}

/* ---- by name */

static const struct named {
    const char *name;
    bool *flag;
} named[] = {
    {"blank", &lies.blank},
    {"raw-points", &lies.raw_points},
    {"bad-points", &lies.bad_points},
    {"shows-values", &lies.shows_values},
    {"flags-turn", &lies.flags_turn},
    {"wraps", &lies.wraps},
    {"any-mechanism", &lies.any_mechanism},
    {"bad-signatures", &lies.bad_signatures},
    {"no-names", &lies.no_names},
    {"few-mechanisms", &lies.few_mechanisms},
    {"one-step", &lies.one_step},
    {"any-hash", &lies.any_hash},
    {"any-value", &lies.any_value},
};

bool lies_tell(const char *name)
{
    for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
        if (strcmp(named[i].name, name) == 0)
            return *named[i].flag = true;
    }
    return false;
}
