/* SPDX-License-Identifier: Apache-2.0
 *
 * key: a key as OpenSSL sees it: the public half as an EVP_PKEY of the default provider, and for a
 * key reference the id by which keyd knows the private half. It never changes once it is filled,
 * and is shared by count.
 */
#ifndef KEYD_PROVIDER_KEY_H
#define KEYD_PROVIDER_KEY_H

#include <openssl/evp.h>

#include "clients/provider/provider.h"
#include "proto/base/err.h"

enum pkey_kind { PKEY_RSA, PKEY_RSA_PSS, PKEY_EC, PKEY_ED25519, PKEY_KINDS };

struct key {
    const struct provider *provider;
    enum pkey_kind kind;
    EVP_PKEY *public_key; /* in the provider's own library context; NULL: not filled yet */
    size_t max_signature; /* bytes */
    bool signs;           /* loaded from a reference: keyd has the private half */
    uint8_t id[KEYD_KEY_ID_LEN];
    unsigned refs;
};

/* The name of the kind by which the core knows it, "RSA"; a static string. */
const char *pkey_kind_name(enum pkey_kind kind);

/* The kind that the algorithm of a DER SubjectPublicKeyInfo means; false if it is none of ours. */
bool pkey_kind_of(const uint8_t *spki, size_t len, enum pkey_kind *ret) MUST_USE;

/* An empty key with one reference; NULL without memory. Free with key_free. */
struct key *key_new(const struct provider *p, enum pkey_kind kind);

/* A key that signs through keyd. NULL, with nothing raised, if the SubjectPublicKeyInfo cannot be
 * read as a key of this kind. Free with key_free. */
struct key *key_from_spki(const struct provider *p, enum pkey_kind kind,
                          const uint8_t id[KEYD_KEY_ID_LEN], const uint8_t *spki, size_t len);

/* Fills an empty key with the public parts in params; false if they make no key. */
bool key_import_public(struct key *key, const OSSL_PARAM *params) MUST_USE;

/* One reference more. Returns key. */
struct key *key_ref(struct key *key);

/* One reference less; the last frees. NULL is fine. */
void key_free(struct key *key);

#endif
