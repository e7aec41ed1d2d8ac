/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static struct keyd_attribute *copy_attributes(struct result *r, const Keyd__V1__TokenObject *from)
{
    struct keyd_attribute *a = result_room(r, from->n_attributes * sizeof(*a));

    for (size_t i = 0; a && i < from->n_attributes; i++) {
        a[i].name = result_str(r, from->attributes[i]->name);
        a[i].value = result_str(r, from->attributes[i]->value);
    }
    return a;
}

static void add_object(struct result *r, const Keyd__V1__TokenObject *from)
{
    struct keyd_object *o = result_add(r);

    if (!o)
        return;
    o->cls = result_str(r, from->cls);
    o->label = result_str(r, from->label);
    o->cka_id = result_bytes(r, from->cka_id, &o->cka_id_len);
    o->key = result_str(r, from->key);
    o->attributes = copy_attributes(r, from);
    o->attribute_count = o->attributes ? from->n_attributes : 0;
}

static bool token_objects(struct keyd_client *client, struct result *r, struct arena *a,
                          struct err *err)
{
    Keyd__V1__TokenObjects body = KEYD__V1__TOKEN_OBJECTS__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint64_t deadline = call_deadline(client);
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS;
    request.token_objects = &body;
    do {
        TRY(call_one(client, JOB_READING, deadline, &request,
                     KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY, a, &reply, err));
        const Keyd__V1__TokenObjectsReply *page = reply->token_objects_reply;
        for (size_t i = 0; i < page->n_objects; i++)
            add_object(r, page->objects[i]);
        if (page->next && page->next <= body.after)
            return err_set(err, ERR_INTERNAL, "keyd's list of objects does not come to an end");
        body.after = page->next;
    } while (body.after);
    return result_ok(r, err);
}

int keyd_token_objects(struct keyd_client *client, struct keyd_object **ret, size_t *ret_count,
                       struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_object));
    struct err err = {0};
    bool ok = token_objects(client, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

void keyd_objects_free(struct keyd_object *objects, size_t count)
{
    (void)count;
    result_free_items(objects);
}
