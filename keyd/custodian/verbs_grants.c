/* SPDX-License-Identifier: Apache-2.0
 *
 * grants-add, grants-list, grants-remove: which frontend may use which key, for which purposes.
 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "proto/base/mem.h"

#define PAGE            500
#define GRANTED_DEFAULT (PURPOSE_TLS13_SERVER | PURPOSE_TLS12_SERVER)

static Keyd__V1__Grant *to_wire(const struct ask *ask, const struct registry_grant *g,
                                struct err *err)
{
    Keyd__V1__Grant *w = ask_alloc(ask, sizeof(*w), err);

    if (!w)
        return NULL;
    keyd__v1__grant__init(w);
    w->id = g->id;
    w->purposes = g->purposes;
    w->created = g->created;
    w->principal = arena_printf(ask->arena, "%s", g->principal);
    w->group = arena_printf(ask->arena, "%s", g->group);
    w->key = arena_printf(ask->arena, "%s%s%s", *g->key_name ? g->tenant : "",
                          *g->key_name ? "/" : "", g->key_name);
    w->tenant = arena_printf(ask->arena, "%s", *g->key_name ? "" : g->tenant);
    if (w->principal && w->group && w->key && w->tenant)
        return w;
    err_set(err, ERR_TOO_LARGE, "no memory for a grant");
    return NULL;
}

/* ---- grants-add */

/* One of two: sets `which` to 0 or 1. */
static bool one_of(const char *a, const char *b, const char *words, struct err *err)
{
    return (*a == '\0') != (*b == '\0') ||
           err_set(err, ERR_BAD_REQUEST, "a grant names %s, one of the two", words);
}

static bool grantee_of(const Keyd__V1__GrantsAdd *r, struct registry_grant *g, struct err *err)
{
    TRY(one_of(r->principal, r->group, "a principal or a group", err));
    TRY(name_check(*r->principal ? r->principal : r->group, *r->principal ? "principal" : "group",
                   err));
    memcpy(*r->principal ? g->principal : g->group, *r->principal ? r->principal : r->group,
           strlen(*r->principal ? r->principal : r->group) + 1);
    return true;
}

static bool granted_of(struct custodian *c, const struct ask *ask, struct registry_grant *g,
                       struct err *err)
{
    const Keyd__V1__GrantsAdd *r = ask->e->grants_add;
    struct registry_key key;
    char names[128];

    TRY(one_of(r->key, r->tenant, "a key or a tenant", err));
    if (*r->tenant) {
        TRY(scope_tenant(ask, r->tenant, err));
        memcpy(g->tenant, r->tenant, strlen(r->tenant) + 1);
        return true;
    }
    TRY(scope_key(c, ask, r->key, &key, err));
    if (!(key.purposes & g->purposes)) {
        err_set(err, ERR_CONFLICT, "the key %s/%s was made for %s alone", key.tenant, key.name,
                purposes_text(key.purposes, names, sizeof(names)));
        return err_hint(err, "a key's purposes are fixed when it is made");
    }
    memcpy(g->tenant, key.tenant, sizeof(g->tenant));
    memcpy(g->key_name, key.name, sizeof(g->key_name));
    memcpy(g->key, key.id, sizeof(g->key));
    return true;
}

static bool purposes_of(uint32_t wanted, struct registry_grant *g, struct err *err)
{
    char names[128];

    g->purposes = wanted ? wanted : GRANTED_DEFAULT;
    if (!(g->purposes & ~(uint32_t)PURPOSES_TLS))
        return true;
    err_set(err, ERR_BAD_REQUEST, "a grant is for frontends, and they sign TLS alone");
    return err_hint(err, "purposes to grant: %s",
                    purposes_text(PURPOSES_TLS, names, sizeof(names)));
}

bool verb_grants_add(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__GrantsAddReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_grant grant = {.id = 0};

    TRY(reply);
    keyd__v1__grants_add_reply__init(reply);
    TRY(grantee_of(ask->e->grants_add, &grant, err));
    TRY(purposes_of(ask->e->grants_add->purposes, &grant, err));
    TRY(granted_of(c, ask, &grant, err));
    TRY(registry_grant_add(c->registry, &grant, err));
    TRY(access_publish(c, err));
    TRY(reply->grant = to_wire(ask, &grant, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_ADD_REPLY;
    ret->grants_add_reply = reply;
    return true;
}

/* ---- grants-list */

struct filter {
    const char *principal;
    const char *within; /* a tenant; empty: any */
    bool by_key;
    struct registry_key key;
};

static bool filter_of(struct custodian *c, const struct ask *ask, struct filter *ret,
                      struct err *err)
{
    const Keyd__V1__GrantsList *r = ask->e->grants_list;

    *ret = (struct filter){
        .principal = r->principal, .within = scope_within(ask), .by_key = *r->key != '\0'};
    return !ret->by_key || scope_key(c, ask, r->key, &ret->key, err);
}

static bool fits(const struct filter *f, const struct registry_grant *g)
{
    if (*f->within && strcmp(g->tenant, f->within) != 0)
        return false;
    if (*f->principal && strcmp(g->principal, f->principal) != 0 &&
        strcmp(g->group, f->principal) != 0)
        return false;
    if (!f->by_key)
        return true;
    return *g->key_name ? memcmp(g->key, f->key.id, sizeof(g->key)) == 0
                        : strcmp(g->tenant, f->key.tenant) == 0;
}

bool verb_grants_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__GrantsListReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE struct registry_grant *rows = NULL;
    struct filter filter;
    size_t count;

    TRY(reply);
    keyd__v1__grants_list_reply__init(reply);
    TRY(filter_of(c, ask, &filter, err));
    TRY(registry_grant_list(c->registry, &rows, &count, err));
    TRY(reply->grants = ask_alloc(ask, PAGE * sizeof(*reply->grants), err));
    for (size_t i = 0; i < count; i++) {
        if (rows[i].id <= ask->e->grants_list->after || !fits(&filter, &rows[i]))
            continue;
        if (reply->n_grants == PAGE) {
            reply->next = reply->grants[PAGE - 1]->id;
            break;
        }
        TRY(reply->grants[reply->n_grants++] = to_wire(ask, &rows[i], err));
    }
    ret->body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_LIST_REPLY;
    ret->grants_list_reply = reply;
    return true;
}

/* ---- grants-remove */

bool verb_grants_remove(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__GrantsRemoveReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_grant grant;

    TRY(reply);
    keyd__v1__grants_remove_reply__init(reply);
    TRY(registry_grant_remove(c->registry, ask->e->grants_remove->id, &grant, err));
    TRY(access_publish(c, err));
    TRY(reply->grant = to_wire(ask, &grant, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_REMOVE_REPLY;
    ret->grants_remove_reply = reply;
    return true;
}
