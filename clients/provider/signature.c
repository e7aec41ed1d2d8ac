/* SPDX-License-Identifier: Apache-2.0
 *
 * signature: the signatures that OpenSSL may ask for, all of the DigestSign form: keyd gets the
 * whole message, never a digest, so `sign` is not offered. libssl initialises twice in a handshake
 * (once only to hear whether the key can do a digest) and asks for the size first: neither costs a
 * request. Command-line tools take update, dup and final instead of the one-shot call, so the
 * message is kept until then.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/rsa.h>
#include <stdlib.h>
#include <string.h>

#include "clients/provider/errors.h"
#include "clients/provider/sigalg.h"
#include "proto/base/mem.h"

/* A CSR for hundreds of names fits; keyd's own cap is a frame of 1 MiB on control.sock. */
#define MESSAGE_MAX (512u << 10)
#define SALT_OTHER  RSA_PSS_SALTLEN_AUTO

struct signing {
    const struct provider *provider;
    struct key *key;
    enum digest digest;
    enum digest mgf1; /* DIGEST_NONE: the digest's */
    int padding;      /* as in struct sigalg */
    int salt;         /* bytes, or RSA_PSS_SALTLEN_DIGEST */
    uint8_t *message; /* what came by update */
    size_t len, room;
};

static void *newctx(void *provider, const char *properties)
{
    struct signing *s = mem_new(sizeof(*s));

    (void)properties;
    if (s)
        s->provider = provider;
    return s;
}

static void freectx(void *vs)
{
    struct signing *s = vs;

    if (!s)
        return;
    key_free(s->key);
    mem_free(s->message);
    mem_free(s);
}

static void *dupctx(void *vs)
{
    const struct signing *s = vs;
    struct signing *copy = mem_dup(s, sizeof(*s));

    if (!copy)
        return NULL;
    copy->key = s->key ? key_ref(s->key) : NULL;
    copy->message = NULL;
    copy->room = s->len;
    if (s->len && !(copy->message = mem_dup(s->message, s->len))) {
        freectx(copy);
        return NULL;
    }
    return copy;
}

/* --------------------------------------------------------------------------------- parameters */

/* A digest by OpenSSL's name into *ret. */
static int read_digest(const struct signing *s, const char *name, enum digest *ret)
{
    enum digest digest = digest_by_name(name);

    if (digest == DIGEST_NONE)
        return raise_error(s->provider, REASON_DIGEST, "%.40s: keyd signs with SHA-256, 384, 512",
                           name);
    *ret = digest;
    return 1;
}

/* The digest that OpenSSL names; NULL or "" means the one that is set already, or the usual one. */
static int choose_digest(struct signing *s, const char *name)
{
    bool named = name && *name;

    if (s->key->kind == PKEY_ED25519)
        return !named ||
               raise_error(s->provider, REASON_DIGEST, "Ed25519 takes no digest, not %.40s", name);
    if (named)
        return read_digest(s, name, &s->digest);
    if (s->digest == DIGEST_NONE)
        s->digest = DIGEST_SHA256;
    return 1;
}

/* Only RSA has it. */
static bool has_padding(const struct signing *s)
{
    return s->key->kind == PKEY_RSA || s->key->kind == PKEY_RSA_PSS;
}

static int read_padding(const struct signing *s, const OSSL_PARAM *param, int *ret)
{
    const char *name;
    int padding = 0;

    if (OSSL_PARAM_get_utf8_string_ptr(param, &name))
        padding = strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PSS) == 0       ? RSA_PKCS1_PSS_PADDING
                  : strcmp(name, OSSL_PKEY_RSA_PAD_MODE_PKCSV15) == 0 ? RSA_PKCS1_PADDING
                                                                      : 0;
    else if (!OSSL_PARAM_get_int(param, &padding))
        padding = 0;
    if (!sigalg_find(s->key->kind, DIGEST_SHA256, padding) || padding == 0)
        return raise_error(s->provider, REASON_PADDING, "%s keys of keyd sign with %s",
                           pkey_kind_name(s->key->kind),
                           s->key->kind == PKEY_RSA_PSS ? "pss" : "pkcs1 or pss");
    *ret = padding;
    return 1;
}

/* A salt's length into *ret: RSA_PSS_SALTLEN_DIGEST, bytes, or SALT_OTHER ("auto", "max"). */
static int read_salt(const OSSL_PARAM *param, int *ret)
{
    const char *text;
    char *end;

    if (!OSSL_PARAM_get_utf8_string_ptr(param, &text))
        return OSSL_PARAM_get_int(param, ret);
    long bytes = strtol(text, &end, 10);
    if (strcmp(text, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST) == 0)
        *ret = RSA_PSS_SALTLEN_DIGEST;
    else
        *ret = end != text && !*end && bytes >= 0 && bytes <= 1024 ? (int)bytes : SALT_OTHER;
    return 1;
}

