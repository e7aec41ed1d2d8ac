/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static bool tenants_add(struct keyd_client *client, const char *name, struct arena *a,
                        struct err *err)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.tenant = (char *)name;
    request.body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_ADD;
    request.tenants_add = &body;
    return call_one(client, JOB_CHANGE, call_deadline(client), &request,
                    KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY, a, &reply, err);
}

int keyd_tenants_add(struct keyd_client *client, const char *name, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct err err = {0};

    return call_result(tenants_add(client, name, &a, &err), &err, error);
}

static void add_tenant(struct result *r, const Keyd__V1__Tenant *from)
{
    struct keyd_tenant *t = result_add(r);

    if (!t)
        return;
    t->name = result_str(r, from->name);
    t->created = from->created;
    t->keys = from->keys;
}

static bool tenants_list(struct keyd_client *client, struct result *r, struct arena *a,
                         struct err *err)
{
    Keyd__V1__TenantsList body = KEYD__V1__TENANTS_LIST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint64_t deadline = call_deadline(client);
    struct cursor next = {0};
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_LIST;
    request.tenants_list = &body;
    do {
        body.after = next.at;
        TRY(call_one(client, JOB_READING, deadline, &request,
                     KEYD__V1__ENVELOPE__BODY_TENANTS_LIST_REPLY, a, &reply, err));
        const Keyd__V1__TenantsListReply *page = reply->tenants_list_reply;
        for (size_t i = 0; i < page->n_tenants; i++)
            add_tenant(r, page->tenants[i]);
        TRY(cursor_move(&next, page->next, page->n_tenants, err));
    } while (next.at[0]);
    return result_ok(r, err);
}

int keyd_tenants_list(struct keyd_client *client, struct keyd_tenant **ret, size_t *ret_count,
                      struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_tenant));
    struct err err = {0};
    bool ok = tenants_list(client, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

void keyd_tenants_free(struct keyd_tenant *tenants, size_t count)
{
    (void)count;
    result_free_items(tenants);
}
