/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/crypt.h"

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keyfile/asn1.h"
#include "proto/base/mem.h"

#define COUNT(a)      (sizeof(a) / sizeof((a)[0]))
#define PROVIDER      "provider=default"
#define SCRYPT_MEMORY (32u << 20) /* bytes; OpenSSL's own limit */
#define CIPHER_NAME   32
#define SALT_LEN      8 /* of EVP_BytesToKey, PKCS5_SALT_LEN */

static const uint8_t oid_pbes2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d};
static const uint8_t oid_pbkdf2[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c};
static const uint8_t oid_scrypt[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0xda, 0x47, 0x04, 0x0b};
/* pkcs-12PbeIds 1 to 6 (RFC 7292 C) and the PBES1 of PKCS#5 (RFC 8018 A.3): the last number. */
static const uint8_t arc_pkcs12[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x0c, 0x01};
static const uint8_t arc_pkcs5[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05};

static void cleanup_cipher_ctx(EVP_CIPHER_CTX **p)
{
    EVP_CIPHER_CTX_free(*p);
}

static void cleanup_cipher(EVP_CIPHER **p)
{
    EVP_CIPHER_free(*p);
}

static void cleanup_algorithm(X509_ALGOR **p)
{
    X509_ALGOR_free(*p);
}

bool crypt_wrong(struct err *err)
{
    err_set(err, ERR_DENIED, "the passphrase is wrong");
    return err_hint(err, "if you are sure of it, the file is damaged");
}

static bool damaged(struct err *err)
{
    return err_set(err, ERR_BAD_REQUEST, "the encrypted private key is damaged");
}

static bool cannot_undo(const char *algorithm, struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "it is encrypted with %s, which is too old or too rare",
            algorithm);
    return err_hint(err, "encrypt it anew: openssl pkey -provider default -provider legacy "
                         "-in FILE -aes256 -out NEW");
}

/* ---- what is asked for */

bool crypt_check_rounds(uint64_t rounds, uint64_t max_rounds, struct err *err)
{
    if (rounds <= max_rounds)
        return true;
    err_set(err, ERR_UNSUPPORTED,
            "its passphrase is to be hashed %llu times, at most %llu are done",
            (unsigned long long)rounds, (unsigned long long)max_rounds);
    return err_hint(err, "encrypt it anew: openssl pkey -in FILE -aes256 -out NEW");
}

/* PBKDF2-params: salt, iterationCount, ... (RFC 8018 A.2); the same begins those of PBES1. */
static bool check_iterations(struct rd *r, uint64_t max_rounds, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);

    asn1_enter(&body, TAG_OCTETS);
    uint32_t rounds = asn1_small(&body);
    if (body.failed || rounds == 0)
        return damaged(err);
    return crypt_check_rounds(rounds, max_rounds, err);
}

/* scrypt-params: salt, N, r, p (RFC 7914 7.1). */
static bool check_scrypt(struct rd *r, uint64_t max_rounds, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);

    asn1_enter(&body, TAG_OCTETS);
    uint64_t n = asn1_small(&body), block = asn1_small(&body), lanes = asn1_small(&body);
    if (body.failed || n == 0 || block == 0 || lanes == 0)
        return damaged(err);
    if (n > SCRYPT_MEMORY || block > SCRYPT_MEMORY || n * block > SCRYPT_MEMORY / 128)
        return err_set(err, ERR_UNSUPPORTED,
                       "its passphrase is to be hashed by scrypt in more than "
                       "%u MiB",
                       SCRYPT_MEMORY >> 20);
    return crypt_check_rounds(n * block * lanes, max_rounds, err);
}

