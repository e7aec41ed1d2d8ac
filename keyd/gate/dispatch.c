/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/dispatch.h"

#include <string.h>
#include <unistd.h>

#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"
#include "keyd/gate/keys.h"
#include "keyd/gate/queue.h"
#include "keyd/gate/who.h"
#include "keyd/process/log.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define BUDGET_US      1000 /* of work at a server, and as much again of what goes ahead; */
#define BUDGET_DEEP_US 8000 /* as long as one principal alone has more than a little in hand */
#define RETRY_MAX_MS   10000u
#define LAST_READS     16
#define STRIKES_MAX    2
#define URGENT_MAX     32           /* at the custodian, which takes 256 */
#ifndef CUSTODIAN_TIMEOUT_MS        /* (a test has less) */
#define CUSTODIAN_TIMEOUT_MS 120000 /* RSA generation may take long; a hang takes for ever */
#endif
#define LEARN          8 /* a new measurement counts for one in eight, */
#define LEARN_MAX      4 /* and for no more than four times what was known */
#define LEARN_SLACK_US 1000

static bool has_signers(const struct gate *g)
{
    return g->self == PROC_GATE_SIGNING;
}

static bool is_up(const struct link *l)
{
    return l->chan.fd >= 0 && !l->overdue;
}

static uint32_t servers_up(const struct gate *g)
{
    uint32_t n = 0;

    for (size_t i = 0; i < g->link_count; i++)
        n += is_up(&g->links[i]);
    return n;
}

size_t dispatch_at_servers(const struct gate *g)
{
    size_t n = 0;

    for (size_t i = 0; i < g->link_count; i++)
        n += g->links[i].calls.count;
    return n;
}

/* ---- admission */

/* Without a server nobody knows how long it takes: a call may wait for one until its deadline. And
 * whatever a server that has nothing to do would need, it may try: an estimate that has become too
 * high can be mended in no other way. */
static bool need_not_wait(const struct gate *g, uint32_t servers)
{
    if (!servers)
        return true;
    for (size_t i = 0; i < g->link_count && g->queue.count == 0; i++) {
        if (is_up(&g->links[i]) && g->links[i].calls.count == 0)
            return true;
    }
    return false;
}

static bool refuse_busy(struct err *err, uint64_t wait_us)
{
    uint64_t ms = wait_us / 1000 + 1;

    return err_retry(err, ms < RETRY_MAX_MS ? (uint32_t)ms : RETRY_MAX_MS);
}

bool dispatch_admit(const struct gate *g, const struct call *call, struct err *err)
{
    uint32_t servers = servers_up(g);
    uint64_t work = queue_work_before(&g->queue, call->line, call->cost_us);
    uint64_t wait = (work + call->line->at_servers_us) / (servers ? servers : 1);

    if (queue_full(&g->queue, call->line, g->limits.queue)) {
        err_set(err, ERR_BUSY, "%zu calls wait, and no more may", g->queue.count);
        err_hint(err, "raise [limits] queue, or add signers");
        return refuse_busy(err, wait);
    }
    wait += call->cost_us;
    if (need_not_wait(g, servers) || call->received + wait <= call->deadline)
        return true;
    err_set(err, ERR_BUSY, "about %llu ms of work wait, the deadline is %llu ms",
            (unsigned long long)wait / 1000,
            (unsigned long long)(call->deadline - call->received) / 1000);
    return refuse_busy(err, wait);
}

/* What takes away goes to the custodian while that is still busy, and is the next that it does
 * (custodian/request.c). Only not before what its own connection has asked for earlier. */
void dispatch_enqueue(struct gate *g, struct call *call)
{
    call->urgent =
        verb_takes_away(call->request->body_case) && !queue_has_of(call->line, call->conn);
    queue_push(&g->queue, call);
}

/* ---- grants that have changed */

/* What its principal was granted when it came may be gone: then no signature leaves for it, be it
 * made already. */
static void judge_again(struct gate *g, struct call *call)
{
    struct line *line = conn_line(call->conn); /* he may be in another group now */
    uint32_t purposes = who_granted(g, line, call->key) & role_purposes(line->who.role);
    bool waits = call->list == &call->line->waiting;
    struct err err;

    if (!(call->purposes & ~purposes))
        return;
    call->purposes &= purposes;
    if (waits && call->purposes)
        return; /* the signer sees for what */
    keys_unknown(&call->request->sign->key_id, &err);
    if (waits) {
        queue_remove(&g->queue, call);
        call_fail(g, call, &err);
    } else {
        call_cut(g, call, &err);
    }
}

