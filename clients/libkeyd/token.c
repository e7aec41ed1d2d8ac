/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"

/* ---- token-bench */

static void copy_generations(struct result *r, const Keyd__V1__TokenBenchReply *from,
                             struct keyd_bench *b)
{
    struct keyd_bench_generation *g = result_room(r, from->n_generations * sizeof(*g));

    for (size_t i = 0; g && i < from->n_generations; i++) {
        const Keyd__V1__BenchGeneration *f = from->generations[i];

        g[i] = (struct keyd_bench_generation){
            .type = (int)f->type, .keys = f->keys, .p50_us = f->p50_us, .max_us = f->max_us};
    }
    b->generations = g;
    b->generation_count = g ? from->n_generations : 0;
}

static void copy_rates(struct result *r, const Keyd__V1__TokenBenchReply *from,
                       struct keyd_bench *b)
{
    struct keyd_bench_rate *c = result_room(r, from->n_rates * sizeof(*c));

    for (size_t i = 0; c && i < from->n_rates; i++) {
        const Keyd__V1__BenchRate *f = from->rates[i];

        c[i] = (struct keyd_bench_rate){.type = (int)f->type,
                                        .scheme = f->scheme,
                                        .signers = f->signers,
                                        .per_second = f->per_second,
                                        .p50_us = f->p50_us,
                                        .p99_us = f->p99_us};
    }
    b->rates = c;
    b->rate_count = c ? from->n_rates : 0;
}

static void copy_tried(struct result *r, const Keyd__V1__TokenBenchReply *from,
                       struct keyd_bench *b)
{
    struct keyd_bench_tried *t = result_room(r, from->n_tried * sizeof(*t));

    for (size_t i = 0; t && i < from->n_tried; i++) {
        const Keyd__V1__BenchTried *f = from->tried[i];

        t[i] = (struct keyd_bench_tried){.type = (int)f->type,
                                         .scheme = f->scheme,
                                         .name = result_str(r, f->name),
                                         .error = result_str(r, f->error)};
    }
    b->tried = t;
    b->tried_count = t ? from->n_tried : 0;
}

static void copy_advice(struct result *r, const Keyd__V1__TokenBenchReply *from,
                        struct keyd_bench *b)
{
    b->advice = result_room(r, from->n_advice * sizeof(*b->advice));
    for (size_t i = 0; b->advice && i < from->n_advice; i++)
        b->advice[i] = result_str(r, from->advice[i]);
    b->advice_count = b->advice ? from->n_advice : 0;
}

static bool token_bench(struct keyd_client *client, unsigned seconds, struct result *r,
                        struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__TokenBench body = KEYD__V1__TOKEN_BENCH__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.seconds = seconds;
    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH;
    request.token_bench = &body;
    TRY(call_one(client, JOB_READING, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH_REPLY, &a, &reply, err));
    const Keyd__V1__TokenBenchReply *from = reply->token_bench_reply;
    struct keyd_bench *b = result_add(r);
    if (!b)
        return result_ok(r, err);
    copy_generations(r, from, b);
    copy_rates(r, from, b);
    copy_tried(r, from, b);
    copy_advice(r, from, b);
    b->signers = from->signers;
    b->cores = from->cores;
    b->cut_short = result_str(r, from->cut_short);
    return result_ok(r, err);
}

int keyd_token_bench(struct keyd_client *client, unsigned seconds, struct keyd_bench **ret,
                     struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_bench));
    struct err err = {0};
    bool ok = token_bench(client, seconds, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_token_bench_free(struct keyd_bench *old)
{
    result_free_items(old);
}

/* ---- pin-change */

static bool pin_change(struct keyd_client *client, struct result *r, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__PinChange body = KEYD__V1__PIN_CHANGE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_PIN_CHANGE;
    request.pin_change = &body;
    TRY(call_one(client, JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_PIN_CHANGE_REPLY, &a, &reply, err));
    struct keyd_pin_change *c = result_add(r);
    if (c) {
        c->file = result_str(r, reply->pin_change_reply->file);
        c->given = reply->pin_change_reply->given;
    }
    return result_ok(r, err);
}

int keyd_pin_change(struct keyd_client *client, struct keyd_pin_change **ret,
                    struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_pin_change));
    struct err err = {0};
    bool ok = pin_change(client, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_pin_change_free(struct keyd_pin_change *old)
{
    result_free_items(old);
}
