/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static bool add_grant(struct result *r, const Keyd__V1__Grant *from, struct err *err)
{
    struct keyd_grant *g = result_add(r);

    if (!from)
        return err_set(err, ERR_INTERNAL, "keyd's answer names no grant");
    if (g)
        *g = (struct keyd_grant){.id = from->id,
                                 .principal = result_str(r, from->principal),
                                 .group = result_str(r, from->group),
                                 .key = result_str(r, from->key),
                                 .tenant = result_str(r, from->tenant),
                                 .purposes = from->purposes,
                                 .created = from->created};
    return true;
}

static char *text(const char *s)
{
    return (char *)(s ? s : "");
}

/* Asks, with an answer that holds one grant. */
static bool ask_one(struct keyd_client *client, const envelope *request,
                    Keyd__V1__Envelope__BodyCase want, struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    const envelope *reply;

    TRY(call_one(client, JOB_CHANGE, call_deadline(client), request, want, &a, &reply, err));
    TRY(add_grant(r,
                  want == KEYD__V1__ENVELOPE__BODY_GRANTS_ADD_REPLY
                      ? reply->grants_add_reply->grant
                      : reply->grants_remove_reply->grant,
                  err));
    return result_ok(r, err);
}

int keyd_grants_add(struct keyd_client *client, const char *principal, const char *group,
                    const char *key, const char *tenant, uint32_t purposes, struct keyd_grant **ret,
                    struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_grant));
    Keyd__V1__GrantsAdd body = KEYD__V1__GRANTS_ADD__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    struct err err = {0};

    body.principal = text(principal);
    body.group = text(group);
    body.key = text(key);
    body.tenant = text(tenant);
    body.purposes = purposes;
    request.body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_ADD;
    request.grants_add = &body;
    bool ok = ask_one(client, &request, KEYD__V1__ENVELOPE__BODY_GRANTS_ADD_REPLY, &r, &err);
    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

int keyd_grants_remove(struct keyd_client *client, uint64_t id, struct keyd_grant **ret,
                       struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_grant));
    Keyd__V1__GrantsRemove body = KEYD__V1__GRANTS_REMOVE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    struct err err = {0};

    body.id = id;
    request.body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_REMOVE;
    request.grants_remove = &body;
    bool ok = ask_one(client, &request, KEYD__V1__ENVELOPE__BODY_GRANTS_REMOVE_REPLY, &r, &err);
    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

static bool grants_list(struct keyd_client *client, const char *principal, const char *key,
                        struct result *r, struct arena *a, struct err *err)
{
    Keyd__V1__GrantsList body = KEYD__V1__GRANTS_LIST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint64_t deadline = call_deadline(client);
    const envelope *reply;

    body.principal = text(principal);
    body.key = text(key);
    request.body_case = KEYD__V1__ENVELOPE__BODY_GRANTS_LIST;
    request.grants_list = &body;
    do {
        TRY(call_one(client, JOB_READING, deadline, &request,
                     KEYD__V1__ENVELOPE__BODY_GRANTS_LIST_REPLY, a, &reply, err));
        const Keyd__V1__GrantsListReply *page = reply->grants_list_reply;
        for (size_t i = 0; i < page->n_grants; i++)
            TRY(add_grant(r, page->grants[i], err));
        if (page->next && page->next <= body.after)
            return err_set(err, ERR_INTERNAL, "keyd's list of grants does not come to an end");
        body.after = page->next;
    } while (body.after);
    return result_ok(r, err);
}

int keyd_grants_list(struct keyd_client *client, const char *principal, const char *key,
                     struct keyd_grant **ret, size_t *ret_count, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_grant));
    struct err err = {0};
    bool ok = grants_list(client, principal, key, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

void keyd_grants_free(struct keyd_grant *grants, size_t count)
{
    (void)count;
    result_free_items(grants);
}