static bool check_pbes2(struct rd *r, uint64_t max_rounds, struct err *err)
{
    struct rd body = asn1_enter(r, TAG_SEQUENCE);
    struct rd kdf = asn1_enter(&body, TAG_SEQUENCE);
    struct rd cipher = asn1_enter(&body, TAG_SEQUENCE);
    struct rd oid = asn1_enter(&kdf, TAG_OID);
    char name[ASN1_OID_NAME];

    asn1_enter(&cipher, TAG_OID);
    if (!rd_end(&body) || cipher.failed || oid.failed)
        return damaged(err);
    if (asn1_is(&oid, oid_pbkdf2, sizeof(oid_pbkdf2)))
        return check_iterations(&kdf, max_rounds, err);
    if (asn1_is(&oid, oid_scrypt, sizeof(oid_scrypt)))
        return check_scrypt(&kdf, max_rounds, err);
    return cannot_undo(asn1_oid_name(&oid, name), err);
}

static bool under(const struct rd *oid, const uint8_t *arc, size_t n)
{
    return rd_left(oid) == n + 1 && memcmp(oid->at, arc, n) == 0;
}

bool crypt_check(struct rd *algorithm, uint64_t max_rounds, struct err *err)
{
    struct rd body = asn1_enter(algorithm, TAG_SEQUENCE);
    struct rd oid = asn1_enter(&body, TAG_OID);
    char name[ASN1_OID_NAME];

    if (body.failed)
        return damaged(err);
    if (asn1_is(&oid, oid_pbes2, sizeof(oid_pbes2)))
        return check_pbes2(&body, max_rounds, err);
    if (under(&oid, arc_pkcs12, sizeof(arc_pkcs12)) || under(&oid, arc_pkcs5, sizeof(arc_pkcs5)))
        return check_iterations(&body, max_rounds, err);
    return cannot_undo(asn1_oid_name(&oid, name), err);
}

/* ---- PKCS#8 */

bool crypt_is_pkcs8(const struct rd *der)
{
    struct rd all = *der;
    struct rd body = asn1_enter(&all, TAG_SEQUENCE);
    struct rd algorithm = asn1_enter(&body, TAG_SEQUENCE);

    asn1_enter(&algorithm, TAG_OID);
    return !algorithm.failed && asn1_peek(&body) == TAG_OCTETS;
}

/* What a person would call it: the cipher of PBES2, else the whole. */
static const char *algorithm_name(struct rd algorithm, char buf[ASN1_OID_NAME])
{
    struct rd body = asn1_enter(&algorithm, TAG_SEQUENCE);
    struct rd oid = asn1_enter(&body, TAG_OID);

    if (asn1_is(&oid, oid_pbes2, sizeof(oid_pbes2))) {
        struct rd params = asn1_enter(&body, TAG_SEQUENCE);

        asn1_enter(&params, TAG_SEQUENCE);
        body = asn1_enter(&params, TAG_SEQUENCE);
        oid = asn1_enter(&body, TAG_OID);
    }
    return asn1_oid_name(&oid, buf);
}

/* Runs n bytes through the cipher into a new secret. */
static bool run_cipher(EVP_CIPHER_CTX *ctx, const uint8_t *p, size_t n, struct secret *ret,
                       struct err *err)
{
    struct secret s = {0};
    int first = 0, last = 0;

    TRY(secret_new(&s, n + EVP_MAX_BLOCK_LENGTH, err));
    if (EVP_CipherUpdate(ctx, s.bytes, &first, p, (int)n) != 1 ||
        EVP_CipherFinal_ex(ctx, s.bytes + first, &last) != 1) {
        secret_free(&s);
        return crypt_wrong(err);
    }
    s.len = (size_t)first + (size_t)last;
    *ret = s;
    return true;
}

bool crypt_pkcs8(const struct rd *der, const struct secret *pass, uint64_t max_rounds,
                 struct secret *ret, struct err *err)
{
    struct rd all = *der;
    struct rd body = asn1_enter(&all, TAG_SEQUENCE);
    struct rd algorithm = asn1_whole(&body);
    struct rd octets = asn1_enter(&body, TAG_OCTETS), judged = algorithm;
    char name[ASN1_OID_NAME];

