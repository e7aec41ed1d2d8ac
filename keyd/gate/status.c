/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/status.h"

#include <string.h>

#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"
#include "keyd/gate/dispatch.h"
#include "keyd/process/log.h"
#include "keyd/process/tally.h"
#include "proto/base/clock.h"

#define WAIT_US       1000000
#define PROCESSES_MAX 256
#define EXITS_MAX     64
#define KINDS_MAX     128 /* of refusals */
#define WORDS_MAX     64
#define ASKS_MAX      64 /* at once: each costs every process of keyd a message */

typedef Keyd__V1__StatusReply reply;

/* What a call's answer is made of, as the figures come. */
struct filling {
    reply reply;
    struct tally_sum sums[SCHEME_COUNT]; /* of all signers; by scheme_index */
};

static char *get_str(struct arena *a, struct msg *m)
{
    size_t len;
    const uint8_t *p = msg_get_bytes(m, &len);
    char *s = p ? arena_dup(a, p, len) : NULL;

    if (!s)
        m->body.failed = true;
    return s;
}

static Keyd__V1__SchemeStatus *scheme_status(struct arena *a, const struct scheme *scheme,
                                             const struct tally_sum *sum)
{
    Keyd__V1__SchemeStatus *s = arena_alloc(a, sizeof(*s));

    if (!s)
        return NULL;
    keyd__v1__scheme_status__init(s);
    s->scheme = scheme->code;
    s->name = (char *)scheme->name;
    s->total = sum->took.total;
    s->per_second_10s = (double)sum->rate_10s / 1000;
    s->per_second_60s = (double)sum->rate_60s / 1000;
    s->p50_us = histogram_percentile(&sum->took, 500);
    s->p90_us = histogram_percentile(&sum->took, 900);
    s->p99_us = histogram_percentile(&sum->took, 990);
    return s;
}

static void put_schemes(struct arena *a, struct filling *f)
{
    reply *r = &f->reply;

    r->schemes = arena_alloc(a, SCHEME_COUNT * sizeof(*r->schemes));
    for (size_t i = 0; r->schemes && i < SCHEME_COUNT; i++) {
        if (f->sums[i].took.total == 0)
            continue;
        r->schemes[r->n_schemes] = scheme_status(a, scheme_at(i), &f->sums[i]);
        r->n_schemes += r->schemes[r->n_schemes] != NULL;
    }
}

/* Adds a count under its reason; what has no room is left out. */
static void add_refusal(struct arena *a, reply *r, const char *reason, uint64_t count)
{
    for (size_t i = 0; i < r->n_refusals; i++) {
        if (strcmp(r->refusals[i]->reason, reason) == 0) {
            r->refusals[i]->count += count;
            return;
        }
    }
    if (!r->refusals)
        r->refusals = arena_alloc(a, KINDS_MAX * sizeof(*r->refusals));
    Keyd__V1__Refusal *one = arena_alloc(a, sizeof(*one));
    if (!r->refusals || !one || r->n_refusals == KINDS_MAX)
        return;
    keyd__v1__refusal__init(one);
    one->reason = arena_dup(a, reason, strlen(reason));
    one->count = count;
    if (one->reason)
        r->refusals[r->n_refusals++] = one;
}

static void get_refusals(struct arena *a, reply *r, struct msg *m)
{
    uint32_t n = rd_u32(&m->body);

    for (uint32_t i = 0; i < n && !m->body.failed; i++) {
        char reason[96];

        msg_get_str(m, reason, sizeof(reason));
        uint64_t count = rd_u64(&m->body);
        if (!m->body.failed)
            add_refusal(a, r, reason, count);
    }
}

static void put_own_refusals(const struct gate *g, struct arena *a, reply *r)
{
    char reason[96];
    uint64_t count;

    for (size_t i = 0; refusal_at(&g->refusals, i, reason, sizeof(reason), &count); i++)
        add_refusal(a, r, reason, count);
}

static void finish(struct gate *g, struct call *call)
{
    struct filling *f = call->status;
    envelope answer = KEYD__V1__ENVELOPE__INIT;

    put_schemes(&call->arena, f);
    put_own_refusals(g, &call->arena, &f->reply);
    answer.body_case = KEYD__V1__ENVELOPE__BODY_STATUS_REPLY;
    answer.status_reply = &f->reply;
    call_answer(g, call, &answer);
}

/* A reply with all its parts, to be filled in as answers come. */
static struct filling *new_filling(struct arena *a)
{
    struct filling *f = arena_alloc(a, sizeof(*f));
    Keyd__V1__TokenStatus *token = arena_alloc(a, sizeof(*token));
    Keyd__V1__QueueStatus *queue = arena_alloc(a, sizeof(*queue));

