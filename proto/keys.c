/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/keys.h"

#include <openssl/evp.h>
#include <stdio.h>
#include <string.h>

#include "proto/keyd.pb-c.h"

_Static_assert(KEY_TYPE_RSA_2048 == (int)KEYD__V1__KEY_TYPE__KEY_TYPE_RSA_2048, "wire numbers");
_Static_assert(KEY_TYPE_ED25519 == (int)KEYD__V1__KEY_TYPE__KEY_TYPE_ED25519, "wire numbers");
_Static_assert(PURPOSE_TLS13_SERVER == (int)KEYD__V1__PURPOSE__PURPOSE_TLS13_SERVER,
               "wire numbers");
_Static_assert(PURPOSE_RAW == (int)KEYD__V1__PURPOSE__PURPOSE_RAW, "wire numbers");

static const struct key_type_info types[] = {
    {KEY_TYPE_RSA_2048, "rsa-2048", KEY_KIND_RSA, 2048, NULL},
    {KEY_TYPE_RSA_3072, "rsa-3072", KEY_KIND_RSA, 3072, NULL},
    {KEY_TYPE_RSA_4096, "rsa-4096", KEY_KIND_RSA, 4096, NULL},
    {KEY_TYPE_EC_P256, "ec-p256", KEY_KIND_EC, 256, "P-256"},
    {KEY_TYPE_EC_P384, "ec-p384", KEY_KIND_EC, 384, "P-384"},
    {KEY_TYPE_ED25519, "ed25519", KEY_KIND_ED25519, 255, "ED25519"},
};

static const char *const purposes[] = {
    "tls13-server", "tls13-client", "tls12-server", "csr", "acme-jws", "checkpoint", "raw",
};

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

const struct key_type_info *key_type_info(enum key_type type)
{
    for (size_t i = 0; i < COUNT(types); i++) {
        if (types[i].type == type)
            return &types[i];
    }
    return NULL;
}

enum key_type key_type_by_name(const char *name)
{
    for (size_t i = 0; i < COUNT(types); i++) {
        if (strcmp(types[i].name, name) == 0)
            return types[i].type;
    }
    return KEY_TYPE_NONE;
}

const char *purpose_name(enum purpose purpose)
{
    for (size_t i = 0; i < COUNT(purposes); i++) {
        if ((unsigned)purpose == 1u << i)
            return purposes[i];
    }
    return "none";
}

enum purpose purpose_by_name(const char *name)
{
    for (size_t i = 0; i < COUNT(purposes); i++) {
        if (strcmp(purposes[i], name) == 0)
            return (enum purpose)(1u << i);
    }
    return (enum purpose)0;
}

const char *purposes_text(uint32_t bits, char *buf, size_t size)
{
    size_t len = 0;

    buf[0] = 0;
    for (size_t i = 0; i < COUNT(purposes) && len < size; i++) {
        if (bits & 1u << i)
            len += (size_t)snprintf(buf + len, size - len, "%s%s", len ? ", " : "", purposes[i]);
    }
    return buf;
}

bool key_id_of(const uint8_t *spki, size_t len, uint8_t ret[KEY_ID_LEN])
{
    return EVP_Digest(spki, len, ret, NULL, EVP_sha256(), NULL) == 1;
}

char *hex_encode(const uint8_t *p, size_t n, char *out)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
    out[2 * n] = 0;
    return out;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *s, uint8_t *out, size_t n)
{
    if (strlen(s) != 2 * n)
        return false;
    for (size_t i = 0; i < n; i++) {
        int high = hex_digit(s[2 * i]), low = hex_digit(s[2 * i + 1]);

        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool name_char(char c, bool first)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'))
        return true;
    return !first && (c == '.' || c == '_' || c == '-');
}

bool name_check(const char *name, const char *what, struct err *err)
{
    size_t len = strlen(name);
    bool fits = len >= 1 && len <= NAME_MAX_LEN;

    for (size_t i = 0; fits && i < len; i++)
        fits = name_char(name[i], i == 0);
    if (fits)
        return true;
    if (len == 0)
        err_set(err, ERR_BAD_REQUEST, "the %s's name is missing", what);
    else
        err_set(err, ERR_BAD_REQUEST, "\"%.80s\" cannot be a %s's name", name, what);
    return err_hint(err,
                    "1 to %d characters of a-z, 0-9, '.', '_' and '-', a letter or digit first",
                    NAME_MAX_LEN);
}
