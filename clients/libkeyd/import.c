/* SPDX-License-Identifier: Apache-2.0
 *
 * Import: the import key and a nonce are fetched, the fingerprint is compared with the caller's,
 * the key is wrapped and signs what is sent (proto/README.md). The key itself is read only between
 * these two requests; nothing of it is left when the call returns.
 */
#include <openssl/decoder.h>
#include <openssl/rsa.h>
#include <string.h>
#include <sys/random.h>

#include "clients/libkeyd/call.h"
#include "clients/libkeyd/pkcs8.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"
#include "proto/import.h"

#define STACK_USED 65536 /* bytes below us that libcrypto may have written key material to */

_Static_assert(KEYD_PKCS8_MAX == IMPORT_PKCS8_MAX && KEYD_SIGNATURE_MAX >= 512, "as in proto");
_Static_assert((int)IMPORT_HASH_SHA1 == (int)KEYD__V1__IMPORT_HASH__IMPORT_HASH_SHA1 &&
                   (int)IMPORT_HASH_SHA256 == (int)KEYD__V1__IMPORT_HASH__IMPORT_HASH_SHA256,
               "hashes as on the wire");

/* ---- the import key */

static bool import_key_is_whole(const Keyd__V1__ImportKeyInfo *info, uint8_t ret_id[KEY_ID_LEN],
                                struct err *err)
{
    if (!info || info->spki.len == 0 || info->spki.len > KEYD_SPKI_MAX ||
        !import_hash_name((enum import_hash)info->hash))
        return err_set(err, ERR_INTERNAL, "keyd's answer holds no import key that we know");
    /* the fingerprint is ours: what keyd says it is does not count */
    return key_id_of(info->spki.data, info->spki.len, ret_id) ||
           err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

static bool add_import_key(struct result *r, const Keyd__V1__ImportKeyInfo *from, struct err *err)
{
    struct keyd_import_key *k = result_add(r);
    uint8_t id[KEY_ID_LEN];

    TRY(import_key_is_whole(from, id, err));
    if (!k)
        return result_ok(r, err);
    memcpy(k->id, id, sizeof(k->id));
    k->spki = result_bytes(r, from->spki, &k->spki_len);
    k->created = from->created;
    k->types = result_room(r, from->n_types * sizeof(*k->types));
    for (size_t i = 0; k->types && i < from->n_types; i++)
        k->types[k->type_count++] = (int)from->types[i];
    return result_ok(r, err);
}

static bool fetch(struct keyd_client *client, bool begin, uint64_t deadline, struct arena *a,
                  const Keyd__V1__ImportKeyReply **ret, struct err *err)
{
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.begin = begin;
    request.body_case = KEYD__V1__ENVELOPE__BODY_IMPORT_KEY;
    request.import_key = &body;
    TRY(call_one(client, JOB_READING, deadline, &request, KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY,
                 a, &reply, err));
    *ret = reply->import_key_reply;
    return true;
}

static bool import_key(struct keyd_client *client, struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    const Keyd__V1__ImportKeyReply *reply;

    TRY(fetch(client, false, call_deadline(client), &a, &reply, err));
    return add_import_key(r, reply->key, err);
}

int keyd_import_key(struct keyd_client *client, struct keyd_import_key **ret,
                    struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_import_key));
    struct err err = {0};
    bool ok = import_key(client, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

static bool import_key_rotate(struct keyd_client *client, struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__ImportKeyRotate body = KEYD__V1__IMPORT_KEY_ROTATE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_ROTATE;
    request.import_key_rotate = &body;
    TRY(call_one(client, JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_ROTATE_REPLY, &a, &reply, err));
    return add_import_key(r, reply->import_key_rotate_reply->key, err);
}

int keyd_import_key_rotate(struct keyd_client *client, struct keyd_import_key **ret,
                           struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_import_key));
    struct err err = {0};
    bool ok = import_key_rotate(client, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_import_key_free(struct keyd_import_key *key)
{
    result_free_items(key);
}

/* ---- wrapping */

struct wrapped {
    uint8_t kek[IMPORT_KEK_MAX], key[IMPORT_KEY_MAX];
    size_t kek_len, key_len;
};

/* RFC 5649 under the AES-256 key. */
static bool wrap_key(const struct secret *kek, const uint8_t *pkcs8, size_t len,
                     struct wrapped *ret, struct err *err)
{
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0;

    if (ctx)
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    bool ok = ctx && EVP_EncryptInit_ex(ctx, EVP_aes_256_wrap_pad(), NULL, kek->bytes, NULL) == 1 &&
              EVP_EncryptUpdate(ctx, ret->key, &n, pkcs8, (int)len) == 1;
    EVP_CIPHER_CTX_free(ctx);
    ret->key_len = (size_t)n;
    return ok || err_set(err, ERR_INTERNAL, "libcrypto cannot wrap a key (RFC 5649)");
}

static EVP_PKEY *read_import_key(const ProtobufCBinaryData *spki)
{
    EVP_PKEY *key = NULL;
    OSSL_DECODER_CTX *ctx = OSSL_DECODER_CTX_new_for_pkey(&key, "DER", "SubjectPublicKeyInfo",
                                                          "RSA", EVP_PKEY_PUBLIC_KEY, NULL, NULL);
    const uint8_t *at = spki->data;
    size_t left = spki->len;

    if (ctx && (OSSL_DECODER_from_data(ctx, &at, &left) != 1 || left != 0)) {
        EVP_PKEY_free(key);
        key = NULL;
    }
    OSSL_DECODER_CTX_free(ctx);
    return key;
}

/* RSA-OAEP (RFC 8017 7.1) under the import key. */
static bool wrap_kek(const Keyd__V1__ImportKeyInfo *info, const struct secret *kek,
                     struct wrapped *ret, struct err *err)
{
    EVP_PKEY *key = read_import_key(&info->spki);
    EVP_PKEY_CTX *ctx = key ? EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL) : NULL;
    const char *hash = import_hash_name((enum import_hash)info->hash);

    ret->kek_len = sizeof(ret->kek);
    bool ok = ctx && EVP_PKEY_get_size(key) <= (int)sizeof(ret->kek) &&
              EVP_PKEY_encrypt_init(ctx) == 1 &&
              EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
              EVP_PKEY_CTX_set_rsa_oaep_md_name(ctx, hash, NULL) == 1 &&
              EVP_PKEY_CTX_set_rsa_mgf1_md_name(ctx, hash, NULL) == 1 &&
              EVP_PKEY_encrypt(ctx, ret->kek, &ret->kek_len, kek->bytes, kek->len) == 1;
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(key);
    return ok || err_set(err, ERR_INTERNAL, "keyd's import key is none that we can wrap for");
}