    if (!f || !token || !queue)
        return NULL;
    keyd__v1__status_reply__init(&f->reply);
    keyd__v1__token_status__init(token);
    keyd__v1__queue_status__init(queue);
    f->reply.version = (char *)KEYD_VERSION;
    f->reply.token = token;
    f->reply.queue = queue;
    return f;
}

static bool begin(struct gate *g, struct call *call, struct err *err)
{
    if (g->status_calls.count >= ASKS_MAX) {
        err_set(err, ERR_BUSY, "%d wait for the status already", ASKS_MAX);
        return err_retry(err, WAIT_US / 1000);
    }
    call->status = new_filling(&call->arena);
    if (!call->status)
        return err_set(err, ERR_INTERNAL, "no memory for a status");
    return call_charge(g, call, err);
}

void status_ask(struct gate *g, struct call *call)
{
    struct err err;

    if (!begin(g, call, &err)) {
        call_fail(g, call, &err);
        return;
    }
    if (call->deadline > call->received + WAIT_US)
        call->deadline = call->received + WAIT_US;
    call->status_left = UINT32_MAX; /* until the parent has said how many */
    call_append(&g->status_calls, call);
    chan_put(g->parent, MSG_STATUS_ASK);
    put_u64(g->parent, call->handle);
    chan_end(g->parent);
}

static struct call *asked(struct gate *g, uint64_t ask)
{
    struct call *call = call_find(g, ask);

    return call && call->status ? call : NULL;
}

static void got_one(struct gate *g, struct call *call)
{
    if (call->status_left == 0)
        finish(g, call);
}

/* ---- processes */

static void get_process(struct arena *a, struct msg *m, Keyd__V1__Process *p)
{
    keyd__v1__process__init(p);
    p->name = get_str(a, m);
    p->pid = rd_u32(&m->body);
    p->state = get_str(a, m);
    p->uptime_ms = rd_u64(&m->body);
    p->restarts = rd_u32(&m->body);
    p->last_exit = get_str(a, m);
    p->silent = p->state && strcmp(p->state, "ready") == 0; /* until its figures come */
}

/* These two are not asked: one passes the question on, the other asks it. */
static void not_asked(reply *r)
{
    for (size_t i = 0; i < r->n_processes; i++) {
        if (i == 0 || strcmp(r->processes[i]->name, proc_name(PROC_GATE_CONTROL)) == 0)
            r->processes[i]->silent = false;
    }
}

static void get_processes(struct call *call, struct msg *m)
{
    struct arena *a = &call->arena;
    reply *r = &((struct filling *)call->status)->reply;
    uint32_t n = rd_u32(&m->body);

    if (n == 0 || n > PROCESSES_MAX) {
        m->body.failed = true;
        return;
    }
    Keyd__V1__Process *all = arena_alloc(a, n * sizeof(*all));
    r->processes = arena_alloc(a, n * sizeof(*r->processes));
    for (uint32_t i = 0; all && r->processes && i < n; i++) {
        get_process(a, m, &all[i]);
        r->processes[i] = &all[i];
        r->n_processes = i + 1;
    }
    r->uptime_ms = all ? all[0].uptime_ms : 0; /* the parent comes first */
}

static void get_exits(struct call *call, struct msg *m)
{
    struct arena *a = &call->arena;
    reply *r = &((struct filling *)call->status)->reply;
    uint32_t n = rd_u32(&m->body);

    if (n > EXITS_MAX) {
        m->body.failed = true;
        return;
    }
    Keyd__V1__Exit *all = arena_alloc(a, n * sizeof(*all));
    r->exits = arena_alloc(a, n * sizeof(*r->exits));
    for (uint32_t i = 0; all && r->exits && i < n; i++) {
        keyd__v1__exit__init(&all[i]);
        all[i].at = rd_u64(&m->body);
        all[i].process = get_str(a, m);
        all[i].why = get_str(a, m);
        r->exits[r->n_exits++] = &all[i];
    }
}

void status_on_processes(struct gate *g, struct msg *m)
{
    struct call *call = asked(g, rd_u64(&m->body));
    uint32_t expected = rd_u32(&m->body);

    if (!call)
        return; /* its client is gone */
    get_processes(call, m);
    get_exits(call, m);
    msg_end(m, g->parent);
    not_asked(&((struct filling *)call->status)->reply);
    call->status_left = expected;
    got_one(g, call);
}

/* ---- figures */