void dispatch_judge_again(struct gate *g)
{
    for (size_t i = 0; i < g->call_slots; i++) {
        struct call *call = g->calls[i];

        if (call->request && call->key && call->conn && call->list)
            judge_again(g, call);
    }
}

/* ---- handing over */

static void put_call(struct link *l, const struct call *call)
{
    const Keyd__V1__Sign *sign = call->request->sign;
    struct chan *c = &l->chan;

    if (c->peer == PROC_SIGNER) {
        chan_put(c, call->ahead ? MSG_SIGN_AHEAD : MSG_SIGN);
        put_u64(c, call->handle);
        put_raw(c, sign->key_id.data, KEY_ID_LEN);
        put_u32(c, call->purposes);
        put_u32(c, sign->scheme);
        put_bytes(c, sign->message.data, sign->message.len);
    } else {
        uint64_t now = clock_us();

        chan_put(c, MSG_REQUEST);
        put_u64(c, call->handle);
        put_str(c, call->line->who.name);
        put_u32(c, call->line->who.role);
        put_str(c, call->line->who.tenant);
        put_u32(c, now < call->deadline ? (uint32_t)((call->deadline - now) / 1000) : 0);
        put_bytes(c, call->raw, call->raw_len);
    }
    chan_end(c);
}

static void hand_over(struct gate *g, struct link *l, struct call *call)
{
    if (l->calls.count == 0)
        l->head_since = clock_us();
    put_call(l, call);
    call_append(&l->calls, call);
    l->cost_us += call->cost_us;
    l->ahead_us += call->ahead ? call->cost_us : 0;
    queue_at_server(&g->queue, call);
    if (call->ahead)
        queue_went_ahead(call);
}

static void take_back(struct gate *g, struct link *l, struct call *call)
{
    call_take_out(call);
    l->cost_us -= call->cost_us;
    l->ahead_us -= call->ahead ? call->cost_us : 0;
    queue_from_server(&g->queue, call);
}

/* A call is suspect when a server died or overstayed while it had it. */
static bool has_suspect(const struct link *l)
{
    return l->calls.first && l->calls.first->strikes > 0;
}

/* What the call would stand behind: of what goes ahead nothing but its like, and what is at work.
 */
static uint64_t work_before(const struct link *l, const struct call *call)
{
    if (!call->ahead)
        return l->cost_us;
    return l->ahead_us + (l->calls.first ? l->calls.first->cost_us : 0);
}

static bool may_take(const struct link *l, const struct call *call, uint64_t budget)
{
    if (!is_up(l) || l->leaving)
        return false;
    if (l->calls.count == 0)
        return true;
    if (call->strikes || has_suspect(l))
        return false;
    return (call->ahead ? l->ahead_us : l->cost_us) < budget;
}

/* The server with the least to do before this call; NULL when none has room for it. */
static struct link *choose(struct gate *g, const struct call *call, uint64_t budget)
{
    struct link *best = NULL;

    for (size_t i = 0; i < g->link_count; i++) {
        struct link *l = &g->links[i];

        if (may_take(l, call, budget) && (!best || work_before(l, call) < work_before(best, call)))
            best = l;
    }
    return best;
}

static void hand_over_urgent(struct gate *g)
{
    struct link *l = &g->links[0];
    struct call *call;

    if (has_signers(g) || !is_up(l) || l->leaving)
        return;
    while (l->calls.count < URGENT_MAX && (call = queue_pop_urgent(&g->queue)) != NULL)
        hand_over(g, l, call);
}

/* What of the others' doings counts for whom a server takes next. */
struct around {
    uint64_t now;
    uint32_t servers;
    bool others; /* several principals have calls */
    uint64_t budget_us;
};

static struct around look_around(const struct gate *g)
{
    uint64_t now = clock_us();
    bool deep = has_signers(g) && !queue_crowded(&g->queue, now);

    return (struct around){.now = now,
                           .servers = servers_up(g),
                           .others = has_signers(g) && g->queue.busy > 1,
                           .budget_us = deep ? BUDGET_DEEP_US : BUDGET_US};
}

static struct link *room_for(struct gate *g, struct call *call, const struct around *a)
{
    call->ahead = a->others && queue_may_go_ahead(&g->queue, call->line, a->servers, a->now);
    return choose(g, call, call->ahead ? BUDGET_US : a->budget_us);
}

/* Whose turn it is; or, where there is no room for him, who may go ahead. */
static bool hand_over_next(struct gate *g, const struct around *a)
{
    struct call *call = queue_next(&g->queue);
    struct link *l = call ? room_for(g, call, a) : NULL;

    if (l) {
        hand_over(g, l, queue_pop(&g->queue));
        return true;
    }
    call = a->others ? queue_next_ahead(&g->queue, a->servers, a->now) : NULL;
    l = call ? room_for(g, call, a) : NULL;
    if (!l)
        return false;
    queue_remove(&g->queue, call);
    hand_over(g, l, call);
    return true;
}