/* Whether digest, salt and MGF1 go together, as far as they are known. TLS knows only one PSS for
 * each digest (RFC 8446 4.2.3), and so does keyd. */
static int check_pss(const struct signing *s)
{
    int size = digest_size(s->digest);

    if (s->padding != RSA_PKCS1_PSS_PADDING)
        return 1;
    if (s->salt != RSA_PSS_SALTLEN_DIGEST && s->salt != size)
        return raise_error(s->provider, REASON_SALT, "%s takes %d bytes of salt: set it to digest",
                           digest_name(s->digest), size);
    if (s->mgf1 != DIGEST_NONE && s->mgf1 != s->digest)
        return raise_error(s->provider, REASON_MGF1, "MGF1 with %s under a %s signature",
                           digest_name(s->mgf1), digest_name(s->digest));
    return 1;
}

static int set_ctx_params(void *vs, const OSSL_PARAM params[])
{
    struct signing *s = vs;
    const OSSL_PARAM *p;
    const char *name;

    if (!params || !s->key)
        return 1;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
        !(OSSL_PARAM_get_utf8_string_ptr(p, &name) && choose_digest(s, name)))
        return 0;
    if (!has_padding(s))
        return 1;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) &&
        !read_padding(s, p, &s->padding))
        return 0;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN)) &&
        !read_salt(p, &s->salt))
        return 0;
    if ((p = OSSL_PARAM_locate_const(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST)) &&
        !(OSSL_PARAM_get_utf8_string_ptr(p, &name) && read_digest(s, name, &s->mgf1)))
        return 0;
    return check_pss(s);
}

/* An int or a word, whichever the caller has room for. */
static int set_int_or_text(OSSL_PARAM *p, int number, const char *text)
{
    return p->data_type == OSSL_PARAM_UTF8_STRING ? OSSL_PARAM_set_utf8_string(p, text)
                                                  : OSSL_PARAM_set_int(p, number);
}

static int get_ctx_params(void *vs, OSSL_PARAM params[])
{
    struct signing *s = vs;
    OSSL_PARAM *p;

    if (!s->key)
        return 0;
    if ((p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_ALGORITHM_ID))) {
        const struct sigalg *sigalg = sigalg_find(s->key->kind, s->digest, s->padding);

        if (!sigalg || !OSSL_PARAM_set_octet_string(p, sigalg->identifier, sigalg->identifier_len))
            return 0;
    }
    if ((p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_DIGEST)) &&
        !OSSL_PARAM_set_utf8_string(p, digest_name(s->digest)))
        return 0;
    if (!has_padding(s))
        return 1;
    if ((p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PAD_MODE)) &&
        !set_int_or_text(p, s->padding,
                         s->padding == RSA_PKCS1_PSS_PADDING ? OSSL_PKEY_RSA_PAD_MODE_PSS
                                                             : OSSL_PKEY_RSA_PAD_MODE_PKCSV15))
        return 0;
    if ((p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_PSS_SALTLEN)) &&
        !set_int_or_text(p, RSA_PSS_SALTLEN_DIGEST, OSSL_PKEY_RSA_PSS_SALT_LEN_DIGEST))
        return 0;
    p = OSSL_PARAM_locate(params, OSSL_SIGNATURE_PARAM_MGF1_DIGEST);
    return !p || OSSL_PARAM_set_utf8_string(p, digest_name(s->digest));
}

static const OSSL_PARAM *settable(void *vs, void *p)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PROPERTIES, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_PROPERTIES, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vs;
    (void)p;
    return params;
}

static const OSSL_PARAM *gettable(void *vs, void *p)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_octet_string(OSSL_SIGNATURE_PARAM_ALGORITHM_ID, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_DIGEST, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PAD_MODE, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_PSS_SALTLEN, NULL, 0),
        OSSL_PARAM_utf8_string(OSSL_SIGNATURE_PARAM_MGF1_DIGEST, NULL, 0),
        OSSL_PARAM_END,
    };

    (void)vs;
    (void)p;
    return params;
}

/* ------------------------------------------------------------------------------------ signing */

/* Makes ctx ready for a new message, and for a new key if there is one. Fails only for what this
 * key can never do: libssl reads a failure here as "the certificate cannot be used". */
static int digest_sign_init(void *vs, const char *digest, void *vkey, const OSSL_PARAM params[])
{
    struct signing *s = vs;
    struct key *key = vkey;

    if (key && !key->signs)
        return raise_error(s->provider, REASON_NO_KEY, "this key is only a public one");
    if (key) {
        key_free(s->key);
        s->key = key_ref(key);
        s->digest = s->mgf1 = DIGEST_NONE;
        s->padding = key->kind == PKEY_RSA       ? RSA_PKCS1_PADDING
                     : key->kind == PKEY_RSA_PSS ? RSA_PKCS1_PSS_PADDING
                                                 : 0;
        s->salt = RSA_PSS_SALTLEN_DIGEST;
    }
    if (!s->key)
        return raise_error(s->provider, REASON_NO_KEY, "no key was set");
    s->len = 0;
    if (!choose_digest(s, digest))
        return 0;
    return set_ctx_params(s, params);
}

