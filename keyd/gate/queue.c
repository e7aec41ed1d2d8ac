/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/queue.h"

#include <string.h>

#include "keyd/gate/call.h"
#include "proto/base/mem.h"

#define TURN_MIN_US 10  /* so that no line is passed by too often before its first call is paid */
#define AHEAD       750 /* of a thousand parts of what servers do may go ahead */
#define LATELY_US   10000000 /* whoever asked for much is reckoned with for so long */

/* The group, too: it decides what is granted, and two rules may give one name two groups. */
static bool same(const struct principal *a, const struct principal *b)
{
    return a->role == b->role && strcmp(a->name, b->name) == 0 &&
           strcmp(a->tenant, b->tenant) == 0 && strcmp(a->group, b->group) == 0;
}

struct line *queue_line(struct queue *q, const struct principal *who)
{
    struct line *line = q->lines;

    while (line && !same(&line->who, who))
        line = line->next;
    if (!line) {
        line = mem_new(sizeof(*line));
        if (!line)
            return NULL;
        line->who = *who;
        line->next = q->lines;
        q->lines = line;
    }
    return line;
}

/* The ring is circular, and its last one is known: behind it is the place of a newcomer, and its
 * ring_next is served next. */
static void enter_ring(struct queue *q, struct line *p)
{
    if (p->ring_next)
        return;
    if (q->ring_last) {
        p->ring_next = q->ring_last->ring_next;
        q->ring_last->ring_next = p;
    } else {
        p->ring_next = p;
    }
    q->ring_last = p;
}

static void leave_ring(struct queue *q, struct line *p)
{
    struct line *before = q->ring_last;

    while (before->ring_next != p)
        before = before->ring_next;
    before->ring_next = p->ring_next;
    if (q->ring_last == p)
        q->ring_last = before == p ? NULL : before;
    p->ring_next = NULL;
    p->credit_us = 0;
    p->in_turn = false;
}

static void count_busy(struct queue *q, struct line *p)
{
    bool busy = p->waiting.count > 0 || p->at_servers_us > 0;

    q->busy += (uint32_t)busy - (uint32_t)p->busy;
    p->busy = busy;
}

static void count_in(struct queue *q, struct call *call)
{
    uint32_t turn = call->cost_us > TURN_MIN_US ? call->cost_us : TURN_MIN_US;

    if (q->count == 0 || turn < q->turn_us)
        q->turn_us = turn;
    q->count++;
    q->urgent += call->urgent;
    call->line->waiting_us += call->cost_us;
    enter_ring(q, call->line);
    count_busy(q, call->line);
}

static void mark_crowd(struct queue *q, const struct call *call)
{
    const struct line *p = call->line;

    if (p->waiting_us + p->at_servers_us < QUEUE_LITTLE_US)
        return;
    if (q->crowder && q->crowder != p)
        q->crowded_until = call->received + LATELY_US;
    q->crowder = p;
}

void queue_push(struct queue *q, struct call *call)
{
    mark_crowd(q, call);
    call_append(&call->line->waiting, call);
    count_in(q, call);
}

bool queue_crowded(const struct queue *q, uint64_t now)
{
    return now < q->crowded_until;
}

void queue_push_back(struct queue *q, struct call *call)
{
    call_prepend(&call->line->waiting, call);
    count_in(q, call);
}

void queue_remove(struct queue *q, struct call *call)
{
    call_take_out(call);
    q->count--;
    q->urgent -= call->urgent;
    call->line->waiting_us -= call->cost_us;
    if (call->line->waiting.count == 0)
        leave_ring(q, call->line);
    count_busy(q, call->line);
}

void queue_at_server(struct queue *q, struct call *call)
{
    call->line->at_servers_us += call->cost_us;
    count_busy(q, call->line);
}

void queue_from_server(struct queue *q, struct call *call)
{
    call->line->at_servers_us -= call->cost_us;
    count_busy(q, call->line);
}

/* The line whose turn it is: each turn is worth the cheapest call that waited lately, and a line is
 * served when it has saved enough for its first call. */
static struct line *take_turns(struct queue *q)
{
    for (;;) {
        struct line *p = q->ring_last->ring_next;
        uint32_t cost = p->waiting.first->cost_us;

        if (p->ring_next == p)
            return p; /* nobody else waits */
        p->credit_us += p->in_turn ? 0 : q->turn_us;
        p->in_turn = p->credit_us >= cost;
        if (p->in_turn)
            return p;
        q->ring_last = p;
    }
}

struct call *queue_next(struct queue *q)
{
    return q->ring_last ? take_turns(q)->waiting.first : NULL;
}

bool queue_may_go_ahead(const struct queue *q, struct line *p, uint32_t servers, uint64_t now)
{
    uint64_t elapsed = now - p->ahead_at, full_ns = QUEUE_LITTLE_US * 1000;
    uint64_t ns_each_us = AHEAD * servers / (q->busy ? q->busy : 1);

    p->ahead_at = now;
    if (elapsed > 1000000 || p->ahead_ns + (int64_t)(elapsed * ns_each_us) > (int64_t)full_ns)
        p->ahead_ns = (int64_t)full_ns;
    else
        p->ahead_ns += (int64_t)(elapsed * ns_each_us);
    return p->ahead_ns > 0 && p->at_servers_us < QUEUE_LITTLE_US;
}

void queue_went_ahead(const struct call *call)
{
    call->line->ahead_ns -= (int64_t)call->cost_us * 1000;
}

struct call *queue_next_ahead(const struct queue *q, uint32_t servers, uint64_t now)
{
    struct line *p = q->ring_last;

    if (!p)
        return NULL;
    do {
        p = p->ring_next;
        if (queue_may_go_ahead(q, p, servers, now))
            return p->waiting.first;
    } while (p != q->ring_last);
    return NULL;
}

struct call *queue_pop(struct queue *q)
{
    struct call *call = queue_next(q);

    if (!call)
        return NULL;
    if (call->line->ring_next != call->line) /* alone it pays nothing */
        call->line->credit_us -= call->cost_us;
    queue_remove(q, call);
    return call;
}

bool queue_has_of(const struct line *p, const struct conn *conn)
{
    for (const struct call *call = p->waiting.first; call; call = call->next)
        if (call->conn == conn && !call->urgent)
            return true;
    return false;
}

static struct call *first_urgent(const struct queue *q)
{
    for (const struct line *p = q->lines; p && q->urgent > 0; p = p->next)
        for (struct call *call = p->waiting.first; call; call = call->next)
            if (call->urgent)
                return call;
    return NULL;
}

struct call *queue_pop_urgent(struct queue *q)
{
    struct call *call = first_urgent(q);

    if (call)
        queue_remove(q, call);
    return call;
}

/* ---- what a newcomer meets */

uint64_t queue_work_before(const struct queue *q, const struct line *p, uint32_t cost_us)
{
    uint64_t mine = p->waiting_us + cost_us, us = p->waiting_us;

    for (const struct line *other = q->lines; other; other = other->next) {
        if (other != p)
            us += other->waiting_us < mine ? other->waiting_us : mine;
    }
    return us;
}

bool queue_full(const struct queue *q, const struct line *p, uint32_t limit)
{
    uint32_t connected = 0;

    if (q->count < limit)
        return false;
    for (const struct line *other = q->lines; other; other = other->next)
        connected += other->connections > 0;
    return p->waiting.count >= limit / (connected ? connected : 1);
}
