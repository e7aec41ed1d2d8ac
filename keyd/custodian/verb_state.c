/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-disable, keys-enable, keys-destroy: verbs that take away, and one that gives back. The
 * registry first, so that it is true after any kill; then everywhere that signs (publish.c waits
 * for each signer, whose session copies go too); then, for a destroyed key, the object itself. The
 * state "destroying" is the intent: whoever finds it finishes it (design D4).
 */
#include "keyd/custodian/internal.h"
#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"

/* ---- what the token has of a key */

/* The CKA_ID of an adopted key is not ours: somebody may have given it to another key since. What
 * is destroyed must be the key itself. */
static bool is_the_key(struct custodian *c, const struct registry_key *key, token_handle handle,
                       struct err *err)
{
    if (!key->adopted || token_prove(c->token, handle, key->type, key->spki, key->spki_len, err))
        return true;
    if (token_lost(c->token))
        return false;
    err_set(err, ERR_CONFLICT,
            "the object in the token with the CKA_ID of %s/%s is not proven to be this key: it is "
            "left alone",
            key->tenant, key->name);
    return err_hint(err, "keydctl token-objects; with the token's own tools, see whose it is");
}

/* Destroys every private object with the key's CKA_ID; none is as good: it is gone. */
static bool destroy_objects(struct custodian *c, const struct registry_key *key, struct err *err)
{
    struct err why = {.code = ERR_NONE};
    token_handle handle;

    while (token_find_private(c->token, key->cka_id, key->cka_id_len, &handle, &why)) {
        TRY(is_the_key(c, key, handle, err));
        TRY(token_destroy(c->token, handle, err));
    }
    if (why.code != ERR_NOT_FOUND) {
        *err = why;
        return false;
    }
    return softhsm_sync(c->state_dir, err);
}

bool destroy_finish(struct custodian *c, const struct registry_key *key, struct err *err)
{
    TRY(destroy_objects(c, key, err));
    return registry_key_remove(c->registry, key->id, err);
}

/* ---- the verbs */

/* Writes the state down, makes it true everywhere. */
static bool change(struct custodian *c, struct registry_key *key, enum registry_key_state state,
                   enum key_state published, struct err *err)
{
    TRY(registry_key_set_state(c->registry, key->id, state, err));
    key->state = state;
    return publish_key(c, key, published, 0, err);
}

static Keyd__V1__Key *changed(struct custodian *c, const struct ask *ask, const char *name,
                              enum registry_key_state state, enum key_state published,
                              struct err *err)
{
    struct registry_key key;

    if (!scope_key(c, ask, name, &key, err) || !change(c, &key, state, published, err))
        return NULL;
    return key_to_wire(c, ask, &key, true, err);
}

bool verb_keys_disable(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysDisableReply *reply = ask_alloc(ask, sizeof(*reply), err);

    TRY(reply);
    keyd__v1__keys_disable_reply__init(reply);
    TRY(reply->key =
            changed(c, ask, ask->e->keys_disable->key, REGISTRY_KEY_DISABLED, KEY_DISABLED, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY;
    ret->keys_disable_reply = reply;
    return true;
}

/* Given back only what the token shows: else it would be enabled and yet missing. */
static bool shown(struct custodian *c, const struct registry_key *key, struct err *err)
{
    token_handle handle;

    if (token_find_private(c->token, key->cka_id, key->cka_id_len, &handle, err))
        return true;
    return err_prefix(err, "the key %s/%s cannot be enabled", key->tenant, key->name);
}

bool verb_keys_enable(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysEnableReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_key key;

    TRY(reply);
    keyd__v1__keys_enable_reply__init(reply);
    TRY(scope_key(c, ask, ask->e->keys_enable->key, &key, err));
    TRY(shown(c, &key, err));
    TRY(reply->key =
            changed(c, ask, ask->e->keys_enable->key, REGISTRY_KEY_ENABLED, KEY_ENABLED, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE_REPLY;
    ret->keys_enable_reply = reply;
    return true;
}

/* Of several objects with the key's CKA_ID only one can be the key: which one is for people. */
static bool at_most_one(struct custodian *c, const struct registry_key *key, struct err *err)
{
    token_handle handle;

    if (token_find_private(c->token, key->cka_id, key->cka_id_len, &handle, err) ||
        err->code == ERR_NOT_FOUND)
        return true;
    err_prefix(err, "the key %s/%s is not destroyed", key->tenant, key->name);
    return err->code != ERR_CONFLICT ? false
                                     : err_hint(err, "keydctl token-objects shows both: remove the "
                                                     "one that is not keyd's by the token's tools");
}

bool verb_keys_destroy(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysDestroyReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_key key;

    TRY(reply);
    keyd__v1__keys_destroy_reply__init(reply);
    TRY(scope_key(c, ask, ask->e->keys_destroy->key, &key, err));
    TRY(registry_key_unused(c->registry, &key, err));
    TRY(at_most_one(c, &key, err));
    TRY(change(c, &key, REGISTRY_KEY_DESTROYING, KEY_DESTROYED, err));
    TRY(destroy_finish(c, &key, err));
    TRY(reply->key = key_to_wire(c, ask, &key, true, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY_REPLY;
    ret->keys_destroy_reply = reply;
    return true;
}
