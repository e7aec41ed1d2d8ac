/* SPDX-License-Identifier: Apache-2.0
 *
 * keymgmt: what OpenSSL may ask of a key, one table per type (RSA-PSS must not share RSA's `new`:
 * "different key types"). Public parts come in and go out, so that certificates can be compared and
 * public keys written; the questions about them are answered by the default provider. The private
 * part is here as far as OpenSSL is concerned (it signs), and never goes out: an export that names
 * it is refused, in silence, as OpenSSL asks for it before every signature.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>

#include "clients/provider/errors.h"
#include "clients/provider/key.h"

static void *load(const void *reference, size_t size)
{
    struct key **slot = (struct key **)reference;

    if (size != sizeof(*slot))
        return NULL;
    struct key *key = *slot;
    *slot = NULL;
    return key;
}

static int has(const void *vkey, int selection)
{
    const struct key *key = vkey;

    if (!key || !key->public_key)
        return 0;
    return key->signs || !(selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY);
}

static int match(const void *va, const void *vb, int selection)
{
    const struct key *a = va, *b = vb;
    int same = 1;

    if (!a->public_key || !b->public_key)
        return 0;
    ERR_set_mark();
    if (selection & OSSL_KEYMGMT_SELECT_KEYPAIR)
        same = EVP_PKEY_eq(a->public_key, b->public_key) == 1;
    else if (selection & OSSL_KEYMGMT_SELECT_DOMAIN_PARAMETERS)
        same = EVP_PKEY_parameters_eq(a->public_key, b->public_key) == 1;
    ERR_pop_to_mark();
    return same;
}

/* Without this OpenSSL calls every key valid (`openssl pkey -check`). What lies in the token cannot
 * be checked from here, and is not called valid. */
static int validate(const void *vkey, int selection, int type)
{
    const struct key *key = vkey;

    (void)type;
    if (!key->public_key)
        return 0;
    if (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY)
        return raise_error(key->provider, REASON_PRIVATE, "only the public half can be checked");
    ERR_set_mark();
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(key->provider->libctx, key->public_key, NULL);
    bool ok = ctx && (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY ? EVP_PKEY_public_check(ctx)
                                                                 : EVP_PKEY_param_check(ctx)) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_pop_to_mark();
    return ok;
}

static int get_params(void *vkey, OSSL_PARAM params[])
{
    const struct key *key = vkey;

    if (!key->public_key)
        return 0;
    ERR_set_mark();
    int ok = EVP_PKEY_get_params(key->public_key, params);
    ERR_pop_to_mark();
    return ok > 0;
}

static int import(void *vkey, int selection, const OSSL_PARAM params[])
{
    if ((selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY) ||
        !(selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY))
        return 0;
    ERR_set_mark();
    bool ok = key_import_public(vkey, params);
    ERR_pop_to_mark();
    return ok;
}

static int export(void *vkey, int selection, OSSL_CALLBACK *take, void *arg)
{
    const struct key *key = vkey;

    if (!key->public_key || (selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY))
        return 0;
    /* The default provider exports a public key only together with its parameters. */
    if (selection & OSSL_KEYMGMT_SELECT_PUBLIC_KEY)
        selection |= OSSL_KEYMGMT_SELECT_ALL_PARAMETERS;
    return EVP_PKEY_export(key->public_key, selection, take, arg);
}

#define COMMON_PARAMS                                                                              \
    OSSL_PARAM_int(OSSL_PKEY_PARAM_BITS, NULL),                                                    \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_SECURITY_BITS, NULL),                                       \
        OSSL_PARAM_int(OSSL_PKEY_PARAM_MAX_SIZE, NULL)
#define DIGEST_PARAMS                                                                              \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_DEFAULT_DIGEST, NULL, 0),                               \
        OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0)
#define RSA_PARAMS                                                                                 \
    OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_N, NULL, 0), OSSL_PARAM_BN(OSSL_PKEY_PARAM_RSA_E, NULL, 0)
