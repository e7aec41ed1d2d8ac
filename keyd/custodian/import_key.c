/* SPDX-License-Identifier: Apache-2.0
 *
 * The import key: an RSA pair in the token, made at its first need, that clients know by its
 * fingerprint. It can do nothing but unwrap. A new one takes its place when an operator wants that;
 * the one before stays for imports that have their nonce, and is destroyed after them: then nothing
 * that was ever wrapped for it can be read by anyone, us included.
 *
 * All nonces and keys are in the registry, because this process is replaced after imports.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "keyd/token/softhsm.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define TIDY_US (30 * 1000000ull)

void import_principal(const struct ask *ask, char ret[IMPORT_PRINCIPAL_MAX + 1])
{
    const struct principal *who = ask->who;

    snprintf(ret, IMPORT_PRINCIPAL_MAX + 1, "%s %s%s%s", role_name(who->role), who->name,
             *who->tenant ? " of " : "", who->tenant);
}

/* ---- what the token can do */

static bool probe(struct custodian *c, token_handle key, const uint8_t *spki, size_t spki_len,
                  struct err *err)
{
    char note[UNWRAP_NOTE];

    TRY(unwrap_probe(c->token, key, spki, spki_len, &c->unwrap, note, err));
    c->unwrap_known = !key || c->unwrap.hash != IMPORT_HASH_NONE;
    if (c->unwrap_known && *note)
        custodian_note(c, "%s", note);
    return true;
}

/* What the import key itself unwraps is proven with it. One that is missing, or is not what it
 * should be, proves nothing: the first need tells more. */
bool import_probe(struct custodian *c, struct err *err)
{
    struct registry_import_key key;
    token_handle handle;
    struct err why;

    if (!registry_import_current(c->registry, &key, err))
        return err->code == ERR_NOT_FOUND;
    if (!token_find_private(c->token, key.cka_id, key.cka_id_len, &handle, &why))
        return !token_lost(c->token) || (*err = why, false);
    TRY(probe(c, handle, key.spki, key.spki_len, err));
    if (!c->unwrap_known || !import_key_judge(c->token, handle, &c->unwrap, &why))
        return !token_lost(c->token) || (*err = why, false);
    memcpy(c->import_id, key.id, sizeof(c->import_id));
    c->import_handle = handle;
    return true;
}

bool import_possible(struct custodian *c, struct err *err)
{
    if (!c->unwrap_known)
        TRY(probe(c, 0, NULL, 0, err));
    if (c->unwrap.hash != IMPORT_HASH_NONE)
        return true;
    err_set(err, ERR_UNSUPPORTED, "the token \"%s\" cannot unwrap keys: none can be imported",
            token_info(c->token)->label);
    return err_hint(err, "make keys in the token: keydctl keys-generate");
}

/* ---- making one */

/* In the token, durable, and found to be what it should be. */
static bool make(struct custodian *c, const struct registry_intent *i,
                 struct registry_import_key *ret, token_handle *ret_handle, struct err *err)
{
    const struct unwrap_way *way = &c->unwrap;

    *ret = (struct registry_import_key){.cka_id_len = i->cka_id_len};
    memcpy(ret->cka_id, i->cka_id, sizeof(ret->cka_id));
    TRY(import_key_generate(c->token, i->type, way, i->cka_id, i->cka_id_len, IMPORT_LABEL, true,
                            ret_handle, ret->spki, &ret->spki_len, err));
    TRY(softhsm_sync(c->state_dir, err));
    TRY(import_key_judge(c->token, *ret_handle, way, err));
    TRY(import_key_prove(c->token, *ret_handle, way, ret->spki, ret->spki_len, err));
    return key_id_of(ret->spki, ret->spki_len, ret->id) ||
           err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

static bool make_and_commit(struct custodian *c, struct registry_import_key *ret, struct err *err)
{
    struct registry_intent intent = {.verb = "import-key", .type = IMPORT_KEY_TYPE};
    token_handle handle = 0;

    TRY(import_possible(c, err));
    TRY(reconcile_intents(c, err));
    TRY(intent_seal(&intent, err));
    TRY(registry_intent_add(c->registry, &intent, err));
    if (!make(c, &intent, ret, &handle, err) ||
        !registry_import_commit(c->registry, intent.id, ret, err)) {
        intent_undo(c, &intent);
        return false;
    }
    memcpy(c->import_id, ret->id, sizeof(c->import_id));
    c->import_handle = handle;
    return true;
}

static bool have(struct custodian *c, struct registry_import_key *ret, struct err *err)
{
    TRY(import_possible(c, err));
    if (registry_import_current(c->registry, ret, err))
        return true;
    return err->code == ERR_NOT_FOUND && make_and_commit(c, ret, err);
}

/* ---- using one */

static bool find_and_prove(struct custodian *c, const struct registry_import_key *key,
                           token_handle *ret, struct err *err)
{
    const struct unwrap_way *way = &c->unwrap;

    TRY(import_possible(c, err));
    TRY(token_find_private(c->token, key->cka_id, key->cka_id_len, ret, err));
    TRY(import_key_judge(c->token, *ret, way, err));
    return import_key_prove(c->token, *ret, way, key->spki, key->spki_len, err);
}

bool import_handle(struct custodian *c, const struct registry_import_key *key, token_handle *ret,
                   struct err *err)
{
    char hex[KEY_ID_HEX_LEN + 1];
    token_handle handle = 0;

