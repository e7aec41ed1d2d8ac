/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

struct question {
    const uint8_t *message;
    size_t message_len;
    const char *key, *principal;
    uint16_t scheme;
};

static bool explain(struct keyd_client *client, const struct question *q, struct result *r,
                    int *ret_signs, struct arena *a, struct err *err)
{
    Keyd__V1__Explain body = KEYD__V1__EXPLAIN__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.message = (ProtobufCBinaryData){.len = q->message_len, .data = (uint8_t *)q->message};
    body.key = (char *)q->key;
    body.scheme = q->scheme;
    body.principal = (char *)(q->principal ? q->principal : "");
    request.body_case = KEYD__V1__ENVELOPE__BODY_EXPLAIN;
    request.explain = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_EXPLAIN_REPLY, a, &reply, err));
    const Keyd__V1__ExplainReply *from = reply->explain_reply;
    for (size_t i = 0; i < from->n_steps; i++) {
        struct keyd_explain_step *s = result_add(r);

        if (s)
            *s = (struct keyd_explain_step){.what = result_str(r, from->steps[i]->what),
                                            .passes = from->steps[i]->passes,
                                            .why = result_str(r, from->steps[i]->why)};
    }
    *ret_signs = from->signs;
    return result_ok(r, err);
}

int keyd_explain(struct keyd_client *client, const uint8_t *message, size_t message_len,
                 const char *key, uint16_t scheme, const char *principal,
                 struct keyd_explain_step **ret, size_t *ret_count, int *ret_signs,
                 struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_explain_step));
    const struct question q = {message, message_len, key, principal, scheme};
    struct err err = {0};
    int signs = 0;
    bool ok = explain(client, &q, &r, &signs, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
        *ret_signs = signs;
    }
    return call_result(ok, &err, error);
}

void keyd_explain_free(struct keyd_explain_step *steps, size_t count)
{
    (void)count;
    result_free_items(steps);
}
