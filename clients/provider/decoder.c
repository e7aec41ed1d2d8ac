/* SPDX-License-Identifier: Apache-2.0
 *
 * decoder: from the PEM of a key reference to a key, in two layers, as OpenSSL's own decoders do:
 * PEM to DER, then DER to a key of one type. A decoder that goes from PEM to the key in one step
 * works for servers, but none of OpenSSL's command-line tools gets through it.
 *
 * Both layers are called for every PEM block and much DER that is not ours, private keys among
 * them: what is not ours gets "carry on" (1), in silence. Our own label with a body that does not
 * hold is a failure with a reason, told in the first layer, once.
 */
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/core_object.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <string.h>

#include "clients/provider/errors.h"
#include "clients/provider/key.h"

#define LABEL     "KEYD KEY REFERENCE"
#define STRUCTURE "KeydKeyReference"
#define DER_MAX   (KEYD_SPKI_MAX + 64)

static void *decoder_new(void *provider)
{
    return provider;
}

static void decoder_free(void *provider)
{
    (void)provider;
}

/* The next PEM block. On success the caller frees *ret_name, and *ret_der with OPENSSL_clear_free:
 * it may be somebody's private key. */
static bool read_pem(const struct provider *p, OSSL_CORE_BIO *in, char **ret_name,
                     uint8_t **ret_der, long *ret_len)
{
    BIO *bio = BIO_new_from_core_bio(p->libctx, in);
    char *header = NULL;

    if (!bio)
        return false;
    bool ok = PEM_read_bio(bio, ret_name, &header, ret_der, ret_len) > 0;
    if (ok)
        OPENSSL_free(header);
    BIO_free(bio);
    return ok;
}

/* Hands the DER of a key reference to the next layer. */
static int hand_on(uint8_t *der, size_t len, OSSL_CALLBACK *next, void *arg)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_DATA, der, len),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_STRUCTURE, (char *)STRUCTURE, 0),
        OSSL_PARAM_construct_end(),
    };

    return next(params, arg);
}

static int check_and_hand_on(const struct provider *p, uint8_t *der, long len, OSSL_CALLBACK *next,
                             void *arg)
{
    uint8_t id[KEYD_KEY_ID_LEN];
    const uint8_t *spki;
    size_t spki_len;
    enum pkey_kind kind;
    struct keyd_error error;

    ERR_set_mark();
    int code = keyd_ref_decode(der, (size_t)len, id, &spki, &spki_len, &error);
    bool known = code == KEYD_OK && pkey_kind_of(spki, spki_len, &kind);
    ERR_pop_to_mark();
    if (code != KEYD_OK)
        return raise_error(p, REASON_REFERENCE, "%s%s%s", error.message, error.hint[0] ? "; " : "",
                           error.hint);
    if (!known)
        return raise_error(p, REASON_REFERENCE,
                           "the public key in the key reference is of no type that keyd has");
    return hand_on(der, (size_t)len, next, arg);
}

static int pem_decode(void *vprovider, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *next,
                      void *arg, OSSL_PASSPHRASE_CALLBACK *pass, void *pass_arg)
{
    const struct provider *p = vprovider;
    char *name = NULL;
    uint8_t *der = NULL;
    long len = 0;
    int ret = 1;

    (void)selection;
    (void)pass;
    (void)pass_arg;
    ERR_set_mark();
    bool found = read_pem(p, in, &name, &der, &len);
    ERR_pop_to_mark();
    if (!found)
        return 1;
    if (strcmp(name, LABEL) == 0)
        ret = check_and_hand_on(p, der, len, next, arg);
    OPENSSL_free(name);
    OPENSSL_clear_free(der, (size_t)len);
    return ret;
}

/* All that comes from the core's BIO, if it is not longer than a key reference can be. */
static bool read_der(const struct provider *p, OSSL_CORE_BIO *in, uint8_t der[DER_MAX + 1],
                     size_t *ret_len)
{
    BIO *bio = BIO_new_from_core_bio(p->libctx, in);
    size_t len = 0, n;

    if (!bio)
        return false;
    while (len <= DER_MAX && BIO_read_ex(bio, der + len, DER_MAX + 1 - len, &n) > 0)
        len += n;
    BIO_free(bio);
    *ret_len = len;
    return len > 0 && len <= DER_MAX;
}

