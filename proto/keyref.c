/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/keyref.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/rd.h"
#include "proto/base/wr.h"

#define TAG_SEQUENCE    0x30
#define TAG_UTF8_STRING 0x0c
#define TAG_OCTETS      0x04
#define PEM_BEGIN       "-----BEGIN " KEYREF_LABEL "-----"
#define PEM_END         "-----END " KEYREF_LABEL "-----"
#define PEM_LINE        64 /* characters, RFC 7468 2 */

/* A definite DER length (X.690 10.1): as short as can be, up to 2 bytes of it. */
static size_t der_length(struct rd *r)
{
    uint8_t first = rd_u8(r);

    if (first < 0x80)
        return first;
    size_t len = first == 0x81 ? rd_u8(r) : first == 0x82 ? rd_u16(r) : 0;
    if (len < (first == 0x81 ? 0x80u : 0x100u))
        r->failed = true;
    return len;
}

static struct rd der_element(struct rd *r, uint8_t tag)
{
    rd_expect(r, &tag, 1);
    size_t len = der_length(r);
    return rd_sub(r, len);
}

static void der_head(struct wr *w, uint8_t tag, size_t len)
{
    wr_u8(w, tag);
    if (len >= 0x100) {
        wr_u8(w, 0x82);
        wr_u16(w, (uint16_t)len);
    } else {
        if (len >= 0x80)
            wr_u8(w, 0x81);
        wr_u8(w, (uint8_t)len);
    }
}

bool keyref_decode(const uint8_t *der, size_t len, struct keyref *ret, struct err *err)
{
    struct rd all = rd_of(der, len);
    struct rd body = der_element(&all, TAG_SEQUENCE);
    struct rd version = der_element(&body, TAG_UTF8_STRING);
    struct rd id = der_element(&body, TAG_OCTETS);
    struct keyref ref = {.spki = body.at, .spki_len = rd_left(&body)};
    struct rd spki = der_element(&body, TAG_SEQUENCE);
    uint8_t want[KEY_ID_LEN];

    if (!rd_end(&all) || !rd_end(&body) || spki.failed || ref.spki_len > SPKI_MAX_LEN)
        return err_set(err, ERR_BAD_REQUEST,
                       "the key reference is damaged: its %zu bytes are not "
                       "one whole KeydKeyReference",
                       len);
    rd_expect(&version, KEYREF_VERSION, strlen(KEYREF_VERSION));
    if (!rd_end(&version)) {
        err_set(err, ERR_UNSUPPORTED, "the key reference is not of version " KEYREF_VERSION);
        return err_hint(err,
                        "update the keyd client, or print the reference again: keydctl keys-ref");
    }
    rd_copy(&id, ref.id, KEY_ID_LEN);
    if (!rd_end(&id) || !key_id_of(ref.spki, ref.spki_len, want) ||
        memcmp(ref.id, want, KEY_ID_LEN) != 0)
        return err_set(err, ERR_BAD_REQUEST,
                       "the key reference's id is not the SHA-256 of its public key");
    *ret = ref;
    return true;
}

bool keyref_encode(const uint8_t *spki, size_t spki_len, uint8_t *out, size_t *ret_len,
                   struct err *err)
{
    size_t version_len = strlen(KEYREF_VERSION);
    struct wr w = wr_of(out, KEYREF_DER_MAX);
    uint8_t id[KEY_ID_LEN];

    if (spki_len == 0 || spki_len > SPKI_MAX_LEN)
        return err_set(err, ERR_BAD_REQUEST, "a public key of %zu bytes; 1 to %d are possible",
                       spki_len, SPKI_MAX_LEN);
    if (!key_id_of(spki, spki_len, id))
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
    der_head(&w, TAG_SEQUENCE, 2 + version_len + 2 + KEY_ID_LEN + spki_len);
    der_head(&w, TAG_UTF8_STRING, version_len);
    wr_bytes(&w, KEYREF_VERSION, version_len);
    der_head(&w, TAG_OCTETS, KEY_ID_LEN);
    wr_bytes(&w, id, KEY_ID_LEN);
    wr_bytes(&w, spki, spki_len);
    if (!wr_ok(&w))
        return err_set(err, ERR_INTERNAL, "a key reference over %d bytes", KEYREF_DER_MAX);
    *ret_len = w.len;
    return true;
}

bool keyref_to_pem(const uint8_t *spki, size_t spki_len, char *out, struct err *err)
{
    uint8_t der[KEYREF_DER_MAX];
    char base64[(KEYREF_DER_MAX + 2) / 3 * 4 + 1];
    size_t der_len;

    TRY(keyref_encode(spki, spki_len, der, &der_len, err));
    int n = EVP_EncodeBlock((unsigned char *)base64, der, (int)der_len);
    size_t at = (size_t)snprintf(out, KEYREF_PEM_MAX, PEM_BEGIN "\n");
    for (int i = 0; i < n; i += PEM_LINE)
        at += (size_t)snprintf(out + at, KEYREF_PEM_MAX - at, "%.*s\n", PEM_LINE, base64 + i);
    snprintf(out + at, KEYREF_PEM_MAX - at, PEM_END "\n");
    return true;
}

/* Base64 text with white space between, strictly: padding at the end alone. */
static bool base64_decode(const char *text, size_t len, uint8_t *der, size_t *ret_len)
{
    char packed[(KEYREF_DER_MAX + 2) / 3 * 4];
    uint8_t bytes[KEYREF_DER_MAX + 2];
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        if (strchr(" \t\r\n", text[i]))
            continue;
        if (n == sizeof(packed))
            return false;
        packed[n++] = text[i];
    }
    size_t pad = 0;
    while (pad < 2 && n > pad && packed[n - 1 - pad] == '=')
        pad++;
    if (n == 0 || n % 4 != 0 || memchr(packed, '=', n - pad))
        return false;
    int decoded = EVP_DecodeBlock(bytes, (const unsigned char *)packed, (int)n);
    if (decoded < (int)pad || (size_t)decoded - pad > KEYREF_DER_MAX)
        return false;
    *ret_len = (size_t)decoded - pad;
    memcpy(der, bytes, *ret_len);
    return true;
}

bool keyref_from_pem(const char *pem, size_t len, uint8_t *der, struct keyref *ret, struct err *err)
{
    const char *begin = memmem(pem, len, PEM_BEGIN, strlen(PEM_BEGIN));
    size_t der_len;

    if (!begin)
        return err_set(err, ERR_BAD_REQUEST, "no \"" PEM_BEGIN "\" in the text");
    const char *body = begin + strlen(PEM_BEGIN);
    const char *end = memmem(body, len - (size_t)(body - pem), PEM_END, strlen(PEM_END));
    if (!end)
        return err_set(err, ERR_BAD_REQUEST, "the key reference has no \"" PEM_END "\"");
    if (!base64_decode(body, (size_t)(end - body), der, &der_len))
        return err_set(err, ERR_BAD_REQUEST, "the key reference's body is not base64");
    return keyref_decode(der, der_len, ret, err);
}
