/* SPDX-License-Identifier: Apache-2.0
 *
 * token-objects: everything in the token, also what keyd does not know.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "proto/base/mem.h"

/* An object's attributes in words are cut by the token room: some 2 KiB as a rule, 6 KiB at most.
 * So a page fits in a frame. */
#define PAGE 150

struct page {
    struct token_object *objects;
    size_t count;
};

static void page_free(struct page *p)
{
    token_objects_free(p->objects, p->count);
}

static char *copy(const struct ask *ask, const char *text, struct err *err)
{
    char *p = arena_dup(ask->arena, text, strlen(text));

    if (!p)
        err_set(err, ERR_TOO_LARGE, "no memory for a list of objects");
    return p;
}

static bool fill_attributes(const struct ask *ask, const struct token_object *from,
                            Keyd__V1__TokenObject *to, struct err *err)
{
    size_t n = from->attribute_count;
    Keyd__V1__TokenAttribute *all = ask_alloc(ask, n * sizeof(*all), err);

    TRY(all);
    to->attributes = ask_alloc(ask, n * sizeof(*to->attributes), err);
    TRY(to->attributes);
    for (size_t i = 0; i < n; i++) {
        keyd__v1__token_attribute__init(&all[i]);
        all[i].name = (char *)from->attributes[i].name; /* a static string */
        TRY(all[i].value = copy(ask, from->attributes[i].value, err));
        to->attributes[i] = &all[i];
    }
    to->n_attributes = n;
    return true;
}

static bool fill_import_key(const struct custodian *c, const struct token_object *from,
                            Keyd__V1__TokenObject *to, struct err *err)
{
    static char name[] = "import key"; /* a blank: no tenant/name */
    struct registry_import_key key;

    if (!registry_import_by_cka_id(c->registry, from->cka_id, from->cka_id_len, &key, err))
        return err->code == ERR_NOT_FOUND;
    to->key = name;
    return true;
}

/* "tenant/name" of the key whose object this is, if keyd knows it. */
static bool fill_key(const struct custodian *c, const struct ask *ask,
                     const struct token_object *from, Keyd__V1__TokenObject *to, struct err *err)
{
    struct registry_key key;

    if (from->cka_id_len == 0)
        return true;
    if (!registry_key_by_cka_id(c->registry, from->cka_id, from->cka_id_len, &key, err))
        return err->code == ERR_NOT_FOUND && fill_import_key(c, from, to, err);
    to->key = arena_printf(ask->arena, "%s/%s", key.tenant, key.name);
    return to->key || err_set(err, ERR_TOO_LARGE, "no memory for a list of objects");
}

static bool fill_object(const struct custodian *c, const struct ask *ask,
                        const struct token_object *from, Keyd__V1__TokenObject **ret,
                        struct err *err)
{
    Keyd__V1__TokenObject *o = ask_alloc(ask, sizeof(*o), err);

    TRY(o);
    keyd__v1__token_object__init(o);
    o->cls = (char *)from->cls; /* a static string */
    TRY(o->label = copy(ask, from->label, err));
    o->cka_id.data = ask_alloc(ask, from->cka_id_len, err);
    TRY(o->cka_id.data);
    memcpy(o->cka_id.data, from->cka_id, from->cka_id_len);
    o->cka_id.len = from->cka_id_len;
    TRY(fill_attributes(ask, from, o, err));
    TRY(fill_key(c, ask, from, o, err));
    *ret = o;
    return true;
}

bool verb_token_objects(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokenObjectsReply *reply = ask_alloc(ask, sizeof(*reply), err);
    CLEANUP(page_free) struct page page = {.objects = NULL};
    uint32_t after = ask->e->token_objects->after;
    size_t total;

    TRY(reply);
    keyd__v1__token_objects_reply__init(reply);
    TRY(token_page_objects(c->token, after, PAGE, &page.objects, &page.count, &total, err));
    reply->objects = ask_alloc(ask, page.count * sizeof(*reply->objects), err);
    TRY(reply->objects);
    for (size_t i = 0; i < page.count; i++)
        TRY(fill_object(c, ask, &page.objects[i], &reply->objects[i], err));
    reply->n_objects = page.count;
    reply->total = (uint32_t)total;
    reply->next = (size_t)after + PAGE < total ? after + PAGE : 0;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_OBJECTS_REPLY;
    ret->token_objects_reply = reply;
    return true;
}