/* Offers a key to the core; whoever loads it takes it out of our hands. */
static int offer(struct key *key, OSSL_CALLBACK *next, void *arg)
{
    int type = OSSL_OBJECT_PKEY;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_int(OSSL_OBJECT_PARAM_TYPE, &type),
        OSSL_PARAM_construct_utf8_string(OSSL_OBJECT_PARAM_DATA_TYPE,
                                         (char *)pkey_kind_name(key->kind), 0),
        OSSL_PARAM_construct_octet_string(OSSL_OBJECT_PARAM_REFERENCE, &key, sizeof(key)),
        OSSL_PARAM_construct_end(),
    };
    int ret = next(params, arg);

    key_free(key);
    return ret;
}

static int der_decode(const struct provider *p, enum pkey_kind wanted, OSSL_CORE_BIO *in,
                      OSSL_CALLBACK *next, void *arg)
{
    uint8_t der[DER_MAX + 1], id[KEYD_KEY_ID_LEN];
    const uint8_t *spki;
    size_t len, spki_len;
    enum pkey_kind kind;
    struct key *key = NULL;

    ERR_set_mark();
    bool mine = read_der(p, in, der, &len) &&
                keyd_ref_decode(der, len, id, &spki, &spki_len, NULL) == KEYD_OK &&
                pkey_kind_of(spki, spki_len, &kind) && kind == wanted;
    if (mine)
        key = key_from_spki(p, kind, id, spki, spki_len);
    ERR_pop_to_mark();
    OPENSSL_cleanse(der, sizeof(der));
    if (!mine)
        return 1;
    if (!key)
        return raise_error(p, REASON_REFERENCE, "the public key in the key reference is no %s key",
                           pkey_kind_name(wanted));
    return offer(key, next, arg);
}

#define DER_DECODER(name, kind)                                                                    \
    static int name##_decode(void *p, OSSL_CORE_BIO *in, int selection, OSSL_CALLBACK *next,       \
                             void *arg, OSSL_PASSPHRASE_CALLBACK *pass, void *pass_arg)            \
    {                                                                                              \
        (void)selection;                                                                           \
        (void)pass;                                                                                \
        (void)pass_arg;                                                                            \
        return der_decode(p, kind, in, next, arg);                                                 \
    }                                                                                              \
    DECODER_TABLE(name)

#define DECODER_TABLE(name)                                                                        \
    static const OSSL_DISPATCH name##_table[] = {                                                  \
        {OSSL_FUNC_DECODER_NEWCTX, (void (*)(void))decoder_new},                                   \
        {OSSL_FUNC_DECODER_FREECTX, (void (*)(void))decoder_free},                                 \
        {OSSL_FUNC_DECODER_DECODE, (void (*)(void))name##_decode},                                 \
        {0, NULL}}

DECODER_TABLE(pem);
DER_DECODER(rsa, PKEY_RSA);
DER_DECODER(rsa_pss, PKEY_RSA_PSS);
DER_DECODER(ec, PKEY_EC);
DER_DECODER(ed25519, PKEY_ED25519);

#define FROM_PEM "provider=keyd,input=pem"
#define FROM_DER "provider=keyd,input=der,structure=" STRUCTURE

const OSSL_ALGORITHM provider_decoders[] = {
    {"DER", FROM_PEM, pem_table, "key reference: PEM to DER"},
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", FROM_DER, rsa_table, "key reference to RSA"},
    {"RSA-PSS:RSASSA-PSS:1.2.840.113549.1.1.10", FROM_DER, rsa_pss_table,
     "key reference to RSA-PSS"},
    {"EC:id-ecPublicKey:1.2.840.10045.2.1", FROM_DER, ec_table, "key reference to EC"},
    {"ED25519:1.3.101.112", FROM_DER, ed25519_table, "key reference to Ed25519"},
    {NULL, NULL, NULL, NULL}};
