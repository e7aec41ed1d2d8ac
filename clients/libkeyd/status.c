/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

static void copy_processes(struct result *r, const Keyd__V1__StatusReply *from,
                           struct keyd_status *s)
{
    struct keyd_process *p = result_room(r, from->n_processes * sizeof(*p));

    for (size_t i = 0; p && i < from->n_processes; i++) {
        const Keyd__V1__Process *f = from->processes[i];

        p[i] = (struct keyd_process){.name = result_str(r, f->name),
                                     .pid = f->pid,
                                     .state = result_str(r, f->state),
                                     .uptime_ms = f->uptime_ms,
                                     .restarts = f->restarts,
                                     .last_exit = result_str(r, f->last_exit),
                                     .signatures = f->signatures,
                                     .failed = f->failed,
                                     .silent = f->silent};
    }
    s->processes = p;
    s->process_count = p ? from->n_processes : 0;
}

static void copy_schemes(struct result *r, const Keyd__V1__StatusReply *from, struct keyd_status *s)
{
    struct keyd_scheme_status *c = result_room(r, from->n_schemes * sizeof(*c));

    for (size_t i = 0; c && i < from->n_schemes; i++) {
        const Keyd__V1__SchemeStatus *f = from->schemes[i];

        c[i] = (struct keyd_scheme_status){.scheme = f->scheme,
                                           .name = result_str(r, f->name),
                                           .total = f->total,
                                           .per_second_10s = f->per_second_10s,
                                           .per_second_60s = f->per_second_60s,
                                           .p50_us = f->p50_us,
                                           .p90_us = f->p90_us,
                                           .p99_us = f->p99_us};
    }
    s->schemes = c;
    s->scheme_count = c ? from->n_schemes : 0;
}

static void copy_exits(struct result *r, const Keyd__V1__StatusReply *from, struct keyd_status *s)
{
    struct keyd_exit *e = result_room(r, from->n_exits * sizeof(*e));

    for (size_t i = 0; e && i < from->n_exits; i++) {
        const Keyd__V1__Exit *f = from->exits[i];

        e[i] = (struct keyd_exit){
            .process = result_str(r, f->process), .at = f->at, .why = result_str(r, f->why)};
    }
    s->exits = e;
    s->exit_count = e ? from->n_exits : 0;
}

static void copy_refusals(struct result *r, const Keyd__V1__StatusReply *from,
                          struct keyd_status *s)
{
    struct keyd_refusal *all = result_room(r, from->n_refusals * sizeof(*all));

    for (size_t i = 0; all && i < from->n_refusals; i++)
        all[i] = (struct keyd_refusal){.reason = result_str(r, from->refusals[i]->reason),
                                       .count = from->refusals[i]->count};
    s->refusals = all;
    s->refusal_count = all ? from->n_refusals : 0;
}

static void copy_token(struct result *r, const Keyd__V1__TokenStatus *from, struct keyd_status *s)
{
    s->token.label = result_str(r, from->label);
    s->token.manufacturer = result_str(r, from->manufacturer);
    s->token.model = result_str(r, from->model);
    s->token.serial = result_str(r, from->serial);
    s->token.module = result_str(r, from->module);
    s->token.key_types =
        result_strs(r, from->key_types, from->n_key_types, &s->token.key_type_count);
    s->token.notes = result_strs(r, from->notes, from->n_notes, &s->token.note_count);
}

static void copy_queue(const Keyd__V1__QueueStatus *from, struct keyd_status *s)
{
    s->queue.waiting = from->waiting;
    s->queue.at_signers = from->at_signers;
    s->queue.connections = from->connections;
    s->queue.signed_total = from->signed_total;
    s->queue.refused_total = from->refused_total;
    s->queue.busy_total = from->busy_total;
    s->queue.retried_total = from->retried_total;
}

/* A part that keyd left out (its process is away) is empty, never NULL. */
static void copy_status(struct result *r, const Keyd__V1__StatusReply *from)
{
    static const Keyd__V1__TokenStatus no_token = KEYD__V1__TOKEN_STATUS__INIT;
    static const Keyd__V1__QueueStatus no_queue = KEYD__V1__QUEUE_STATUS__INIT;
    struct keyd_status *s = result_add(r);

    if (!s)
        return;
    s->version = result_str(r, from->version);
    s->uptime_ms = from->uptime_ms;
    copy_processes(r, from, s);
    copy_token(r, from->token ? from->token : &no_token, s);
    copy_queue(from->queue ? from->queue : &no_queue, s);
    s->tenants = from->tenants;
    s->keys = from->keys;
    s->keys_missing = from->keys_missing;
    copy_schemes(r, from, s);
    copy_exits(r, from, s);
    copy_refusals(r, from, s);
}

static bool status(struct keyd_client *client, struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__Status body = KEYD__V1__STATUS__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_STATUS;
    request.status = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_STATUS_REPLY, &a, &reply, err));
    copy_status(r, reply->status_reply);
    return result_ok(r, err);
}

int keyd_status(struct keyd_client *client, struct keyd_status **ret, struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_status));
    struct err err = {0};
    bool ok = status(client, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_status_free(struct keyd_status *old)
{
    result_free_items(old);
}