static bool wrap_both(const Keyd__V1__ImportKeyInfo *info, const uint8_t *pkcs8, size_t len,
                      struct wrapped *ret, struct err *err)
{
    struct secret kek CLEANUP(secret_free) = {.bytes = NULL};

    TRY(secret_new(&kek, IMPORT_KEK_LEN, err));
    kek.len = IMPORT_KEK_LEN;
    if (getrandom(kek.bytes, kek.len, 0) != (ssize_t)kek.len)
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    TRY(wrap_key(&kek, pkcs8, len, ret, err));
    return wrap_kek(info, &kek, ret, err);
}

/* ---- the import */

struct import {
    const char *tenant, *name;
    const struct keyd_key_rules *rules;
    const uint8_t *trusted; /* id of the import key that the caller trusts */
    const uint8_t *pkcs8;
    size_t pkcs8_len;

    const Keyd__V1__ImportKeyReply *begun; /* keyd's import key, and a nonce */
    struct wrapped wrapped;
    uint8_t spki[SPKI_MAX_LEN], proof[KEYD_SIGNATURE_MAX];
    size_t spki_len, proof_len;
    const struct scheme *scheme;
};

/* No other import key than the one that is trusted: who holds it reads what is wrapped for it. */
static bool trusts(const struct import *m, struct err *err)
{
    char theirs[KEY_ID_HEX_LEN + 1], ours[KEY_ID_HEX_LEN + 1];
    uint8_t id[KEY_ID_LEN];

    TRY(import_key_is_whole(m->begun->key, id, err));
    if (m->begun->nonce.len != IMPORT_NONCE_LEN)
        return err_set(err, ERR_INTERNAL, "keyd's answer holds no nonce of %d bytes",
                       IMPORT_NONCE_LEN);
    if (memcmp(id, m->trusted, sizeof(id)) == 0)
        return true;
    err_set(err, ERR_DENIED, "keyd shows the import key %s, not %s; nothing was sent",
            hex_encode(id, sizeof(id), theirs), hex_encode(m->trusted, sizeof(id), ours));
    return err_hint(err, "was it rotated? ask the operator for the fingerprint; if not, somebody "
                         "stands between you and keyd");
}

static bool takes_type(const struct import *m, enum key_type type, struct err *err)
{
    const Keyd__V1__ImportKeyInfo *info = m->begun->key;

    for (size_t i = 0; i < info->n_types; i++)
        if ((int)info->types[i] == (int)type)
            return true;
    err_set(err, ERR_UNSUPPORTED, "keyd's token cannot take in keys of type %s",
            key_type_info(type)->name);
    return err_hint(err, "make the key in the token: keydctl keys-generate");
}

