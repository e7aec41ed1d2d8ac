/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

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

void result_add_object(struct result *r, const Keyd__V1__TokenObject *from)
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

void result_add_finding(struct result *r, const Keyd__V1__Finding *from)
{
    struct keyd_finding *f = result_add(r);

    if (!f)
        return;
    f->severity = (int)from->severity;
    f->kind = result_str(r, from->kind);
    f->object = result_str(r, from->object);
    f->cka_id = result_bytes(r, from->cka_id, &f->cka_id_len);
    f->text = result_str(r, from->text);
    f->advice = result_str(r, from->advice);
}

static bool token_objects(struct keyd_client *client, struct result *objects,
                          struct result *findings, struct arena *a, struct err *err)
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
            result_add_object(objects, page->objects[i]);
        for (size_t i = 0; i < page->n_findings; i++)
            result_add_finding(findings, page->findings[i]);
        if (page->next && page->next <= body.after)
            return err_set(err, ERR_INTERNAL, "keyd's list of objects does not come to an end");
        body.after = page->next;
    } while (body.after);
    return result_ok(objects, err) && result_ok(findings, err);
}

/* The worst first; then what belongs together, together. */
static int by_severity(const void *a, const void *b)
{
    const struct keyd_finding *x = a, *y = b;

    if (x->severity != y->severity)
        return y->severity - x->severity;
    int order = strcmp(x->object, y->object);
    return order ? order : strcmp(x->kind, y->kind);
}

int keyd_token_objects(struct keyd_client *client, struct keyd_object **ret, size_t *ret_count,
                       struct keyd_finding **ret_findings, size_t *ret_finding_count,
                       struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result objects CLEANUP(result_free) = result_of(sizeof(struct keyd_object));
    struct result findings CLEANUP(result_free) = result_of(sizeof(struct keyd_finding));
    struct err err = {0};
    bool ok = token_objects(client, &objects, &findings, &a, &err);

    if (ok) {
        *ret = result_take(&objects);
        *ret_count = objects.count;
    }
    if (ok && ret_findings) {
        *ret_findings = result_take(&findings);
        *ret_finding_count = findings.count;
        qsort(*ret_findings, findings.count, sizeof(**ret_findings), by_severity);
    }
    return call_result(ok, &err, error);
}

void keyd_objects_free(struct keyd_object *objects, size_t count)
{
    (void)count;
    result_free_items(objects);
}

void keyd_findings_free(struct keyd_finding *findings, size_t count)
{
    (void)count;
    result_free_items(findings);
}

/* ---- sweep */

static bool token_sweep(struct keyd_client *client, Keyd__V1__TokenSweep *body, struct result *r,
                        struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP;
    request.token_sweep = body;
    TRY(call_one(client, body->n_fragments ? JOB_CHANGE : JOB_READING, call_deadline(client),
                 &request, KEYD__V1__ENVELOPE__BODY_TOKEN_SWEEP_REPLY, &a, &reply, err));
    const Keyd__V1__TokenSweepReply *answer = reply->token_sweep_reply;
    for (size_t i = 0; i < answer->n_fragments; i++) {
        struct keyd_fragment *f = result_add(r);

        if (!f)
            break;
        f->id = result_bytes(r, answer->fragments[i]->id, &f->id_len);
        f->what = result_str(r, answer->fragments[i]->what);
    }
    return result_ok(r, err);
}

int keyd_token_sweep(struct keyd_client *client, const struct keyd_fragment *sweep,
                     size_t sweep_count, struct keyd_fragment **ret, size_t *ret_count,
                     struct keyd_error *error)
{
    Keyd__V1__TokenSweep body = KEYD__V1__TOKEN_SWEEP__INIT;
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_fragment));
    AUTO_FREE ProtobufCBinaryData *ids = mem_array(sweep_count, sizeof(*ids));
    struct err err = {0};

    for (size_t i = 0; ids && i < sweep_count; i++)
        ids[i] = (ProtobufCBinaryData){.data = sweep[i].id, .len = sweep[i].id_len};
    body.fragments = ids;
    body.n_fragments = sweep_count;
    bool ok = ids ? token_sweep(client, &body, &r, &err)
                  : err_set(&err, ERR_INTERNAL, "no memory for a list of fragments");
    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

void keyd_fragments_free(struct keyd_fragment *fragments, size_t count)
{
    (void)count;
    result_free_items(fragments);
}
