/* SPDX-License-Identifier: Apache-2.0
 *
 * example: how a program signs with a key that it does not have.
 *
 *     libkeyd-example /run/keyd/frontend/keyd.sock <the key's id: 64 hex digits>
 *
 * It makes the message that a TLS 1.3 server signs in its CertificateVerify (RFC 8446 4.4.3), lets
 * keyd sign it, and verifies the answer under the key's public half.
 *
 *     cc example.c $(pkg-config --cflags --libs libkeyd libcrypto)      (with #include <keyd.h>)
 */
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "clients/libkeyd/keyd.h"

/* 64 spaces, the context, a zero byte, the transcript hash (here: made up). keyd gets the whole
 * message and signs it because it recognises this form; it would not sign a digest. */
static size_t tls13_message(unsigned char *out)
{
    static const char context[] = "TLS 1.3, server CertificateVerify"; /* its final zero counts */

    memset(out, ' ', 64);
    memcpy(out + 64, context, sizeof(context));
    memset(out + 64 + sizeof(context), 0x5a, 32);
    return 64 + sizeof(context) + 32;
}

/* The scheme of TLS 1.3 (RFC 8446 4.2.3) for this kind of key, and its digest; 0: none. */
static uint16_t scheme_for(const EVP_PKEY *key, const char **digest)
{
    *digest = "SHA256";
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        return 0x0804; /* rsa_pss_rsae_sha256 */
    case EVP_PKEY_ED25519:
        *digest = NULL;
        return 0x0807; /* ed25519 */
    case EVP_PKEY_EC:
        if (EVP_PKEY_get_bits(key) == 256)
            return 0x0403; /* ecdsa_secp256r1_sha256 */
        *digest = "SHA384";
        return 0x0503; /* ecdsa_secp384r1_sha384 */
    default:
        return 0;
    }
}

static int verifies(EVP_PKEY *key, const char *digest, const unsigned char *message, size_t len,
                    const unsigned char *sig, size_t sig_len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *ctx; /* belongs to md */
    int ok = md && EVP_DigestVerifyInit_ex(md, &ctx, digest, NULL, NULL, key, NULL) == 1;

    if (ok && EVP_PKEY_get_base_id(key) == EVP_PKEY_RSA)
        ok = EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1;
    ok = ok && EVP_DigestVerify(md, sig, sig_len, message, len) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

/* Every call of libkeyd returns 0 or a code, and tells what was wrong and what to do about it. */
static int complain(const struct keyd_error *error)
{
    fprintf(stderr, "%s: %s\n", keyd_code_name(error->code), error->message);
    if (error->hint[0])
        fprintf(stderr, "  hint: %s\n", error->hint);
    return 1;
}

static int sign_and_verify(struct keyd_client *client, const unsigned char *id)
{
    struct keyd_error error;
    unsigned char spki[KEYD_SPKI_MAX], sig[KEYD_SIGNATURE_MAX], message[256];
    size_t spki_len = sizeof(spki), sig_len = sizeof(sig), len = tls13_message(message);
    const unsigned char *p = spki;
    const char *digest;

    if (keyd_get_public_key(client, id, spki, &spki_len, &error) != KEYD_OK)
        return complain(&error);
    EVP_PKEY *key = d2i_PUBKEY(NULL, &p, (long)spki_len);
    uint16_t scheme = key ? scheme_for(key, &digest) : 0;
    if (!scheme) {
        fprintf(stderr, "this example does not know that type of key\n");
        EVP_PKEY_free(key);
        return 1;
    }

    int failed = 0;
    if (keyd_sign(client, id, scheme, message, len, sig, &sig_len, &error) != KEYD_OK)
        failed = complain(&error);
    else if (!verifies(key, digest, message, len, sig, sig_len))
        failed = fprintf(stderr, "the signature does not verify\n") != 0;
    else
        printf("scheme 0x%04x, %zu bytes of signature, verified\n", (unsigned)scheme, sig_len);
    EVP_PKEY_free(key);
    return failed;
}

int main(int argc, char **argv)
{
    struct keyd_client *client;
    struct keyd_error error;
    unsigned char id[KEYD_KEY_ID_LEN];
    size_t id_len;

    if (argc != 3 || OPENSSL_hexstr2buf_ex(id, sizeof(id), &id_len, argv[2], '\0') != 1 ||
        id_len != sizeof(id)) {
        fprintf(stderr, "usage: %s SOCKET KEY-ID\n", argv[0]);
        return 2;
    }
    /* One client serves all threads of a program, and its forks. Nothing is connected yet. */
    if (keyd_client_new(&client, argv[1], 2000, "libkeyd-example 1", &error) != KEYD_OK)
        return complain(&error);
    int failed = sign_and_verify(client, id);
    keyd_client_free(client);
    return failed;
}
