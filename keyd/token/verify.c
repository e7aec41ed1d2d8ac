/* SPDX-License-Identifier: Apache-2.0
 *
 * Verifying in software, and the proof that a handle is a key: what a token says of an object can
 * be wrong or stale, a signature that verifies cannot.
 */
#include <openssl/rsa.h>
#include <string.h>
#include <sys/random.h>

#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
#include "proto/base/mem.h"

static void cleanup_pkey(EVP_PKEY **p)
{
    EVP_PKEY_free(*p);
}

static void cleanup_md_ctx(EVP_MD_CTX **p)
{
    EVP_MD_CTX_free(*p);
}

static bool fits(EVP_PKEY *key, enum key_kind kind)
{
    switch (kind) {
    case KEY_KIND_RSA:
        return EVP_PKEY_is_a(key, "RSA");
    case KEY_KIND_EC:
        return EVP_PKEY_is_a(key, "EC");
    case KEY_KIND_ED25519:
        return EVP_PKEY_is_a(key, "ED25519");
    case KEY_KIND_NONE:
        break;
    }
    return false;
}

static bool begin(EVP_MD_CTX *ctx, EVP_PKEY *key, const struct scheme *scheme)
{
    EVP_PKEY_CTX *pctx; /* belongs to ctx */

    if (EVP_DigestVerifyInit_ex(ctx, &pctx, scheme_digest(scheme), NULL, NULL, key, NULL) != 1)
        return false;
    return scheme->padding != SCHEME_PSS ||
           (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) == 1 &&
            EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) == 1);
}

bool token_verify(const uint8_t *spki, size_t spki_len, const struct scheme *scheme,
                  const uint8_t *message, size_t len, const uint8_t *sig, size_t sig_len,
                  struct err *err)
{
    CLEANUP(cleanup_pkey) EVP_PKEY *key = NULL;
    CLEANUP(cleanup_md_ctx) EVP_MD_CTX *ctx = EVP_MD_CTX_new();

    TRY(spki_decode(spki, spki_len, &key, err));
    if (!fits(key, scheme->kind))
        return err_set(err, ERR_TOKEN, "the public key makes no %s signatures", scheme->name);
    if (!ctx || !begin(ctx, key, scheme))
        return err_set(err, ERR_INTERNAL, "libcrypto cannot verify %s", scheme->name);
    if (EVP_DigestVerify(ctx, sig, sig_len, message, len) != 1)
        return err_set(err, ERR_TOKEN, "the %s signature does not verify under the public key",
                       scheme->name);
    return true;
}

bool token_prove(struct token *t, token_handle key, enum key_type type, const uint8_t *spki,
                 size_t spki_len, struct err *err)
{
    static const char head[] = "keyd test signature"; /* begins like nothing that keyd signs */
    const struct scheme *scheme = scheme_for_type(type);
    uint8_t message[sizeof(head) + 32], sig[SIGNATURE_MAX];
    size_t sig_len = sizeof(sig);

    if (!scheme)
        return err_set(err, ERR_INTERNAL, "no test signature for key type %d", (int)type);
    memcpy(message, head, sizeof(head));
    if (getrandom(message + sizeof(head), 32, 0) != 32)
        return err_set(err, ERR_INTERNAL, "no random bytes");
    TRY(token_sign(t, key, scheme, message, sizeof(message), sig, &sig_len, err));
    return token_verify(spki, spki_len, scheme, message, sizeof(message), sig, sig_len, err);
}
