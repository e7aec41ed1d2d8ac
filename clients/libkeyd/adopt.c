/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

struct adopted {
    struct result key, object, findings;
};

static void adopted_free(struct adopted *a)
{
    result_free(&a->key);
    result_free(&a->object);
    result_free(&a->findings);
}

static bool take(struct adopted *a, const Keyd__V1__KeysAdoptReply *reply, bool look,
                 struct err *err)
{
    if (!look)
        TRY(result_add_key(&a->key, reply->key, err));
    if (!reply->object)
        return err_set(err, ERR_INTERNAL, "keyd's answer holds no object");
    result_add_object(&a->object, reply->object);
    for (size_t i = 0; i < reply->n_findings; i++)
        result_add_finding(&a->findings, reply->findings[i]);
    return result_ok(&a->key, err) && result_ok(&a->object, err) && result_ok(&a->findings, err);
}

static bool keys_adopt(struct keyd_client *client, Keyd__V1__KeysAdopt *body, struct adopted *ret,
                       struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT;
    request.keys_adopt = body;
    TRY(call_one(client, body->look ? JOB_READING : JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_KEYS_ADOPT_REPLY, &a, &reply, err));
    return take(ret, reply->keys_adopt_reply, body->look, err);
}

int keyd_keys_adopt(struct keyd_client *client, const struct keyd_adopt *what,
                    struct keyd_key **ret_key, struct keyd_object **ret_object,
                    struct keyd_finding **ret_findings, size_t *ret_finding_count,
                    struct keyd_error *error)
{
    Keyd__V1__KeysAdopt body = KEYD__V1__KEYS_ADOPT__INIT;
    struct adopted a CLEANUP(adopted_free) = {.key = result_of(sizeof(struct keyd_key)),
                                              .object = result_of(sizeof(struct keyd_object)),
                                              .findings = result_of(sizeof(struct keyd_finding))};
    struct err err = {0};

    body.object = (char *)what->object;
    body.tenant = (char *)what->tenant;
    body.name = (char *)what->name;
    body.purposes = what->rules.purposes;
    body.allowed_names = (char **)(uintptr_t)what->rules.allowed_names;
    body.n_allowed_names = what->rules.allowed_name_count;
    body.accept = (char **)what->accept;
    body.n_accept = what->accept_count;
    body.look = what->look != 0;
    bool ok = keys_adopt(client, &body, &a, &err);
    if (ok) {
        *ret_key = body.look ? NULL : result_take(&a.key);
        *ret_object = result_take(&a.object);
        *ret_findings = result_take(&a.findings);
        *ret_finding_count = a.findings.count;
    }
    return call_result(ok, &err, error);
}
