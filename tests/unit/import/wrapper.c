/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/import/wrapper.h"

#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

/* What cannot fail unless the test is wrong. */
static void need(int ok, const char *what)
{
    if (ok == 1)
        return;
    fprintf(stderr, "wrapper: %s\n", what);
    abort();
}

/* ---- keys */

static EVP_PKEY *make_key(const char *type)
{
    if (strncmp(type, "rsa-", 4) == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "RSA", (size_t)strtoul(type + 4, NULL, 10));
    if (strcmp(type, "ec-p256") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-256");
    if (strcmp(type, "ec-p384") == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", "P-384");
    if (strncmp(type, "ec-", 3) == 0)
        return EVP_PKEY_Q_keygen(NULL, NULL, "EC", type + 3);
    return EVP_PKEY_Q_keygen(NULL, NULL, strcmp(type, "ed25519") == 0 ? "ED25519" : type);
}

struct sample *sample_new(const char *type)
{
    struct sample *s = mem_new(sizeof(*s));
    PKCS8_PRIV_KEY_INFO *info;
    uint8_t *at;

    need(s != NULL, "memory");
    s->key = make_key(type);
    need(s->key != NULL, type);
    info = EVP_PKEY2PKCS8(s->key);
    int n = i2d_PKCS8_PRIV_KEY_INFO(info, NULL), m = i2d_PUBKEY(s->key, NULL);
    need(n > 0 && (size_t)n <= sizeof(s->pkcs8) && m > 0 && (size_t)m <= sizeof(s->spki), type);
    at = s->pkcs8;
    s->pkcs8_len = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &at);
    at = s->spki;
    s->spki_len = (size_t)i2d_PUBKEY(s->key, &at);
    PKCS8_PRIV_KEY_INFO_free(info);
    return s;
}

void sample_free(struct sample *s)
{
    if (s)
        EVP_PKEY_free(s->key);
    mem_free(s);
}

size_t sample_sign(const struct sample *s, const struct scheme *scheme, const uint8_t *message,
                   size_t len, uint8_t *sig, size_t room)
{
    static const char *const digests[] = {NULL, "SHA256", "SHA384", "SHA512"};
    const char *digest = digests[scheme->hash_bits == 0     ? 0
                                 : scheme->hash_bits == 256 ? 1
                                                            : scheme->hash_bits / 128 - 1];
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;

    need(EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, s->key, NULL), "sign");
    if (scheme->padding == SCHEME_PSS) {
        need(EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING), "PSS");
        need(EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST), "salt");
    }
    need(EVP_DigestSign(ctx, sig, &room, message, len), "sign");
    EVP_MD_CTX_free(ctx);
    return room;
}

/* ---- wrapping */

size_t wrap_bytes(const uint8_t kek[IMPORT_KEK_LEN], const uint8_t *bytes, size_t len, uint8_t *out)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;

    EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    need(EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, kek, NULL), "AES");
    need(EVP_EncryptUpdate(ctx, out, &n, bytes, (int)len), "wrap");
    EVP_CIPHER_CTX_free(ctx);
    return (size_t)n;
}

size_t wrap_for(const uint8_t *import_spki, size_t import_spki_len, enum import_hash hash,
                const uint8_t *kek, size_t n, uint8_t *out)
{
    const char *name = import_hash_name(hash);
    EVP_PKEY *key = d2i_PUBKEY(NULL, &import_spki, (long)import_spki_len);
    need(key != NULL, "import key");
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    size_t len = IMPORT_KEK_MAX;

    need(EVP_PKEY_encrypt_init(ctx), "OAEP");
    need(EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING), "OAEP");
    need(EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, name, NULL), "OAEP");
    need(EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, name, NULL), "MGF1");
    need(EVP_PKEY_encrypt(ctx, out, &len, kek, n), "encrypt");
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return len;
}

void wrap_sample(const struct sample *s, const uint8_t *import_spki, size_t import_spki_len,
                 enum import_hash hash, struct wrapped *ret)
{
    uint8_t kek[IMPORT_KEK_LEN];

    need(RAND_bytes(kek, sizeof(kek)), "random bytes");
    ret->kek_len = wrap_for(import_spki, import_spki_len, hash, kek, sizeof(kek), ret->kek);
    ret->key_len = wrap_bytes(kek, s->pkcs8, s->pkcs8_len, ret->key);
}
