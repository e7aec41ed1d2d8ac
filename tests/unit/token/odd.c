/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/token/odd.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT struct odd odd;

static CK_FUNCTION_LIST *real, mine;
static bool turned;

static void read_environment(void)
{
    const char *how = getenv("KEYD_ODD");
    char *end;

    if (!how)
        return;
    CK_RV rv = strtoul(how + 5, &end, 16);
    unsigned after = (unsigned)strtoul(end, NULL, 16);
    if (strncmp(how, "copy ", 5) == 0) {
        odd.fail_copy = rv;
    } else if (strncmp(how, "unwr ", 5) == 0) {
        odd.fail_unwrap = rv;
        odd.fail_unwrap_after = after;
    } else {
        odd.fail_sign = rv;
        odd.fail_sign_after = after;
    }
}

static CK_RV odd_initialize(void *args)
{
    read_environment();
    turned = false;
    return odd.fail_initialize ? odd.fail_initialize : real->C_Initialize(args);
}

static CK_RV odd_login(CK_SESSION_HANDLE s, CK_USER_TYPE user, CK_UTF8CHAR *pin, CK_ULONG len)
{
    odd.logins++;
    return odd.fail_login ? odd.fail_login : real->C_Login(s, user, pin, len);
}

static CK_RV odd_token_info(CK_SLOT_ID slot, CK_TOKEN_INFO *info)
{
    CK_RV rv = real->C_GetTokenInfo(slot, info);

    info->flags |= odd.token_flags;
    if (odd.blank)
        info->flags &= ~(CK_FLAGS)CKF_TOKEN_INITIALIZED;
    return rv;
}

static CK_RV odd_mechanism_info(CK_SLOT_ID slot, CK_MECHANISM_TYPE type, CK_MECHANISM_INFO *info)
{
    if (odd.few_mechanisms && type != CKM_ECDSA && type != CKM_EC_KEY_PAIR_GEN)
        return CKR_MECHANISM_INVALID;
    if (odd.one_step && type == CKM_RSA_AES_KEY_WRAP)
        return real->C_GetMechanismInfo(slot, CKM_RSA_PKCS_OAEP, info);
    return real->C_GetMechanismInfo(slot, type, info);
}

static CK_RV odd_sign_init(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE key)
{
    bool fails = odd.sign_inits++ >= odd.fail_sign_after;
    return odd.fail_sign && fails ? odd.fail_sign : real->C_SignInit(s, m, key);
}

static CK_RV odd_sign(CK_SESSION_HANDLE s, CK_BYTE *data, CK_ULONG len, CK_BYTE *sig,
                      CK_ULONG *sig_len)
{
    CK_ULONG room = *sig_len;
    CK_RV rv = real->C_Sign(s, data, len, sig, sig_len);

    if (rv == CKR_OK && odd.signature_len > 0) {
        memcpy(sig, odd.signature, odd.signature_len < room ? odd.signature_len : room);
        *sig_len = odd.signature_len;
        return odd.signature_len > room ? CKR_BUFFER_TOO_SMALL : CKR_OK;
    }
    if (rv == CKR_OK && odd.bad_signatures)
        sig[*sig_len - 1] ^= 1;
    return rv;
}

