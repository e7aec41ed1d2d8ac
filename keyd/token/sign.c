/* SPDX-License-Identifier: Apache-2.0
 *
 * The signing path: one C_SignInit and one C_Sign into a buffer that is long enough, no length
 * query, no allocation of ours.
 */
#include "keyd/token/sign.h"

#include "keyd/token/internal.h"
#include "proto/base/rd.h"
#include "proto/base/wr.h"

#define DIGEST_MAX EVP_MAX_MD_SIZE
#define HALF_MAX   48 /* bytes of r or s: P-384 */

/* ---- mechanisms */

struct hash_row {
    uint16_t bits;
    CK_MECHANISM_TYPE pkcs1, pss, hash;
    CK_RSA_PKCS_MGF_TYPE mgf;
};

static const struct hash_row hashes[] = {
    {256, CKM_SHA256_RSA_PKCS, CKM_SHA256_RSA_PKCS_PSS, CKM_SHA256, CKG_MGF1_SHA256},
    {384, CKM_SHA384_RSA_PKCS, CKM_SHA384_RSA_PKCS_PSS, CKM_SHA384, CKG_MGF1_SHA384},
    {512, CKM_SHA512_RSA_PKCS, CKM_SHA512_RSA_PKCS_PSS, CKM_SHA512, CKG_MGF1_SHA512},
};

static const struct hash_row *hash_row(uint16_t bits)
{
    for (size_t i = 0; i < COUNT(hashes); i++) {
        if (hashes[i].bits == bits)
            return &hashes[i];
    }
    return NULL;
}

static bool sign_once(struct token *t, token_handle key, CK_MECHANISM *mechanism,
                      const uint8_t *data, size_t len, uint8_t *sig, CK_ULONG *sig_len,
                      struct err *err)
{
    CK_RV rv = t->p11->C_SignInit(t->session, mechanism, key);

    if (rv != CKR_OK)
        return token_fail(t, "C_SignInit", rv, err);
    rv = t->p11->C_Sign(t->session, (CK_BYTE_PTR)(uintptr_t)data, len, sig, sig_len);
    if (rv != CKR_OK)
        return token_fail(t, "C_Sign", rv, err);
    return true;
}

/* ---- ECDSA */

static bool digest(struct token *t, uint16_t bits, const uint8_t *message, size_t len, uint8_t *out,
                   size_t *out_len, struct err *err)
{
    const EVP_MD *md = bits == 256 ? t->sha256 : bits == 384 ? t->sha384 : t->sha512;
    unsigned n = 0;

    if (EVP_DigestInit_ex2(t->digest, md, NULL) != 1 ||
        EVP_DigestUpdate(t->digest, message, len) != 1 ||
        EVP_DigestFinal_ex(t->digest, out, &n) != 1)
        return err_set(err, ERR_INTERNAL, "libcrypto cannot make SHA-%u", bits);
    *out_len = n;
    return true;
}

/* One half of the token's signature as a DER INTEGER: no leading zeros but the one that keeps it
 * positive (X.690 8.3). */
static void put_integer(struct wr *w, const uint8_t *p, size_t n)
{
    while (n > 1 && p[0] == 0) {
        p++;
        n--;
    }
    bool sign_bit = p[0] & 0x80;

    wr_u8(w, 0x02);
    wr_u8(w, (uint8_t)(n + sign_bit));
    if (sign_bit)
        wr_u8(w, 0x00);
    wr_bytes(w, p, n);
}

/* Ecdsa-Sig-Value ::= SEQUENCE { r INTEGER, s INTEGER } (RFC 3279 2.2.3) from r || s. */
static bool to_der(const uint8_t *raw, size_t len, uint8_t *sig, size_t *sig_len, struct err *err)
{
    uint8_t body[2 * (HALF_MAX + 3)];
    struct wr inner = wr_of(body, sizeof(body)), outer = wr_of(sig, *sig_len);

    if (len == 0 || len % 2 != 0 || len > 2 * HALF_MAX)
        return err_set(err, ERR_TOKEN, "C_Sign: %zu bytes are no ECDSA signature", len);
    put_integer(&inner, raw, len / 2);
    put_integer(&inner, raw + len / 2, len / 2);
    wr_u8(&outer, 0x30);
    wr_u8(&outer, (uint8_t)inner.len); /* at most 102 */
    wr_bytes(&outer, body, inner.len);
    if (!wr_ok(&inner) || !wr_ok(&outer))
        return err_set(err, ERR_INTERNAL, "no room for an ECDSA signature");
    *sig_len = outer.len;
    return true;
}

/* CKM_ECDSA over a digest that we make (PKCS#11 v2.40 2.3.6: a longer one than the order is cut by
 * the token). */
static bool sign_ec(struct token *t, token_handle key, const struct scheme *scheme,
                    const uint8_t *message, size_t len, uint8_t *sig, size_t *sig_len,
                    struct err *err)
{
    CK_MECHANISM mechanism = {.mechanism = CKM_ECDSA};
    uint8_t hash[DIGEST_MAX], raw[2 * HALF_MAX];
    size_t hash_len = 0;
    CK_ULONG raw_len = sizeof(raw);

    TRY(digest(t, scheme->hash_bits, message, len, hash, &hash_len, err));
    TRY(sign_once(t, key, &mechanism, hash, hash_len, raw, &raw_len, err));
    return to_der(raw, raw_len, sig, sig_len, err);
}

/* ---- RSA and Ed25519: the token gets the whole message */

static bool sign_whole(struct token *t, token_handle key, CK_MECHANISM *mechanism,
                       const uint8_t *message, size_t len, uint8_t *sig, size_t *sig_len,
                       struct err *err)
{
    CK_ULONG n = *sig_len;

    TRY(sign_once(t, key, mechanism, message, len, sig, &n, err));
    *sig_len = n;
    return true;
}

static bool sign_rsa(struct token *t, token_handle key, const struct scheme *scheme,
                     const uint8_t *message, size_t len, uint8_t *sig, size_t *sig_len,
                     struct err *err)
{
    const struct hash_row *h = hash_row(scheme->hash_bits);

    if (!h || scheme->padding == SCHEME_NO_PADDING)
        return err_set(err, ERR_INTERNAL, "%s has no PKCS#11 mechanism", scheme->name);
    CK_RSA_PKCS_PSS_PARAMS pss = {.hashAlg = h->hash, .mgf = h->mgf, .sLen = h->bits / 8u};
    CK_MECHANISM mechanism = {.mechanism = h->pkcs1};
    if (scheme->padding == SCHEME_PSS)
        mechanism =
            (CK_MECHANISM){.mechanism = h->pss, .pParameter = &pss, .ulParameterLen = sizeof(pss)};
    return sign_whole(t, key, &mechanism, message, len, sig, sig_len, err);
}

bool token_sign(struct token *t, token_handle key, const struct scheme *scheme,
                const uint8_t *message, size_t len, uint8_t *sig, size_t *sig_len, struct err *err)
{
    CK_MECHANISM eddsa = {.mechanism = CKM_EDDSA};

    switch (scheme->kind) {
    case KEY_KIND_EC:
        return sign_ec(t, key, scheme, message, len, sig, sig_len, err);
    case KEY_KIND_RSA:
        return sign_rsa(t, key, scheme, message, len, sig, sig_len, err);
    case KEY_KIND_ED25519:
        return sign_whole(t, key, &eddsa, message, len, sig, sig_len, err);
    case KEY_KIND_NONE:
        break;
    }
    return err_set(err, ERR_INTERNAL, "%s has no kind of key", scheme->name);
}
