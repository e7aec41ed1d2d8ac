/* SPDX-License-Identifier: Apache-2.0
 *
 * The message begins with a label and zero bytes up to 72 in all. So it is none of the shapes that
 * keys in use sign: TLS 1.3 begins with spaces, a CSR with 0x30, and TLS 1.2 has 0x03 at its 65th
 * byte (policy/tbs_*.c). Neither can a frontend have a proof signed by keyd, nor a false keyd a
 * handshake by who imports.
 */
#include "proto/import.h"

#include <openssl/evp.h>
#include <string.h>

#include "proto/base/wr.h"

#define LABEL_LEN 72

static const char label[LABEL_LEN] = "keyd-import-v1";

const char *import_hash_name(enum import_hash hash)
{
    switch (hash) {
    case IMPORT_HASH_SHA1:
        return "SHA1";
    case IMPORT_HASH_SHA256:
        return "SHA2-256";
    case IMPORT_HASH_NONE:
        break;
    }
    return NULL;
}

static bool put_length(EVP_MD_CTX *ctx, size_t n)
{
    uint8_t bytes[4];
    struct wr w = wr_of(bytes, sizeof(bytes));

    wr_u32(&w, (uint32_t)n);
    return EVP_DigestUpdate(ctx, bytes, sizeof(bytes)) == 1;
}

/* SHA-256 over both wrapped keys, each behind its length in 4 bytes. */
static bool hash_blobs(const struct import_claim *c, uint8_t ret[32], struct err *err)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    bool ok = ctx && EVP_DigestInit_ex2(ctx, EVP_sha256(), NULL) == 1 &&
              put_length(ctx, c->wrapped_kek_len) &&
              EVP_DigestUpdate(ctx, c->wrapped_kek, c->wrapped_kek_len) == 1 &&
              put_length(ctx, c->wrapped_key_len) &&
              EVP_DigestUpdate(ctx, c->wrapped_key, c->wrapped_key_len) == 1 &&
              EVP_DigestFinal_ex(ctx, ret, NULL) == 1;

    EVP_MD_CTX_free(ctx);
    return ok || err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

static void put_field(struct wr *w, const void *p, size_t n)
{
    wr_u16(w, (uint16_t)n);
    wr_bytes(w, p, n);
}

bool import_message(const struct import_claim *c, uint8_t *out, size_t *ret_len, struct err *err)
{
    struct wr w = wr_of(out, IMPORT_MESSAGE_MAX);
    uint8_t blobs[32];

    TRY(hash_blobs(c, blobs, err));
    wr_bytes(&w, label, sizeof(label));
    put_field(&w, c->nonce, IMPORT_NONCE_LEN);
    put_field(&w, c->import_key, KEY_ID_LEN);
    put_field(&w, c->key, KEY_ID_LEN);
    put_field(&w, c->tenant, strlen(c->tenant));
    put_field(&w, c->name, strlen(c->name));
    wr_u32(&w, c->purposes);
    put_field(&w, blobs, sizeof(blobs));
    if (!wr_ok(&w))
        return err_set(err, ERR_BAD_REQUEST, "the names of tenant and key are too long");
    *ret_len = w.len;
    return true;
}