    if (!c->import_handle || memcmp(c->import_id, key->id, KEY_ID_LEN) != 0) {
        if (!find_and_prove(c, key, &handle, err)) {
            err_prefix(err, "the import key %.16s... cannot be used",
                       hex_encode(key->id, KEY_ID_LEN, hex));
            return *err->hint ? false
                              : err_hint(err, "keydctl token-objects shows what is there; "
                                              "keydctl import-key-rotate makes a new one");
        }
        memcpy(c->import_id, key->id, sizeof(c->import_id));
        c->import_handle = handle;
    }
    *ret = c->import_handle;
    return true;
}

/* ---- the end of one */

static bool destroy(struct custodian *c, const struct registry_import_key *key, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    token_handle handle;

    if (memcmp(c->import_id, key->id, KEY_ID_LEN) == 0)
        c->import_handle = 0;
    while (token_find_private(c->token, key->cka_id, key->cka_id_len, &handle, &why))
        TRY(token_destroy(c->token, handle, err));
    if (why.code != ERR_NOT_FOUND) {
        *err = why;
        return false;
    }
    TRY(softhsm_sync(c->state_dir, err));
    return registry_import_drop(c->registry, key->id, err);
}

static bool tidy(struct custodian *c, bool *ret_left, struct err *err)
{
    AUTO_FREE struct registry_import_key *list = NULL;
    size_t count = 0;

    *ret_left = false;
    TRY(registry_nonce_expire(c->registry, IMPORT_NONCE_S, err));
    TRY(registry_import_list(c->registry, &list, &count, err));
    for (size_t i = 0; i < count; i++) {
        bool going = false;

        TRY(registry_import_going(c->registry, list[i].id, &going, err));
        if (going)
            TRY(destroy(c, &list[i], err));
        *ret_left = *ret_left || (!going && list[i].state == REGISTRY_IMPORT_RETIRED);
    }
    return true;
}

void import_tidy(struct custodian *c)
{
    struct err err;
    char line[600];
    bool left = true;

    c->tidy_at = 0;
    if (*c->frozen)
        return; /* nothing is destroyed while the token looks wrong */
    if (!tidy(c, &left, &err)) {
        log_line(LOG_LEVEL_WARNING, "import keys: %s", log_err(&err, line, sizeof(line)));
        left = !token_lost(c->token);
    }
    if (left)
        c->tidy_at = clock_us() + TIDY_US;
}

/* ---- the verbs */

static Keyd__V1__ImportKeyInfo *to_wire(const struct custodian *c, const struct ask *ask,
                                        const struct registry_import_key *key, struct err *err)
{
    const struct unwrap_way *way = &c->unwrap;
    Keyd__V1__ImportKeyInfo *info = ask_alloc(ask, sizeof(*info), err);

    if (!info)
        return NULL;
    keyd__v1__import_key_info__init(info);
    info->hash = (Keyd__V1__ImportHash)way->hash;
    info->created = key->created;
    info->types = ask_alloc(ask, KEY_TYPE_COUNT * sizeof(*info->types), err);
    if (!info->types || !ask_bytes(ask, key->id, sizeof(key->id), &info->id, err) ||
        !ask_bytes(ask, key->spki, key->spki_len, &info->spki, err))
        return NULL;
    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++)
        if (way->types[t])
            info->types[info->n_types++] = (Keyd__V1__KeyType)t;
    return info;
}

/* An import begins: the nonce binds it to who asks, to now, and to this key. */
static bool begin(struct custodian *c, const struct ask *ask, const struct registry_import_key *key,
                  Keyd__V1__ImportKeyReply *reply, struct err *err)
{
    struct registry_nonce nonce;

    memcpy(nonce.import_key, key->id, sizeof(nonce.import_key));
    import_principal(ask, nonce.principal);
    if (getrandom(nonce.nonce, sizeof(nonce.nonce), 0) != (ssize_t)sizeof(nonce.nonce))
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    TRY(registry_nonce_add(c->registry, &nonce, IMPORT_NONCE_S, err));
    reply->nonce_ms = IMPORT_NONCE_S * 1000;
    return ask_bytes(ask, nonce.nonce, sizeof(nonce.nonce), &reply->nonce, err);
}

bool verb_import_key(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__ImportKeyReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_import_key key;
    token_handle handle;

    TRY(reply);
    keyd__v1__import_key_reply__init(reply);
    TRY(have(c, &key, err));
    TRY(import_handle(c, &key, &handle, err));
    if (ask->e->import_key->begin)
        TRY(begin(c, ask, &key, reply, err));
    TRY(reply->key = to_wire(c, ask, &key, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY;
    ret->import_key_reply = reply;
    return true;
}

bool verb_import_key_rotate(struct custodian *c, const struct ask *ask, envelope *ret,
                            struct err *err)
{
    Keyd__V1__ImportKeyRotateReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_import_key key;

    TRY(reply);
    keyd__v1__import_key_rotate_reply__init(reply);
    TRY(make_and_commit(c, &key, err));
    import_tidy(c);
    TRY(reply->key = to_wire(c, ask, &key, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_ROTATE_REPLY;
    ret->import_key_rotate_reply = reply;
    return true;
}
