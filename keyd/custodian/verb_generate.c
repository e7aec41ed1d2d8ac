/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-generate: intent, token, durable, commit, publish (design D4). Killed anywhere on the way,
 * the intent that is left names the object that may be there, and reconcile takes both away; once
 * the commit is through, the key is there for good.
 */
#include <stdio.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"

static bool type_known(const struct custodian *c, uint32_t type, struct err *err)
{
    size_t len = 0;

    if (type < KEY_TYPE_COUNT && key_type_info((enum key_type)type) &&
        c->abilities.can_generate[type])
        return true;
    const struct key_type_info *info =
        type < KEY_TYPE_COUNT ? key_type_info((enum key_type)type) : NULL;
    if (info)
        err_set(err, ERR_UNSUPPORTED, "the token \"%s\" cannot make keys of type %s",
                token_info(c->token)->label, info->name);
    else
        err_set(err, ERR_UNSUPPORTED, "keyd knows no key type %u", type);
    for (int i = KEY_TYPE_NONE + 1; i < KEY_TYPE_COUNT && len < sizeof(err->hint); i++)
        if (c->abilities.can_generate[i])
            len += (size_t)snprintf(err->hint + len, sizeof(err->hint) - len, "%s%s",
                                    len ? ", " : "it can make ",
                                    key_type_info((enum key_type)i)->name);
    return false;
}

/* The intent of a request, checked; its CKA_ID names it. */
static bool intent_of(const struct custodian *c, const struct ask *ask, struct registry_intent *ret,
                      struct err *err)
{
    const Keyd__V1__KeysGenerate *request = ask->e->keys_generate;
    struct registry_intent i = {.verb = "keys-generate", .type = (enum key_type)request->type};

    TRY(intent_name(&i, request->tenant, request->name, err));
    TRY(type_known(c, (uint32_t)request->type, err));
    TRY(scope_tenant(ask, i.tenant, err));
    TRY(purposes_known(request->purposes, err));
    TRY(scope_purposes(ask, request->purposes, err));
    i.purposes = request->purposes ? request->purposes : PURPOSES_DEFAULT;
    TRY(names_allow(i.allowed_names, i.purposes, request->allowed_names, request->n_allowed_names,
                    err));
    TRY(intent_seal(&i, err));
    *ret = i;
    return true;
}

/* The key in the token: made, durable, and found to be what it should be. */
static bool make_key(struct custodian *c, const struct registry_intent *i, struct registry_key *ret,
                     token_handle *ret_handle, struct err *err)
{
    char label[TOKEN_LABEL_MAX];

    intent_label(i, label);
    intent_key(i, ret);
    TRY(token_generate(c->token, i->type, i->cka_id, i->cka_id_len, label, true, ret_handle,
                       ret->spki, &ret->spki_len, err));
    TRY(softhsm_sync(c->state_dir, err));
    TRY(token_key_judge(c->token, *ret_handle, i->type, err));
    TRY(token_prove(c->token, *ret_handle, i->type, ret->spki, ret->spki_len, err));
    return key_id_of(ret->spki, ret->spki_len, ret->id) ||
           err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
}

static bool make_and_commit(struct custodian *c, const struct registry_intent *intent,
                            struct registry_key *ret, token_handle *ret_handle, struct err *err)
{
    if (make_key(c, intent, ret, ret_handle, err) &&
        registry_intent_commit(c->registry, intent->id, ret, err))
        return true;
    intent_undo(c, intent);
    return false;
}

bool verb_keys_generate(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysGenerateReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_intent intent;
    struct registry_key key;
    token_handle handle = 0;

    TRY(reply);
    keyd__v1__keys_generate_reply__init(reply);
    TRY(intent_of(c, ask, &intent, err));
    TRY(reconcile_intents(c, err));
    TRY(registry_intent_add(c->registry, &intent, err));
    TRY(make_and_commit(c, &intent, &key, &handle, err));
    TRY(publish_key(c, &key, KEY_ENABLED, handle, err));
    reply->key = key_to_wire(c, ask, &key, true, err);
    TRY(reply->key);
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY;
    ret->keys_generate_reply = reply;
    return true;
}
