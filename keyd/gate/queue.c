/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/queue.h"

#include "keyd/gate/call.h"
#include "proto/base/mem.h"

struct principal *queue_principal(struct queue *q, enum role role, uint32_t uid)
{
    for (struct principal *p = q->principals; p; p = p->next) {
        if (p->role == role && p->uid == uid)
            return p;
    }
    struct principal *p = mem_new(sizeof(*p));
    if (!p)
        return NULL;
    *p = (struct principal){.role = role, .uid = uid, .next = q->principals};
    q->principals = p;
    return p;
}

/* The ring is circular, and its last one is known: behind it is the place of a newcomer, and its
 * ring_next is served next. */
static void enter_ring(struct queue *q, struct principal *p)
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

static void leave_ring(struct queue *q, struct principal *p)
{
    struct principal *before = q->ring_last;

    while (before->ring_next != p)
        before = before->ring_next;
    before->ring_next = p->ring_next;
    if (q->ring_last == p)
        q->ring_last = before == p ? NULL : before;
    p->ring_next = NULL;
}

static void count_in(struct queue *q, struct call *call)
{
    q->count++;
    q->urgent += call->urgent;
    call->principal->waiting_us += call->cost_us;
    enter_ring(q, call->principal);
}

void queue_push(struct queue *q, struct call *call)
{
    call_append(&call->principal->waiting, call);
    count_in(q, call);
}

void queue_push_back(struct queue *q, struct call *call)
{
    call_prepend(&call->principal->waiting, call);
    count_in(q, call);
}

void queue_remove(struct queue *q, struct call *call)
{
    call_take_out(call);
    q->count--;
    q->urgent -= call->urgent;
    call->principal->waiting_us -= call->cost_us;
    if (call->principal->waiting.count == 0)
        leave_ring(q, call->principal);
}

struct call *queue_pop(struct queue *q)
{
    if (!q->ring_last)
        return NULL;
    struct principal *p = q->ring_last->ring_next;
    struct call *call = p->waiting.first;
    q->ring_last = p; /* the one behind p is next, if p stays */
    queue_remove(q, call);
    return call;
}

bool queue_has_of(const struct principal *p, const struct conn *conn)
{
    for (const struct call *call = p->waiting.first; call; call = call->next)
        if (call->conn == conn && !call->urgent)
            return true;
    return false;
}

static struct call *first_urgent(const struct queue *q)
{
    for (const struct principal *p = q->principals; p && q->urgent > 0; p = p->next)
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

uint64_t queue_work_before(const struct queue *q, const struct principal *p)
{
    uint64_t turns = p->waiting.count + 1, us = 0;

    for (const struct principal *other = q->principals; other; other = other->next) {
        uint64_t count = other->waiting.count;

        if (count > turns) /* its calls cost about the same */
            us += other->waiting_us / count * turns;
        else
            us += other->waiting_us;
    }
    return us;
}

bool queue_full(const struct queue *q, const struct principal *p, uint32_t limit)
{
    uint32_t connected = 0;

    if (q->count < limit)
        return false;
    for (const struct principal *other = q->principals; other; other = other->next)
        connected += other->connections > 0;
    return p->waiting.count >= limit / (connected ? connected : 1);
}
