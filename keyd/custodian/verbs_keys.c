/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "proto/base/mem.h"

#define PAGE 500

static Keyd__V1__KeyState state_of(const struct custodian *c, const uint8_t id[KEY_ID_LEN])
{
    const struct table_key *key = table_find(&c->table, id);

    /* the numbers are the same, see below */
    return key ? (Keyd__V1__KeyState)key->state : KEYD__V1__KEY_STATE__KEY_STATE_MISSING;
}

_Static_assert((int)KEY_ENABLED == (int)KEYD__V1__KEY_STATE__KEY_STATE_ENABLED &&
                   (int)KEY_MISSING == (int)KEYD__V1__KEY_STATE__KEY_STATE_MISSING &&
                   (int)KEY_DISABLED == (int)KEYD__V1__KEY_STATE__KEY_STATE_DISABLED &&
                   (int)KEY_DESTROYED == (int)KEYD__V1__KEY_STATE__KEY_STATE_DESTROYED,
               "states as on the wire");

static bool copy_names(const struct ask *ask, const char *text, Keyd__V1__Key *ret, struct err *err)
{
    struct allowed_names allowed;

    TRY(allowed_names_of(text, &allowed, err));
    if (allowed.names.count == 0)
        return true;
    ret->allowed_names = ask_alloc(ask, allowed.names.count * sizeof(*ret->allowed_names), err);
    TRY(ret->allowed_names);
    for (size_t i = 0; i < allowed.names.count; i++)
        TRY(ask_text(ask, allowed.list[i], &ret->allowed_names[i], err));
    ret->n_allowed_names = allowed.names.count;
    return true;
}

static bool fill(const struct ask *ask, const struct registry_key *key, bool whole,
                 Keyd__V1__Key *ret, struct err *err)
{
    TRY(ask_bytes(ask, key->id, sizeof(key->id), &ret->id, err));
    TRY(ask_text(ask, key->tenant, &ret->tenant, err));
    TRY(ask_text(ask, key->name, &ret->name, err));
    ret->type = (Keyd__V1__KeyType)key->type;
    ret->purposes = key->purposes;
    ret->created = key->created;
    ret->adopted = key->adopted;
    TRY(copy_names(ask, key->allowed_names, ret, err));
    if (!whole)
        return true;
    TRY(ask_bytes(ask, key->spki, key->spki_len, &ret->spki, err));
    return ask_bytes(ask, key->cka_id, key->cka_id_len, &ret->cka_id, err);
}

Keyd__V1__Key *key_to_wire(const struct custodian *c, const struct ask *ask,
                           const struct registry_key *key, bool whole, struct err *err)
{
    Keyd__V1__Key *k = ask_alloc(ask, sizeof(*k), err);

    if (!k)
        return NULL;
    keyd__v1__key__init(k);
    k->state = state_of(c, key->id);
    return fill(ask, key, whole, k, err) ? k : NULL;
}

bool verb_keys_show(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__KeysShowReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_key key;

    TRY(reply);
    keyd__v1__keys_show_reply__init(reply);
    TRY(scope_key(c, ask, ask->e->keys_show->key, &key, err));
    reply->key = key_to_wire(c, ask, &key, true, err);
    TRY(reply->key);
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_SHOW_REPLY;
    ret->keys_show_reply = reply;
    return true;
}

static bool fill_list(const struct custodian *c, const struct ask *ask,
                      const struct registry_key *rows, size_t count, bool more,
                      Keyd__V1__KeysListReply *reply, struct err *err)
{
    reply->keys = ask_alloc(ask, count * sizeof(*reply->keys), err);
    TRY(reply->keys);
    for (size_t i = 0; i < count; i++)
        TRY(reply->keys[i] = key_to_wire(c, ask, &rows[i], false, err));
    reply->n_keys = count;
    if (!more)
        return true;
    const struct registry_key *last = &rows[count - 1];
    reply->next = arena_printf(ask->arena, "%s/%s", last->tenant, last->name);
    return reply->next || err_set(err, ERR_TOO_LARGE, "no memory for a list");
}

bool verb_keys_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    const Keyd__V1__KeysList *request = ask->e->keys_list;
    Keyd__V1__KeysListReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE struct registry_key *rows = mem_array(PAGE, sizeof(*rows));
    size_t count;
    const char *tenant = *request->tenant ? request->tenant : scope_within(ask);
    bool more;

    TRY(reply);
    if (!rows)
        return err_set(err, ERR_INTERNAL, "no memory for a list");
    keyd__v1__keys_list_reply__init(reply);
    if (*tenant)
        TRY(scope_tenant(ask, tenant, err));
    TRY(registry_key_list(c->registry, tenant, request->after, rows, PAGE, &count, &more, err));
    TRY(fill_list(c, ask, rows, count, more, reply, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_KEYS_LIST_REPLY;
    ret->keys_list_reply = reply;
    return true;
}