static CK_RV odd_find(CK_SESSION_HANDLE s, CK_ATTRIBUTE *list, CK_ULONG n)
{
    odd.finds++;
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

static CK_RV odd_generate(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_ATTRIBUTE *pub, CK_ULONG pub_n,
                          CK_ATTRIBUTE *priv, CK_ULONG priv_n, CK_OBJECT_HANDLE *pub_h,
                          CK_OBJECT_HANDLE *priv_h)
{
    if (odd.fail_generate)
        return odd.fail_generate;
    for (CK_ULONG i = 0; odd.no_names && i < pub_n; i++) {
        if (!translate(&pub[i]) && is_oid(&pub[i]))
            return CKR_DOMAIN_PARAMS_INVALID;
    }
    for (CK_ULONG i = 0; odd.any_mechanism && i < priv_n; i++) {
        if (priv[i].type == CKA_ALLOWED_MECHANISMS)
            priv[i] = priv[0]; /* once more CKA_TOKEN, and no list */
    }
    return real->C_GenerateKeyPair(s, m, pub, pub_n, priv, priv_n, pub_h, priv_h);
}

static CK_RV odd_copy(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *list, CK_ULONG n,
                      CK_OBJECT_HANDLE *copy)
{
    return odd.fail_copy ? odd.fail_copy : real->C_CopyObject(s, o, list, n, copy);
}

static CK_RV odd_set(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *list, CK_ULONG n)
{
    turned = odd.flags_turn;
    return odd.flags_turn ? CKR_OK : real->C_SetAttributeValue(s, o, list, n);
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

static CK_RV odd_get(CK_SESSION_HANDLE s, CK_OBJECT_HANDLE o, CK_ATTRIBUTE *a, CK_ULONG n)
{
    CK_RV rv = real->C_GetAttributeValue(s, o, a, n);

    if (rv == CKR_ATTRIBUTE_SENSITIVE && odd.shows_values) {
        a->ulValueLen = 32;
        return CKR_OK;
    }
    if (rv == CKR_OK && odd.bad_points && a->type == CKA_EC_POINT)
        ((CK_BYTE *)a->pValue)[a->ulValueLen - 1] ^= 1;
    if (rv == CKR_OK && odd.raw_points && a->type == CKA_EC_POINT)
        strip(a);
    if (rv == CKR_OK && turned && a->type == CKA_EXTRACTABLE)
        *(CK_BBOOL *)a->pValue = CK_TRUE;
    return rv;
}

static CK_RV odd_wrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE with,
                      CK_OBJECT_HANDLE key, CK_BYTE *out, CK_ULONG *len)
{
    return odd.wraps ? CKR_OK : real->C_WrapKey(s, m, with, key, out, len);
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

static CK_RV odd_unwrap(CK_SESSION_HANDLE s, CK_MECHANISM *m, CK_OBJECT_HANDLE with, CK_BYTE *blob,
                        CK_ULONG len, CK_ATTRIBUTE *list, CK_ULONG n, CK_OBJECT_HANDLE *key)
{
    CK_RSA_PKCS_OAEP_PARAMS sha1 = {CKM_SHA_1, CKG_MGF1_SHA1, CKZ_DATA_SPECIFIED, NULL, 0};
    CK_MECHANISM any = {CKM_RSA_PKCS_OAEP, &sha1, sizeof(sha1)};

    if (odd.unwraps++ >= odd.fail_unwrap_after && odd.fail_unwrap)
        return odd.fail_unwrap;
    if (odd.one_step && m->mechanism == CKM_RSA_AES_KEY_WRAP)
        return in_two_steps(s, m, with, blob, len, list, n, key);
    if (odd.any_hash && m->mechanism == CKM_RSA_PKCS_OAEP)
        m = &any;
    if (odd.any_value && is_private(list, n))
        return another_key(s, list, n, key);
    for (CK_ULONG i = 0; odd.any_mechanism && i < n; i++) {
        if (list[i].type == CKA_ALLOWED_MECHANISMS)
            list[i] = list[0];
    }
    return real->C_UnwrapKey(s, m, with, blob, len, list, n, key);
}

EXPORT CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list)
{
    void *lib = dlopen("/usr/lib/softhsm/libsofthsm2.so", RTLD_NOW | RTLD_LOCAL);
    void *symbol = lib ? dlsym(lib, "C_GetFunctionList") : NULL;
    CK_C_GetFunctionList get;

    memcpy(&get, &symbol, sizeof(get));
    if (!symbol || get(&real) != CKR_OK)
        return CKR_GENERAL_ERROR;
    mine = *real;
    mine.C_Initialize = odd_initialize;
    mine.C_Login = odd_login;
    mine.C_GetTokenInfo = odd_token_info;
    mine.C_GetMechanismInfo = odd_mechanism_info;
    mine.C_SignInit = odd_sign_init;
    mine.C_Sign = odd_sign;
    mine.C_FindObjectsInit = odd_find;
    mine.C_GenerateKeyPair = odd_generate;
    mine.C_CopyObject = odd_copy;
    mine.C_SetAttributeValue = odd_set;
    mine.C_GetAttributeValue = odd_get;
    mine.C_WrapKey = odd_wrap;
    mine.C_UnwrapKey = odd_unwrap;
    mine.C_GetFunctionList = C_GetFunctionList;
    *list = &mine;
    return CKR_OK;
}
