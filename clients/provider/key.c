/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/provider/key.h"

#include <openssl/asn1.h>
#include <openssl/objects.h>
#include <openssl/x509.h>
#include <string.h>

#include "proto/base/mem.h"

static const struct {
    const char *name;
    int nid;
} kinds[PKEY_KINDS] = {
    [PKEY_RSA] = {"RSA", NID_rsaEncryption},
    [PKEY_RSA_PSS] = {"RSA-PSS", NID_rsassaPss},
    [PKEY_EC] = {"EC", NID_X9_62_id_ecPublicKey},
    [PKEY_ED25519] = {"ED25519", NID_ED25519},
};

const char *pkey_kind_name(enum pkey_kind kind)
{
    return kinds[kind].name;
}

/* The algorithm that opens a SubjectPublicKeyInfo (RFC 5280 4.1.2.7); NID_undef if there is none.
 */
static int spki_algorithm(const uint8_t *spki, size_t len)
{
    const uint8_t *p = spki;
    long body;
    int tag, class;

    if (len > KEYD_SPKI_MAX || (ASN1_get_object(&p, &body, &tag, &class, (long)len) & 0x80) != 0 ||
        tag != V_ASN1_SEQUENCE)
        return NID_undef;
    X509_ALGOR *algorithm = d2i_X509_ALGOR(NULL, &p, body);
    if (!algorithm)
        return NID_undef;
    const ASN1_OBJECT *object;
    X509_ALGOR_get0(&object, NULL, NULL, algorithm);
    int nid = OBJ_obj2nid(object);
    X509_ALGOR_free(algorithm);
    return nid;
}

bool pkey_kind_of(const uint8_t *spki, size_t len, enum pkey_kind *ret)
{
    int nid = spki_algorithm(spki, len);

    for (enum pkey_kind kind = 0; kind < PKEY_KINDS; kind++)
        if (kinds[kind].nid == nid) {
            *ret = kind;
            return true;
        }
    return false;
}

struct key *key_new(const struct provider *p, enum pkey_kind kind)
{
    struct key *key = mem_new(sizeof(*key));

    if (key)
        *key = (struct key){.provider = p, .kind = kind, .refs = 1};
    return key;
}

/* Takes over a public key. False if it is none, or of another kind. */
static bool fill(struct key *key, EVP_PKEY *public_key)
{
    if (!public_key || !EVP_PKEY_is_a(public_key, pkey_kind_name(key->kind)) ||
        EVP_PKEY_get_size(public_key) <= 0) {
        EVP_PKEY_free(public_key);
        return false;
    }
    key->max_signature = (size_t)EVP_PKEY_get_size(public_key);
    key->public_key = public_key;
    return true;
}

struct key *key_from_spki(const struct provider *p, enum pkey_kind kind,
                          const uint8_t id[KEYD_KEY_ID_LEN], const uint8_t *spki, size_t len)
{
    struct key *key = key_new(p, kind);
    const uint8_t *at = spki;

    if (!key)
        return NULL;
    if (!fill(key, d2i_PUBKEY_ex(NULL, &at, (long)len, p->libctx, NULL)) || at != spki + len) {
        key_free(key);
        return NULL;
    }
    key->signs = true;
    memcpy(key->id, id, sizeof(key->id));
    return key;
}

bool key_import_public(struct key *key, const OSSL_PARAM *params)
{
    if (key->public_key)
        return false;
    EVP_PKEY *public_key = NULL;
    EVP_PKEY_CTX *ctx =
        EVP_PKEY_CTX_new_from_name(key->provider->libctx, pkey_kind_name(key->kind), NULL);

    if (ctx && EVP_PKEY_fromdata_init(ctx) > 0)
        EVP_PKEY_fromdata(ctx, &public_key, EVP_PKEY_PUBLIC_KEY, (OSSL_PARAM *)params);
    EVP_PKEY_CTX_free(ctx);
    return fill(key, public_key);
}

struct key *key_ref(struct key *key)
{
    __atomic_add_fetch(&key->refs, 1, __ATOMIC_RELAXED);
    return key;
}

void key_free(struct key *key)
{
    if (!key || __atomic_sub_fetch(&key->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    EVP_PKEY_free(key->public_key);
    mem_free(key);
}
