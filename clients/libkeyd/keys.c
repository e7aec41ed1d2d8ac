/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static char **copy_names(struct result *r, char *const *from, size_t count)
{
    char **names = result_room(r, count * sizeof(*names));

    for (size_t i = 0; names && i < count; i++)
        names[i] = result_str(r, from[i]);
    return names;
}

bool result_add_key(struct result *r, const Keyd__V1__Key *from, struct err *err)
{
    struct keyd_key *k = result_add(r);

    if (!k)
        return result_ok(r, err);
    if (!from || from->id.len != KEYD_KEY_ID_LEN)
        return err_set(err, ERR_INTERNAL, "keyd's answer holds a key without an id of %d bytes",
                       KEYD_KEY_ID_LEN);
    memcpy(k->id, from->id.data, KEYD_KEY_ID_LEN);
    k->tenant = result_str(r, from->tenant);
    k->name = result_str(r, from->name);
    k->type = (int)from->type;
    k->purposes = from->purposes;
    k->state = (int)from->state;
    k->created = from->created;
    k->adopted = from->adopted;
    k->spki = result_bytes(r, from->spki, &k->spki_len);
    k->cka_id = result_bytes(r, from->cka_id, &k->cka_id_len);
    if (from->n_allowed_names > 0)
        k->allowed_names = copy_names(r, from->allowed_names, from->n_allowed_names);
    k->allowed_name_count = k->allowed_names ? from->n_allowed_names : 0;
    return result_ok(r, err);
}

/* ---- generate */

static bool keys_generate(struct keyd_client *client, Keyd__V1__KeysGenerate *body,
                          struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE;
    request.keys_generate = body;
    TRY(call_one(client, JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY, &a, &reply, err));
    return result_add_key(r, reply->keys_generate_reply->key, err);
}

int keyd_keys_generate(struct keyd_client *client, const char *tenant, const char *name, int type,
                       const struct keyd_key_rules *rules, struct keyd_key **ret,
                       struct keyd_error *error)
{
    const struct keyd_key_rules defaults = {0}, *with = rules ? rules : &defaults;
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_key));
    struct err err = {0};

    body.tenant = (char *)tenant;
    body.name = (char *)name;
    body.type = (Keyd__V1__KeyType)type;
    body.purposes = with->purposes;
    body.allowed_names = (char **)(uintptr_t)with->allowed_names;
    body.n_allowed_names = with->allowed_name_count;
    bool ok = keys_generate(client, &body, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

/* ---- list */

static bool keys_list(struct keyd_client *client, const char *tenant, struct result *r,
                      struct arena *a, struct err *err)
{
    Keyd__V1__KeysList body = KEYD__V1__KEYS_LIST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint64_t deadline = call_deadline(client);
    struct cursor next = {0};
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_LIST;
    request.keys_list = &body;
    if (tenant)
        body.tenant = (char *)tenant;
    do {
        body.after = next.at;
        TRY(call_one(client, JOB_READING, deadline, &request,
                     KEYD__V1__ENVELOPE__BODY_KEYS_LIST_REPLY, a, &reply, err));
        const Keyd__V1__KeysListReply *page = reply->keys_list_reply;
        for (size_t i = 0; i < page->n_keys; i++)
            TRY(result_add_key(r, page->keys[i], err));
        TRY(cursor_move(&next, page->next, page->n_keys, err));
    } while (next.at[0]);
    return result_ok(r, err);
}

int keyd_keys_list(struct keyd_client *client, const char *tenant, struct keyd_key **ret,
                   size_t *ret_count, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_key));
    struct err err = {0};
    bool ok = keys_list(client, tenant, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

/* ---- show */

static bool keys_show(struct keyd_client *client, const char *key, struct result *r,
                      struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__KeysShow body = KEYD__V1__KEYS_SHOW__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.key = (char *)key;
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_SHOW;
    request.keys_show = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_KEYS_SHOW_REPLY, &a, &reply, err));
    return result_add_key(r, reply->keys_show_reply->key, err);
}

int keyd_keys_show(struct keyd_client *client, const char *key, struct keyd_key **ret,
                   struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_key));
    struct err err = {0};
    bool ok = keys_show(client, key, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

/* ---- disable, enable, destroy */

/* Three verbs of one form: a key goes there and comes back. */
static int change(struct keyd_client *client, envelope *request, Keyd__V1__Envelope__BodyCase want,
                  struct keyd_key **ret, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_key));
    const envelope *reply = NULL;
    struct err err = {0};
    bool ok = call_one(client, JOB_CHANGE, call_deadline(client), request, want, &a, &reply, &err);

    if (ok && want == KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY)
        ok = result_add_key(&r, reply->keys_disable_reply->key, &err);
    else if (ok && want == KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE_REPLY)
        ok = result_add_key(&r, reply->keys_enable_reply->key, &err);
    else if (ok)
        ok = result_add_key(&r, reply->keys_destroy_reply->key, &err);
    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

int keyd_keys_disable(struct keyd_client *client, const char *key, struct keyd_key **ret,
                      struct keyd_error *error)
{
    Keyd__V1__KeysDisable body = KEYD__V1__KEYS_DISABLE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;

    body.key = (char *)key;
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE;
    request.keys_disable = &body;
    return change(client, &request, KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE_REPLY, ret, error);
}

int keyd_keys_enable(struct keyd_client *client, const char *key, struct keyd_key **ret,
                     struct keyd_error *error)
{
    Keyd__V1__KeysEnable body = KEYD__V1__KEYS_ENABLE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;

    body.key = (char *)key;
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE;
    request.keys_enable = &body;
    return change(client, &request, KEYD__V1__ENVELOPE__BODY_KEYS_ENABLE_REPLY, ret, error);
}

int keyd_keys_destroy(struct keyd_client *client, const char *key, struct keyd_key **ret,
                      struct keyd_error *error)
{
    Keyd__V1__KeysDestroy body = KEYD__V1__KEYS_DESTROY__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;

    body.key = (char *)key;
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY;
    request.keys_destroy = &body;
    return change(client, &request, KEYD__V1__ENVELOPE__BODY_KEYS_DESTROY_REPLY, ret, error);
}

void keyd_keys_free(struct keyd_key *keys, size_t count)
{
    (void)count;
    result_free_items(keys);
}

/* ---- certificate signing requests */

static bool create_csr(struct keyd_client *client, Keyd__V1__CreateCsr *body, char **ret_pem,
                       struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_CREATE_CSR;
    request.create_csr = body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_CREATE_CSR_REPLY, &a, &reply, err));
    char *pem = mem_str(reply->create_csr_reply->pem);
    if (!pem)
        return err_set(err, ERR_INTERNAL, "no memory for a CSR");
    *ret_pem = pem;
    return true;
}

int keyd_create_csr(struct keyd_client *client, const char *key, const char *subject,
                    const char *const *sans, size_t san_count, char **ret_pem,
                    struct keyd_error *error)
{
    Keyd__V1__CreateCsr body = KEYD__V1__CREATE_CSR__INIT;
    struct err err = {0};

    body.key = (char *)key;
    body.subject = (char *)subject;
    body.n_san = san_count;
    body.san = (char **)sans;
    return call_result(create_csr(client, &body, ret_pem, &err), &err, error);
}