static void fill_links(struct gate *g)
{
    struct around a = look_around(g);

    hand_over_urgent(g);
    while (hand_over_next(g, &a))
        ;
}

/* ---- a server is gone */

static void refuse_struck(struct gate *g, struct call *call)
{
    struct err err;

    err_set(&err, ERR_INTERNAL, "%u %ss in turn died or overstayed with this call", call->strikes,
            has_signers(g) ? "signer" : "custodian");
    err_hint(&err, "keydctl status and the log say why");
    call_fail(g, call, &err);
}

/* A management verb may have been done or not: it is not begun a second time. */
static void refuse_cut_off(struct gate *g, struct call *call)
{
    struct err err;

    err_set(&err, ERR_UNAVAILABLE, "the custodian ended while it worked on this");
    err_hint(&err, "look before you repeat it: it may have been done");
    call_fail(g, call, &err);
}

static void give_back(struct gate *g, struct link *l, struct call *call)
{
    take_back(g, l, call);
    call->strikes++;
    if (!call->conn)
        call_free(g, call);
    else if (!has_signers(g))
        refuse_cut_off(g, call);
    else if (call->strikes >= STRIKES_MAX)
        refuse_struck(g, call);
    else {
        g->counters.retried_total++;
        queue_push_back(&g->queue, call);
    }
}

/* Last to first, so that the head of the queue has them in their old order. */
static void lose_link(struct gate *g, struct link *l)
{
    while (l->calls.last)
        give_back(g, l, l->calls.last);
    if (l->event)
        event_free(l->event);
    chan_close(&l->chan);
    *l = (struct link){.chan = l->chan};
}

/* ---- answers */

/* One stall is no news of how long signatures take: it must not make the next ones look hopeless.
 */
static void learn(struct gate *g, const struct call *call, uint32_t us)
{
    uint32_t *cost = keys_cost(g, call->key);
    uint64_t known = *cost, most = LEARN_MAX * known + LEARN_SLACK_US;

    *cost = (uint32_t)((known * (LEARN - 1) + (us < most ? us : most)) / LEARN);
    if (*cost == 0)
        *cost = 1;
}

static void on_signed(struct gate *g, struct call *call, const uint8_t *sig, size_t len)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__SignReply reply = KEYD__V1__SIGN_REPLY__INIT;

    reply.signature = (ProtobufCBinaryData){.len = len, .data = (uint8_t *)sig};
    answer.body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
    answer.sign_reply = &reply;
    g->counters.signed_total++;
    call_answer(g, call, &answer);
}

/* The call that an answer is for; it leaves the server's list. Ends the process if the server made
 * it up. */
static struct call *answered(struct gate *g, struct link *l, uint64_t handle)
{
    struct call *call = call_find(g, handle);

    if (!call || call->list != &l->calls)
        msg_fatal(&l->chan, "an answer to a question that it was not asked");
    take_back(g, l, call);
    l->head_since = clock_us();
    return call;
}

static void on_signer_msg(struct gate *g, struct link *l, struct msg *m)
{
    struct call *call = answered(g, l, rd_u64(&m->body));
    uint32_t us = rd_u32(&m->body);
    struct err err;
    size_t len;

    if (m->type == MSG_SIGNED) {
        const uint8_t *sig = msg_get_bytes(m, &len);

        msg_end(m, &l->chan);
        learn(g, call, us);
        on_signed(g, call, sig, len);
    } else {
        msg_get_err(m, &err);
        msg_end(m, &l->chan);
        call_fail(g, call, &err);
    }
}

static void on_custodian_msg(struct gate *g, struct link *l, struct msg *m)
{
    struct call *call = answered(g, l, rd_u64(&m->body));
    size_t len;
    const uint8_t *packed = msg_get_bytes(m, &len);

    msg_end(m, &l->chan);
    call_answer_packed(g, call, packed, len);
}

/* The custodian is about to be replaced: from here on calls wait for the next one. */
static void on_leave(struct link *l, struct msg *m)
{
    msg_end(m, &l->chan);
    l->leaving = true;
    chan_put(&l->chan, MSG_LEFT);
    chan_end(&l->chan);
}

static void on_link(evutil_socket_t fd, short what, void *arg);