static Keyd__V1__Process *find_process(reply *r, enum proc proc, uint32_t index)
{
    char name[32];

    if (proc == PROC_SIGNER)
        snprintf(name, sizeof(name), "signer %u", index);
    else
        snprintf(name, sizeof(name), "%s", proc_name(proc));
    for (size_t i = 0; i < r->n_processes; i++) {
        if (strcmp(r->processes[i]->name, name) == 0)
            return r->processes[i];
    }
    return NULL;
}

static void get_tallies(struct filling *f, struct msg *m)
{
    uint32_t n = rd_u32(&m->body);

    for (uint32_t i = 0; i < n && !m->body.failed; i++) {
        const struct scheme *scheme = scheme_by_code(rd_u32(&m->body));

        if (scheme)
            tally_get(m, &f->sums[scheme_index(scheme)]);
        else
            m->body.failed = true;
    }
}

static void get_signer(struct filling *f, Keyd__V1__Process *p, struct msg *m)
{
    p->signatures = rd_u64(&m->body);
    p->failed = rd_u64(&m->body);
    get_tallies(f, m);
}

static void get_signing_gate(struct arena *a, reply *r, struct msg *m)
{
    r->queue->waiting = rd_u32(&m->body);
    r->queue->at_signers = rd_u32(&m->body);
    r->queue->connections = rd_u32(&m->body);
    r->queue->signed_total = rd_u64(&m->body);
    r->queue->refused_total = rd_u64(&m->body);
    r->queue->busy_total = rd_u64(&m->body);
    r->queue->retried_total = rd_u64(&m->body);
    get_refusals(a, r, m);
}

static void get_words(struct arena *a, struct msg *m, size_t *ret_n, char ***ret)
{
    uint32_t n = rd_u32(&m->body);

    if (n > WORDS_MAX) {
        m->body.failed = true;
        return;
    }
    char **words = arena_alloc(a, n * sizeof(*words));
    uint32_t got = 0;
    while (words && got < n && (words[got] = get_str(a, m)) != NULL)
        got++;
    *ret_n = got;
    *ret = words;
}

static void get_custodian(struct arena *a, reply *r, struct msg *m)
{
    r->tenants = rd_u32(&m->body);
    r->keys = rd_u32(&m->body);
    r->keys_missing = rd_u32(&m->body);
    r->token->label = get_str(a, m);
    r->token->manufacturer = get_str(a, m);
    r->token->model = get_str(a, m);
    r->token->serial = get_str(a, m);
    r->token->module = get_str(a, m);
    get_words(a, m, &r->token->n_key_types, &r->token->key_types);
    get_words(a, m, &r->token->n_notes, &r->token->notes);
}

static void get_figures(struct arena *a, struct filling *f, enum proc proc, Keyd__V1__Process *p,
                        struct msg *m)
{
    if (proc == PROC_SIGNER)
        get_signer(f, p, m);
    else if (proc == PROC_GATE_SIGNING)
        get_signing_gate(a, &f->reply, m);
    else
        get_custodian(a, &f->reply, m);
}

/* The parent passes figures on without a look: nonsense is the sender's, which is then as good as
 * silent. What was read of it by then stays: that is only told, nothing depends on it. */
void status_on_stats(struct gate *g, struct msg *m)
{
    struct call *call = asked(g, rd_u64(&m->body));
    enum proc proc = (enum proc)rd_u8(&m->body);
    uint32_t index = rd_u32(&m->body);

    if (!call || call->status_left == 0)
        return;
    struct filling *f = call->status;
    Keyd__V1__Process *p = find_process(&f->reply, proc, index);
    if (p)
        get_figures(&call->arena, f, proc, p, m);
    if (p && rd_end(&m->body))
        p->silent = false;
    else
        log_line(LOG_LEVEL_WARNING, "the figures of the %s make no sense", proc_name(proc));
    call->status_left--;
    got_one(g, call);
}

void status_check_time(struct gate *g)
{
    uint64_t now = clock_us();

    for (struct call *call = g->status_calls.first, *next; call; call = next) {
        next = call->next;
        if (now >= call->deadline)
            finish(g, call);
    }
}

void status_report(struct gate *g, uint64_t ask)
{
    struct chan *p = g->parent;

    chan_put(p, MSG_STATS);
    put_u64(p, ask);
    put_u8(p, (uint8_t)g->self);
    put_u32(p, 0);
    put_u32(p, (uint32_t)g->queue.count);
    put_u32(p, (uint32_t)dispatch_at_servers(g));
    put_u32(p, conn_count(g));
    put_u64(p, g->counters.signed_total);
    put_u64(p, g->counters.refused_total);
    put_u64(p, g->counters.busy_total);
    put_u64(p, g->counters.retried_total);
    refusals_put(p, &g->refusals);
    chan_end(p);
}
