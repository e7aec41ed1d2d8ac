/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "keyd/custodian/internal.h"
#include "proto/base/mem.h"

#define PAGE 500

static Keyd__V1__Tenant *tenant_to_wire(const struct ask *ask, const struct registry_tenant *row,
                                        struct err *err)
{
    Keyd__V1__Tenant *t = ask_alloc(ask, sizeof(*t) + sizeof(row->name), err);

    if (!t)
        return NULL;
    keyd__v1__tenant__init(t);
    t->name = (char *)(t + 1);
    memcpy(t->name, row->name, sizeof(row->name));
    t->created = row->created;
    t->keys = row->keys;
    return t;
}

bool verb_tenants_add(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TenantsAddReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_tenant row;

    TRY(reply);
    keyd__v1__tenants_add_reply__init(reply);
    TRY(registry_tenant_add(c->registry, ask->e->tenants_add->tenant, &row, err));
    reply->tenant = tenant_to_wire(ask, &row, err);
    TRY(reply->tenant);
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY;
    ret->tenants_add_reply = reply;
    return true;
}

/* Who is bound to a tenant sees that one alone. */
static bool read_page(struct custodian *c, const struct ask *ask, struct registry_tenant *rows,
                      size_t *ret_count, bool *ret_more, struct err *err)
{
    const char *within = scope_within(ask), *after = ask->e->tenants_list->after;

    if (!*within)
        return registry_tenant_list(c->registry, after, rows, PAGE, ret_count, ret_more, err);
    *ret_more = false;
    *ret_count = strcmp(within, after) > 0;
    return !*ret_count || registry_tenant_find(c->registry, within, rows, err);
}

bool verb_tenants_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TenantsListReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE struct registry_tenant *rows = mem_array(PAGE, sizeof(*rows));
    size_t count;
    bool more;

    TRY(reply);
    if (!rows)
        return err_set(err, ERR_INTERNAL, "no memory for a list");
    keyd__v1__tenants_list_reply__init(reply);
    TRY(read_page(c, ask, rows, &count, &more, err));
    reply->tenants = ask_alloc(ask, count * sizeof(*reply->tenants), err);
    TRY(reply->tenants);
    for (size_t i = 0; i < count; i++)
        TRY(reply->tenants[i] = tenant_to_wire(ask, &rows[i], err));
    reply->n_tenants = count;
    if (more)
        reply->next = reply->tenants[count - 1]->name;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_LIST_REPLY;
    ret->tenants_list_reply = reply;
    return true;
}
