/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static void copy_principal(struct result *r, const Keyd__V1__Principal *from,
                           struct keyd_principal *to)
{
    *to = (struct keyd_principal){.name = result_str(r, from->name),
                                  .role = (int)from->role,
                                  .tenant = result_str(r, from->tenant),
                                  .group = result_str(r, from->group),
                                  .proof = result_str(r, from->proof),
                                  .connections = from->connections};
}

static bool no_principal(struct err *err)
{
    return err_set(err, ERR_INTERNAL, "keyd's answer names no principal");
}

/* ---- whoami */

static bool whoami(struct keyd_client *client, struct result *r, struct arena *a, struct err *err)
{
    Keyd__V1__Whoami body = KEYD__V1__WHOAMI__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;
    struct keyd_whoami *w = result_add(r);

    request.body_case = KEYD__V1__ENVELOPE__BODY_WHOAMI;
    request.whoami = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_WHOAMI_REPLY, a, &reply, err));
    const Keyd__V1__WhoamiReply *from = reply->whoami_reply;
    if (!from->principal)
        return no_principal(err);
    if (w) {
        copy_principal(r, from->principal, &w->principal);
        w->may = result_strs(r, from->may, from->n_may, &w->may_count);
    }
    return result_ok(r, err);
}

int keyd_whoami(struct keyd_client *client, struct keyd_whoami **ret, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_whoami));
    struct err err = {0};
    bool ok = whoami(client, &r, &a, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_whoami_free(struct keyd_whoami *whoami)
{
    result_free_items(whoami);
}

/* ---- principals-list */

static bool principals_list(struct keyd_client *client, struct result *r, struct arena *a,
                            struct err *err)
{
    Keyd__V1__PrincipalsList body = KEYD__V1__PRINCIPALS_LIST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_PRINCIPALS_LIST;
    request.principals_list = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_PRINCIPALS_LIST_REPLY, a, &reply, err));
    const Keyd__V1__PrincipalsListReply *from = reply->principals_list_reply;
    for (size_t i = 0; i < from->n_principals; i++) {
        struct keyd_principal *p = result_add(r);

        if (p)
            copy_principal(r, from->principals[i], p);
    }
    return result_ok(r, err);
}

int keyd_principals_list(struct keyd_client *client, struct keyd_principal **ret, size_t *ret_count,
                         struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_principal));
    struct err err = {0};
    bool ok = principals_list(client, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

void keyd_principals_free(struct keyd_principal *principals, size_t count)
{
    (void)count;
    result_free_items(principals);
}

/* ---- config-test */

static void copy_keys(struct result *r, const Keyd__V1__ConfigTestReply *from,
                      struct keyd_config_test *t)
{
    struct keyd_granted_key *k = result_room(r, from->n_keys * sizeof(*k));

    for (size_t i = 0; k && i < from->n_keys; i++) {
        const Keyd__V1__GrantedKey *f = from->keys[i];

        k[i] = (struct keyd_granted_key){.key = result_str(r, f->key),
                                         .type = (int)f->type,
                                         .state = (int)f->state,
                                         .purposes = f->purposes};
    }
    t->keys = k;
    t->key_count = k ? from->n_keys : 0;
    t->keys_total = from->keys_total;
}

static bool config_test(struct keyd_client *client, const char *principal, struct result *r,
                        struct arena *a, struct err *err)
{
    Keyd__V1__ConfigTest body = KEYD__V1__CONFIG_TEST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;
    struct keyd_config_test *t = result_add(r);

    body.principal = (char *)(principal ? principal : "");
    request.body_case = KEYD__V1__ENVELOPE__BODY_CONFIG_TEST;
    request.config_test = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_CONFIG_TEST_REPLY, a, &reply, err));
    const Keyd__V1__ConfigTestReply *from = reply->config_test_reply;
    if (!from->principal)
        return no_principal(err);
    if (t) {
        copy_principal(r, from->principal, &t->principal);
        copy_keys(r, from, t);
        t->missing = result_strs(r, from->missing, from->n_missing, &t->missing_count);
    }
    return result_ok(r, err);
}

int keyd_config_test(struct keyd_client *client, const char *principal,
                     struct keyd_config_test **ret, struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_config_test));
    struct err err = {0};
    bool ok = config_test(client, principal, &r, &a, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_config_test_free(struct keyd_config_test *test)
{
    result_free_items(test);
}
