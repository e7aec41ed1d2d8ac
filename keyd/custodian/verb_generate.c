/* SPDX-License-Identifier: Apache-2.0
 *
 * keys-generate: intent, token, durable, commit, publish (design D4). Killed anywhere on the way,
 * the intent that is left names the object that may be there, and reconcile takes both away; once
 * the commit is through, the key is there for good.
 */
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"

#define CKA_ID_FORMAT 0x01 /* of our CKA_IDs: this byte, the purposes, the intent's id */

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

static bool purposes_known(uint32_t purposes, struct err *err)
{
    char names[128];

    if ((purposes & ~(uint32_t)PURPOSES_ALL) == 0)
        return true;
    err_set(err, ERR_BAD_REQUEST, "unknown purposes 0x%x", purposes & ~(uint32_t)PURPOSES_ALL);
    return err_hint(err, "known are %s", purposes_text(PURPOSES_ALL, names, sizeof(names)));
}

static bool copy_name(const char *name, const char *what, char ret[NAME_MAX_LEN + 1],
                      struct err *err)
{
    TRY(name_check(name, what, err));
    memcpy(ret, name, strlen(name) + 1);
    return true;
}

/* The intent of a request, checked; its CKA_ID names it. */
static bool intent_of(const struct custodian *c, const Keyd__V1__KeysGenerate *request,
                      struct registry_intent *ret, struct err *err)
{
    struct registry_intent i = {.verb = "keys-generate", .type = (enum key_type)request->type};

    TRY(copy_name(request->tenant, "tenant", i.tenant, err));
    TRY(copy_name(request->name, "key", i.name, err));
    TRY(type_known(c, (uint32_t)request->type, err));
    TRY(purposes_known(request->purposes, err));
    i.purposes = request->purposes ? request->purposes : PURPOSES_DEFAULT;
    if (getrandom(i.id, sizeof(i.id), 0) != (ssize_t)sizeof(i.id))
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    i.cka_id[0] = CKA_ID_FORMAT;
    i.cka_id[1] = (uint8_t)i.purposes;
    memcpy(i.cka_id + 2, i.id, sizeof(i.id));
    i.cka_id_len = 2 + sizeof(i.id);
    *ret = i;
    return true;
}

/* The key in the token: made, durable, and found to be what it should be. */
static bool make_key(struct custodian *c, const struct registry_intent *i, struct registry_key *ret,
                     token_handle *ret_handle, struct err *err)
{
    char label[TOKEN_LABEL_MAX];

    snprintf(label, sizeof(label), "keyd/%s/%s", i->tenant, i->name);
    *ret = (struct registry_key){.type = i->type,
                                 .purposes = i->purposes,
                                 .state = REGISTRY_KEY_ENABLED,
                                 .cka_id_len = i->cka_id_len,
                                 .spki_len = sizeof(ret->spki)};
    memcpy(ret->tenant, i->tenant, sizeof(ret->tenant));
    memcpy(ret->name, i->name, sizeof(ret->name));
    memcpy(ret->cka_id, i->cka_id, sizeof(ret->cka_id));
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
    struct err ignored;

    if (make_key(c, intent, ret, ret_handle, err) &&
        registry_intent_commit(c->registry, intent->id, ret, err))
        return true;
    /* what does not work now is tried again before the next one is made, and at our next start */
    if (!reconcile_intents(c, &ignored))
        custodian_note(c, "the unfinished key %s/%s could not be removed: %s", intent->tenant,
                       intent->name, ignored.text);
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
    TRY(intent_of(c, ask->e->keys_generate, &intent, err));
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
