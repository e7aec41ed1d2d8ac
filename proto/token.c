/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/token.h"

#include <errno.h>
#include <openssl/evp.h>
#include <string.h>
#include <sys/random.h>

#include "proto/base/secret.h"

#define PREFIX     "keyd_"
#define PREFIX_LEN 5
#define SECRET_LEN 32

static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static bool random_bytes(uint8_t *p, size_t n)
{
    ssize_t got;

    do
        got = getrandom(p, n, 0);
    while (got < 0 && errno == EINTR);
    return got == (ssize_t)n; /* up to 256 bytes come whole, random(4) */
}

/* 32 bytes are ten groups of three, and two left over: 43 characters. */
static void encode(const uint8_t secret[SECRET_LEN], char *out)
{
    for (size_t i = 0; i < SECRET_LEN; i += 3) {
        uint32_t group = (uint32_t)secret[i] << 16;
        size_t left = SECRET_LEN - i;

        group |= left > 1 ? (uint32_t)secret[i + 1] << 8 : 0;
        group |= left > 2 ? secret[i + 2] : 0;
        for (size_t j = 0; j < (left > 2 ? 4 : left + 1); j++)
            *out++ = digits[group >> (18 - 6 * j) & 63];
    }
    *out = '\0';
}

bool api_token_make(char ret[API_TOKEN_LEN + 1])
{
    uint8_t secret[SECRET_LEN];

    if (!random_bytes(secret, sizeof(secret)))
        return false;
    memcpy(ret, PREFIX, PREFIX_LEN);
    encode(secret, ret + PREFIX_LEN);
    secret_wipe(secret, sizeof(secret));
    return true;
}

bool api_token_hash(const char *text, uint8_t ret[API_TOKEN_HASH_LEN])
{
    size_t len = strlen(text);
    unsigned n;

    if (len != API_TOKEN_LEN || strncmp(text, PREFIX, PREFIX_LEN) != 0 ||
        strspn(text + PREFIX_LEN, digits) != len - PREFIX_LEN)
        return false;
    return EVP_Digest(text, len, ret, &n, EVP_sha256(), NULL) == 1 && n == API_TOKEN_HASH_LEN;
}