static enum chan_state read_some(struct gate *g, struct link *l)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&l->chan, &err);

    while (chan_next(&l->chan, &m)) {
        if (m.type == MSG_KEY)
            keys_on_change(g, &l->chan, &m);
        else if (m.type == MSG_ACCESS)
            who_on_access(g, &l->chan, &m);
        else if (m.type == MSG_ANSWER)
            on_custodian_msg(g, l, &m);
        else if (m.type == MSG_LEAVE)
            on_leave(l, &m);
        else
            on_signer_msg(g, l, &m);
    }
    return state;
}

static void read_link(struct gate *g, struct link *l)
{
    if (read_some(g, l) != CHAN_OPEN)
        lose_link(g, l);
}

/* Of a server that has a successor: what it has answered counts. */
static void read_last(struct gate *g, struct link *l)
{
    for (int i = 0; i < LAST_READS; i++) {
        if (read_some(g, l) != CHAN_OPEN)
            break;
    }
    lose_link(g, l);
}

static void on_link(evutil_socket_t fd, short what, void *arg)
{
    struct gate *g = arg;

    (void)what;
    for (size_t i = 0; i < g->link_count; i++) {
        if (g->links[i].chan.fd == fd) {
            read_link(g, &g->links[i]);
            return;
        }
    }
}

static bool open_link(struct gate *g, struct link *l, uint32_t index, uint32_t generation, int fd,
                      struct err *err)
{
    enum proc peer = has_signers(g) ? PROC_SIGNER : PROC_CUSTODIAN;

    TRY(chan_open(&l->chan, fd, g->self, peer, index, generation, err));
    l->event = event_new(g->base, fd, EV_READ | EV_PERSIST, on_link, g);
    if (!l->event || event_add(l->event, NULL) != 0)
        return err_set(err, ERR_INTERNAL, "no event for a new server");
    return true;
}

bool dispatch_connect(struct gate *g, uint32_t index, uint32_t generation, int fd, struct err *err)
{
    if (index >= LINKS_MAX) {
        close(fd);
        return err_set(err, ERR_INTERNAL, "signer %u is beyond %d", index, LINKS_MAX);
    }
    struct link *l = &g->links[index];
    if (l->chan.fd >= 0)
        read_last(g, l);
    if (!open_link(g, l, index, generation, fd, err)) {
        if (l->chan.fd < 0)
            close(fd);
        lose_link(g, l);
        return false;
    }
    if (index >= g->link_count)
        g->link_count = index + 1;
    return true;
}

/* A server that is gone is lost when its end is read, behind the answers that it has left. */
static void flush_links(struct gate *g)
{
    for (size_t i = 0; i < g->link_count; i++) {
        struct chan *c = &g->links[i].chan;

        if (c->fd >= 0 && chan_pending(c))
            (void)!chan_flush(c);
    }
}

void dispatch_pump(struct gate *g)
{
    fill_links(g);
    flush_links(g);
}

bool dispatch_unsent(const struct gate *g)
{
    for (size_t i = 0; i < g->link_count; i++) {
        if (chan_pending(&g->links[i].chan))
            return true;
    }
    return false;
}

/* ---- time */

static void expire_waiting(struct gate *g, uint64_t now)
{
    for (struct line *p = g->queue.lines; p; p = p->next) {
        for (struct call *call = p->waiting.first, *next; call; call = next) {
            next = call->next;
            if (now < call->deadline)
                continue;
            queue_remove(&g->queue, call);
            call_expire(g, call);
            call_free(g, call);
        }
    }
}

static void expire_at(struct gate *g, struct link *l, uint64_t now)
{
    for (struct call *call = l->calls.first; call; call = call->next) {
        if (call->conn && now >= call->deadline)
            call_expire(g, call);
    }
}

static void check_overdue(struct gate *g, struct link *l, uint64_t now)
{
    uint64_t patience =
        1000ull * (has_signers(g) ? g->limits.signer_timeout_ms : CUSTODIAN_TIMEOUT_MS);

    if (!l->calls.count || l->overdue || now - l->head_since < patience)
        return;
    chan_put(g->parent, MSG_OVERDUE);
    put_u8(g->parent, (uint8_t)l->chan.peer);
    put_u32(g->parent, l->chan.index);
    put_u32(g->parent, l->chan.generation);
    chan_end(g->parent);
    if (has_signers(g))
        lose_link(g, l); /* its calls go to another at once */
    else
        l->overdue = true;
}

void dispatch_check_time(struct gate *g)
{
    uint64_t now = clock_us();

    expire_waiting(g, now);
    for (size_t i = 0; i < g->link_count; i++) {
        expire_at(g, &g->links[i], now);
        check_overdue(g, &g->links[i], now);
    }
}