static int digest_sign_update(void *vs, const unsigned char *data, size_t len)
{
    struct signing *s = vs;

    if (len > MESSAGE_MAX - s->len)
        return raise_error(s->provider, REASON_MESSAGE, "keyd takes at most %u bytes", MESSAGE_MAX);
    if (s->len + len > s->room) {
        size_t room = s->len + len < MESSAGE_MAX / 2 ? 2 * (s->len + len) : MESSAGE_MAX;
        uint8_t *message = mem_resize(s->message, room, 1);

        if (!message)
            return raise_error(s->provider, REASON_MEMORY, "no %zu bytes for a message", room);
        s->message = message;
        s->room = room;
    }
    if (len)
        memcpy(s->message + s->len, data, len);
    s->len += len;
    return 1;
}

/* Asks keyd. This is the only place where the provider does I/O. */
static int request(const struct signing *s, const uint8_t *message, size_t len, uint8_t *sig,
                   size_t *sig_len)
{
    const struct sigalg *sigalg = sigalg_find(s->key->kind, s->digest, s->padding);
    const uint8_t *id = s->key->id;
    struct keyd_error error;
    char what[40];

    if (!sigalg)
        return raise_error(s->provider, REASON_DIGEST, "no digest was set");
    if (len > MESSAGE_MAX)
        return raise_error(s->provider, REASON_MESSAGE, "%zu bytes, keyd takes at most %u", len,
                           MESSAGE_MAX);
    ERR_set_mark();
    int code =
        keyd_sign(s->provider->client, id, sigalg->scheme, message, len, sig, sig_len, &error);
    ERR_pop_to_mark();
    if (code == KEYD_OK)
        return 1;
    snprintf(what, sizeof(what), "signing with key %02x%02x%02x%02x", id[0], id[1], id[2], id[3]);
    return raise_keyd(s->provider, &error, what);
}

static int digest_sign(void *vs, unsigned char *sig, size_t *sig_len, size_t room,
                       const unsigned char *message, size_t len)
{
    const struct signing *s = vs;
    uint8_t made[KEYD_SIGNATURE_MAX];
    size_t made_len = sizeof(made);

    if (!s->key)
        return raise_error(s->provider, REASON_NO_KEY, "no key was set");
    if (!sig) {
        *sig_len = s->key->max_signature;
        return 1;
    }
    if (!request(s, message ? message : (const uint8_t *)"", len, made, &made_len))
        return 0;
    if (made_len > room)
        return raise_error(s->provider, REASON_BUFFER, "%zu bytes for a signature of %zu", room,
                           made_len);
    memcpy(sig, made, made_len);
    *sig_len = made_len;
    return 1;
}

static int digest_sign_final(void *vs, unsigned char *sig, size_t *sig_len, size_t room)
{
    const struct signing *s = vs;

    return digest_sign(vs, sig, sig_len, room, s->message, s->len);
}

#define CONTEXT                                                                                    \
    {OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))newctx},                                          \
        {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))freectx},                                    \
        {OSSL_FUNC_SIGNATURE_DUPCTX, (void (*)(void))dupctx},                                      \
        {OSSL_FUNC_SIGNATURE_GET_CTX_PARAMS, (void (*)(void))get_ctx_params},                      \
        {OSSL_FUNC_SIGNATURE_GETTABLE_CTX_PARAMS, (void (*)(void))gettable},                       \
        {OSSL_FUNC_SIGNATURE_SET_CTX_PARAMS, (void (*)(void))set_ctx_params},                      \
        {OSSL_FUNC_SIGNATURE_SETTABLE_CTX_PARAMS, (void (*)(void))settable},                       \
        {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_INIT, (void (*)(void))digest_sign_init},                  \
    {                                                                                              \
        OSSL_FUNC_SIGNATURE_DIGEST_SIGN, (void (*)(void))digest_sign                               \
    }

static const OSSL_DISPATCH streaming_table[] = {
    CONTEXT,
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_UPDATE, (void (*)(void))digest_sign_update},
    {OSSL_FUNC_SIGNATURE_DIGEST_SIGN_FINAL, (void (*)(void))digest_sign_final},
    {0, NULL}};

/* One shot only, as OpenSSL's own Ed25519. */
static const OSSL_DISPATCH one_shot_table[] = {CONTEXT, {0, NULL}};

#define PROPERTIES "provider=keyd"

const OSSL_ALGORITHM provider_signatures[] = {
    {"RSA:rsaEncryption:1.2.840.113549.1.1.1", PROPERTIES, streaming_table, "RSA by keyd"},
    {"ECDSA", PROPERTIES, streaming_table, "ECDSA by keyd"},
    {"ED25519:1.3.101.112", PROPERTIES, one_shot_table, "Ed25519 by keyd"},
    {NULL, NULL, NULL, NULL}};