static bool prove(struct import *m, const struct own_key *key, struct err *err)
{
    const struct import_claim claim = {.nonce = m->begun->nonce.data,
                                       .import_key = m->trusted,
                                       .key = key->id,
                                       .tenant = m->tenant,
                                       .name = m->name,
                                       .purposes = m->rules->purposes,
                                       .wrapped_kek = m->wrapped.kek,
                                       .wrapped_kek_len = m->wrapped.kek_len,
                                       .wrapped_key = m->wrapped.key,
                                       .wrapped_key_len = m->wrapped.key_len};
    uint8_t message[IMPORT_MESSAGE_MAX];
    size_t len;

    TRY(import_message(&claim, message, &len, err));
    m->scheme = scheme_for_type(key->type);
    m->proof_len = sizeof(m->proof);
    return own_key_sign(key, m->scheme, message, len, m->proof, &m->proof_len, err);
}

/* All that is done with the key itself. */
static bool prepare(struct import *m, struct err *err)
{
    struct own_key key CLEANUP(own_key_free) = {.pkey = NULL};

    TRY(own_key_read(&key, m->pkcs8, m->pkcs8_len, err));
    TRY(takes_type(m, key.type, err));
    TRY(wrap_both(m->begun->key, m->pkcs8, m->pkcs8_len, &m->wrapped, err));
    TRY(prove(m, &key, err));
    memcpy(m->spki, key.spki, key.spki_len);
    m->spki_len = key.spki_len;
    return true;
}

/* Overwrites what the calls before have left on the stack below their caller. */
static __attribute__((noinline)) void scrub_stack(void)
{
    uint8_t below[STACK_USED];

    secret_wipe(below, sizeof(below));
}

static __attribute__((noinline)) bool prepare_and_scrub(struct import *m, struct err *err)
{
    bool ok = prepare(m, err);

    scrub_stack();
    return ok;
}

static bool send_import(struct keyd_client *client, struct import *m, uint64_t deadline,
                        struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__KeysImport body = KEYD__V1__KEYS_IMPORT__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.tenant = (char *)m->tenant;
    body.name = (char *)m->name;
    body.purposes = m->rules->purposes;
    body.allowed_names = (char **)(uintptr_t)m->rules->allowed_names;
    body.n_allowed_names = m->rules->allowed_name_count;
    body.nonce = m->begun->nonce;
    body.import_key = (ProtobufCBinaryData){KEY_ID_LEN, (uint8_t *)(uintptr_t)m->trusted};
    body.spki = (ProtobufCBinaryData){m->spki_len, m->spki};
    body.wrapped_kek = (ProtobufCBinaryData){m->wrapped.kek_len, m->wrapped.kek};
    body.wrapped_key = (ProtobufCBinaryData){m->wrapped.key_len, m->wrapped.key};
    body.scheme = m->scheme->code;
    body.proof = (ProtobufCBinaryData){m->proof_len, m->proof};
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT;
    request.keys_import = &body;
    TRY(call_one(client, JOB_CHANGE, deadline, &request, KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY,
                 &a, &reply, err));
    return result_add_key(r, reply->keys_import_reply->key, err);
}

static bool keys_import(struct keyd_client *client, struct import *m, struct result *r,
                        struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    uint64_t deadline = call_deadline(client);

    if (m->pkcs8_len > KEYD_PKCS8_MAX)
        return err_set(err, ERR_TOO_LARGE, "a private key of %zu bytes; at most %d are taken",
                       m->pkcs8_len, KEYD_PKCS8_MAX);
    TRY(fetch(client, true, deadline, &a, &m->begun, err));
    TRY(trusts(m, err));
    TRY(prepare_and_scrub(m, err));
    return send_import(client, m, deadline, r, err);
}

int keyd_keys_import(struct keyd_client *client, const char *tenant, const char *name,
                     const struct keyd_key_rules *rules,
                     const uint8_t import_key_id[KEYD_KEY_ID_LEN], const uint8_t *pkcs8,
                     size_t pkcs8_len, struct keyd_key **ret, struct keyd_error *error)
{
    static const struct keyd_key_rules defaults = {0};
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_key));
    struct err err = {0};
    struct import *m AUTO_FREE = mem_new(sizeof(*m));

    if (!m)
        return call_result(err_set(&err, ERR_INTERNAL, "no memory for an import"), &err, error);
    m->tenant = tenant;
    m->name = name;
    m->rules = rules ? rules : &defaults;
    m->trusted = import_key_id;
    m->pkcs8 = pkcs8;
    m->pkcs8_len = pkcs8_len;
    bool ok = keys_import(client, m, &r, &err);
    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}