    if (!rd_end(&body) || !rd_end(&all))
        return damaged(err);
    TRY(crypt_check(&judged, max_rounds, err));

    const uint8_t *at = algorithm.at;
    CLEANUP(cleanup_algorithm)
    X509_ALGOR *pbe = d2i_X509_ALGOR(NULL, &at, (long)rd_left(&algorithm));
    CLEANUP(cleanup_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (!pbe || !ctx)
        return damaged(err);
    if (EVP_PBE_CipherInit_ex(pbe->algorithm, (const char *)pass->bytes, (int)pass->len,
                              pbe->parameter, ctx, 0, NULL, PROVIDER) != 1)
        return cannot_undo(algorithm_name(algorithm, name), err);
    return run_cipher(ctx, octets.at, rd_left(&octets), ret, err);
}

/* ---- the old way of PEM */

bool crypt_is_pem(const struct pem_block *block)
{
    struct rd type = pem_header(block, "Proc-Type"), dek = pem_header(block, "DEK-Info");

    return !type.failed || !dek.failed;
}

static int hex_digit(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

struct dek { /* DEK-Info: AES-256-CBC,0123456789ABCDEF0123456789ABCDEF */
    char cipher[CIPHER_NAME + 1];
    uint8_t iv[EVP_MAX_IV_LENGTH];
    size_t iv_len;
};

static bool read_dek(const struct pem_block *block, struct dek *ret, struct err *err)
{
    struct rd type = pem_header(block, "Proc-Type"), r = pem_header(block, "DEK-Info");
    struct dek dek = {0};
    size_t n = 0;

    rd_expect(&type, "4,ENCRYPTED", 11);
    while (rd_left(&r) && *r.at != ',' && n < CIPHER_NAME)
        dek.cipher[n++] = (char)rd_u8(&r);
    rd_expect(&r, ",", 1);
    while (rd_left(&r) && dek.iv_len < sizeof(dek.iv)) {
        int high = hex_digit(rd_u8(&r)), low = hex_digit(rd_u8(&r));

        r.failed |= high < 0 || low < 0;
        dek.iv[dek.iv_len++] = r.failed ? 0 : (uint8_t)(high << 4 | low);
    }
    if (!rd_end(&type) || !rd_end(&r) || dek.iv_len < SALT_LEN)
        return err_set(err, ERR_BAD_REQUEST,
                       "the lines Proc-Type and DEK-Info of the encrypted key are damaged");
    *ret = dek;
    return true;
}

bool crypt_pem(const struct pem_block *block, const struct secret *body, const struct secret *pass,
               struct secret *ret, struct err *err)
{
    uint8_t key[EVP_MAX_KEY_LENGTH];
    struct dek dek;

    TRY(read_dek(block, &dek, err));
    CLEANUP(cleanup_cipher) EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, dek.cipher, PROVIDER);
    CLEANUP(cleanup_cipher_ctx) EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();

    if (!cipher || EVP_CIPHER_get_mode(cipher) != EVP_CIPH_CBC_MODE ||
        EVP_CIPHER_get_flags(cipher) & EVP_CIPH_FLAG_AEAD_CIPHER)
        return cannot_undo(dek.cipher, err);
    if (!ctx || (size_t)EVP_CIPHER_get_iv_length(cipher) != dek.iv_len)
        return damaged(err);
    bool ok =
        EVP_BytesToKey(cipher, EVP_md5(), dek.iv, pass->bytes, (int)pass->len, 1, key, NULL) > 0 &&
        EVP_CipherInit_ex2(ctx, cipher, key, dek.iv, 0, NULL) == 1;
    secret_wipe(key, sizeof(key));
    if (!ok)
        return err_set(err, ERR_INTERNAL, "libcrypto cannot begin %s", dek.cipher);
    return run_cipher(ctx, body->bytes, body->len, ret, err);
}