#define EC_PARAMS                                                                                  \
    OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, NULL, 0),                                   \
        OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)
#define ED25519_PARAMS OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0)

static const OSSL_PARAM rsa_gettable[] = {COMMON_PARAMS, DIGEST_PARAMS, RSA_PARAMS, OSSL_PARAM_END};
static const OSSL_PARAM rsa_public[] = {RSA_PARAMS, OSSL_PARAM_END};
static const OSSL_PARAM ec_gettable[] = {
    COMMON_PARAMS,  DIGEST_PARAMS,
    EC_PARAMS,      OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
    OSSL_PARAM_END,
};
static const OSSL_PARAM ec_public[] = {EC_PARAMS, OSSL_PARAM_END};
static const OSSL_PARAM ed25519_gettable[] = {
    COMMON_PARAMS,  DIGEST_PARAMS,
    ED25519_PARAMS, OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, NULL, 0),
    OSSL_PARAM_END,
};
static const OSSL_PARAM ed25519_public[] = {ED25519_PARAMS, OSSL_PARAM_END};

/* The signature algorithm that a key of the type uses; NULL: the type's own name. */
static const char *rsa_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "RSA" : NULL;
}

/* See rsa_operation. */
static const char *ec_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ECDSA" : NULL;
}

/* See rsa_operation. */
static const char *ed25519_operation(int operation)
{
    return operation == OSSL_OP_SIGNATURE ? "ED25519" : NULL;
}

/* The table of one type; params and operation name the group of functions that it takes. */
#define KEYMGMT(name, kind, params, operation)                                                     \
    static void *name##_new(void *p)                                                               \
    {                                                                                              \
        return key_new(p, kind);                                                                   \
    }                                                                                              \
    static const OSSL_PARAM *name##_gettable_params(void *p)                                       \
    {                                                                                              \
        (void)p;                                                                                   \
        return params##_gettable;                                                                  \
    }                                                                                              \
    static const OSSL_PARAM *name##_types(int selection)                                           \
    {                                                                                              \
        return selection & OSSL_KEYMGMT_SELECT_PRIVATE_KEY ? NULL : params##_public;               \
    }                                                                                              \
    static const OSSL_DISPATCH name##_table[] = {                                                  \
        {OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))name##_new},                                       \
        {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free},                                        \
        {OSSL_FUNC_KEYMGMT_LOAD, (void (*)(void))load},                                            \
        {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))has},                                              \
        {OSSL_FUNC_KEYMGMT_MATCH, (void (*)(void))match},                                          \
        {OSSL_FUNC_KEYMGMT_VALIDATE, (void (*)(void))validate},                                    \
        {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))get_params},                                \
        {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))name##_gettable_params},               \
        {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))import},                                        \
        {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))name##_types},                            \
        {OSSL_FUNC_KEYMGMT_EXPORT, (void (*)(void)) export},                                       \
        {OSSL_FUNC_KEYMGMT_EXPORT_TYPES, (void (*)(void))name##_types},                            \
        {OSSL_FUNC_KEYMGMT_QUERY_OPERATION_NAME, (void (*)(void))operation##_operation},           \
        {0, NULL}}

KEYMGMT(rsa, PKEY_RSA, rsa, rsa);
KEYMGMT(rsa_pss, PKEY_RSA_PSS, rsa, rsa);
KEYMGMT(ec, PKEY_EC, ec, ec);
KEYMGMT(ed25519, PKEY_ED25519, ed25519, ed25519);

#define PROPERTIES "provider=keyd"

const OSSL_ALGORITHM provider_keymgmts[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, rsa_table, "RSA keys of keyd"},
    {"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", PROPERTIES, rsa_pss_table, "RSA-PSS keys of keyd"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", PROPERTIES, ec_table, "EC keys of keyd"},
    {"ED25519:1.3.101.112", PROPERTIES, ed25519_table, "Ed25519 keys of keyd"},
    {NULL, NULL, NULL, NULL}};
