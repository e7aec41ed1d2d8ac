/* SPDX-License-Identifier: Apache-2.0
 *
 * A straight line: be told who I am, log in, be confined, learn the keys, prove one, say ready;
 * then a poll(2) loop over three channels. Everything that goes wrong with the token ends the
 * process: the parent starts another one, and the gate gives its calls to those that are left.
 */
#include "keyd/signer/signer.h"

#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <unistd.h>

#include "keyd/signer/bench.h"
#include "keyd/signer/keys.h"
#include "keyd/signer/sign.h"
#include "keyd/signer/start.h"
#include "keyd/signer/stats.h"
#include "proto/base/clock.h"

#define TURN_CALLS      4    /* so many, */
#define TURN_US         200  /* or what is done in this time: who comes ahead is not seen before */
#define HELD_MAX        16   /* answers that wait for each other, */
#define HELD_US         2500 /* and the first of them for so long */
#define AHEAD_US        3000 /* after so much of what goes ahead, a turn is the others' */
#define DRAIN_WAIT_MS   2000
#define LOOK_UP_US      1000000 /* the custodian names a new key to one signer after another first */
#define LOOK_UP_NEXT_US 250000  /* and what it left out all must not scan for at the same time */

enum outcome {
    GO_ON,
    DRAIN,  /* finish, then end */
    GONE,   /* the parent is gone: nobody to tell, nothing to live for */
    FAILED, /* err says why */
};

/* ---- the signing gate */

/* *ahead: whether some may be left that go ahead; between two reads there are no new ones. */
static bool next_call(struct signer *s, struct msg *m, bool *ahead)
{
    *ahead = *ahead && chan_next_of(&s->gate, MSG_SIGN_AHEAD, m);
    return *ahead || chan_next(&s->gate, m);
}

static void drop_gate(struct signer *s)
{
    s->held = 0;
    chan_close(&s->gate); /* the parent sends a new one */
}

static void send_answers(struct signer *s)
{
    s->held = 0;
    if (!chan_flush(&s->gate))
        drop_gate(s);
}

/* A wake-up of the gate costs as much as a signature, so answers wait for each other; but never
 * more of them than calls that wait behind: the next ones come while there is still work. */
static bool may_hold(const struct signer *s)
{
    return s->held < HELD_MAX && clock_us() - s->held_since < HELD_US &&
           chan_has(&s->gate, s->held + 1);
}

static bool answer(struct signer *s, struct msg *m, struct err *err)
{
    if (s->held++ == 0)
        s->held_since = clock_us();
    return sign_answer(s, m, err); /* calls are all that a gate may send */
}

/* One turn. At its end the gate, where it shares our processor, may read what came meanwhile: a
 * scheduler does not preempt for it whoever has used less time than the gate has. */
static bool answer_some(struct signer *s, struct err *err)
{
    uint64_t begun = clock_us();
    bool ahead = s->ahead_us < AHEAD_US, went_ahead = false, others = false;
    struct msg m;

    for (unsigned n = 0; n < TURN_CALLS && clock_us() < begun + TURN_US; n++) {
        if (!next_call(s, &m, &ahead))
            break;
        went_ahead = went_ahead || m.type == MSG_SIGN_AHEAD;
        others = others || m.type == MSG_SIGN;
        TRY(answer(s, &m, err));
    }
    bool more = chan_has(&s->gate, 1);
    s->ahead_us = others || !more ? 0 : s->ahead_us + (clock_us() - begun);
    if (went_ahead || !may_hold(s))
        send_answers(s);
    if (more)
        sched_yield();
    return true;
}

static bool read_gate(struct signer *s, struct err *err)
{
    struct err broken;
    enum chan_state state = chan_read(&s->gate, &broken);

    TRY(answer_some(s, err));
    if (state != CHAN_OPEN)
        drop_gate(s);
    return true;
}

/* ---- the custodian */

static bool take_key(struct signer *s, struct msg *m, struct err *err)
{
    uint64_t version = rd_u64(&m->body);
    struct table_key key = {0};
    struct err why = {0};

    table_get_msg(m, &key);
    msg_end(m, &s->custodian);
    send_answers(s); /* no signature of the key as it was leaves after the word that it changed */
    bool ok = keys_take_one(s, &key, &why);
    if (!ok && token_lost(s->token)) {
        *err = why;
        return false;
    }
    if (ok)
        why = (struct err){0};
    chan_put(&s->custodian, MSG_KEY_DONE);
    put_u64(&s->custodian, version);
    put_raw(&s->custodian, key.id, sizeof(key.id));
    put_err(&s->custodian, &why);
    chan_end(&s->custodian);
    return true;
}

static bool read_custodian(struct signer *s, struct err *err)
{
    struct msg m;
    struct err broken;
    enum chan_state state = chan_read(&s->custodian, &broken);

    while (chan_next(&s->custodian, &m))
        TRY(m.type == MSG_BENCH ? bench_take(s, &m, err) : take_key(s, &m, err));
    if (!chan_flush(&s->custodian) || state != CHAN_OPEN) {
        bench_forget(s);
        chan_close(&s->custodian);
    }
    return true;
}

/* ---- the parent */

static bool take_table(struct signer *s, struct msg *m, struct err *err)
{
    (void)rd_u64(&m->body); /* the table's version: it stands in the file too */
    int fd = msg_take_fd(m);

    msg_end(m, s->parent);
    if (fd < 0)
        msg_fatal(s->parent, "a table without a file");
    bool ok = keys_take_table(s, fd, err);
    close(fd);
    s->look_up_at = clock_us() + LOOK_UP_US + s->index * LOOK_UP_NEXT_US;
    return ok;
}

static bool look_up_in_time(struct signer *s, struct err *err)
{
    if (!s->look_up_at || clock_us() < s->look_up_at)
        return true;
    s->look_up_at = 0;
    return keys_look_up(s, err);
}

/* A neighbour was replaced: the newer channel counts. */
static bool take_peer(struct signer *s, struct msg *m, struct err *err)
{
    enum proc proc = (enum proc)rd_u8(&m->body);
    uint32_t index = rd_u32(&m->body), generation = rd_u32(&m->body);
    int fd = msg_take_fd(m);
    bool gate = proc == PROC_GATE_SIGNING;

    msg_end(m, s->parent);
    if (fd < 0 || (!gate && proc != PROC_CUSTODIAN))
        msg_fatal(s->parent, "a neighbour that a signer does not have");
    if (gate) {
        drop_gate(s);
    } else {
        bench_forget(s);
        chan_close(&s->custodian);
    }
    return chan_open(gate ? &s->gate : &s->custodian, fd, PROC_SIGNER, proc, index, generation,
                     err);
}

static void on_status_ask(struct signer *s, struct msg *m)
{
    uint64_t ask = rd_u64(&m->body);

    msg_end(m, s->parent);
    signer_stats_put(s, ask);
}

static enum outcome take_parent_msg(struct signer *s, struct msg *m, struct err *err)
{
    switch (m->type) {
    case MSG_TABLE:
        return take_table(s, m, err) ? GO_ON : FAILED;
    case MSG_PEER:
        return take_peer(s, m, err) ? GO_ON : FAILED;
    case MSG_STATUS_ASK:
        on_status_ask(s, m);
        return GO_ON;
    case MSG_DRAIN:
        msg_end(m, s->parent);
        return DRAIN;
    default:
        msg_fatal(s->parent, "a message out of turn");
    }
}

static enum outcome read_parent(struct signer *s, struct err *err)
{
    struct msg m;
    struct err broken;
    enum chan_state state = chan_read(s->parent, &broken);
    enum outcome outcome = GO_ON;

    while (outcome == GO_ON && chan_next(s->parent, &m))
        outcome = take_parent_msg(s, &m, err);
    if (outcome != GO_ON)
        return outcome;
    return state == CHAN_OPEN && chan_flush(s->parent) ? GO_ON : GONE;
}

/* ---- the loop */

/* Answers that are held are not what a full socket has left. */
static struct pollfd wait_for(const struct chan *c, unsigned held)
{
    short out = c->fd >= 0 && chan_pending(c) > 0 && !held ? POLLOUT : 0;

    return (struct pollfd){.fd = c->fd, .events = (short)(POLLIN | out)};
}

/* What waits to be written to a neighbour; a neighbour that is gone says so at the next read. */
static void flush_waiting(struct chan *c, const struct pollfd *p)
{
    if ((p->revents & POLLOUT) && !chan_flush(c))
        chan_close(c);
}

static int wait_ms(const struct signer *s)
{
    if (bench_going(s) || chan_has(&s->gate, 1))
        return 0;
    return s->look_up_at ? clock_wait_ms(s->look_up_at) : -1;
}

static enum outcome turn(struct signer *s, struct err *err)
{
    struct pollfd p[3] = {wait_for(s->parent, 0), wait_for(&s->gate, s->held),
                          wait_for(&s->custodian, 0)};
    const short in = POLLIN | POLLHUP | POLLERR;
    enum outcome outcome;

    if (poll(p, 3, wait_ms(s)) < 0) {
        if (errno == EINTR)
            return GO_ON;
        err_errno(err, ERR_INTERNAL, errno, "cannot wait for messages");
        return FAILED;
    }
    /* Always, and first: a table that was sent before a call counts for that call. */
    outcome = read_parent(s, err);
    if (outcome != GO_ON)
        return outcome;
    if (!look_up_in_time(s, err))
        return FAILED;
    flush_waiting(&s->gate, &p[1]);
    flush_waiting(&s->custodian, &p[2]);
    bool calls = (s->gate.fd == p[1].fd && (p[1].revents & in)) || chan_has(&s->gate, 1);
    if (calls && !read_gate(s, err))
        return FAILED;
    if (s->custodian.fd == p[2].fd && (p[2].revents & in) && !read_custodian(s, err))
        return FAILED;
    return !bench_going(s) || bench_slice(s, err) ? GO_ON : FAILED;
}

/* Whatever the gate has sent is answered, and the answers are gone, before the end. */
static bool drain(struct signer *s, struct err *err)
{
    struct pollfd p;

    if (s->gate.fd >= 0)
        TRY(read_gate(s, err));
    while (chan_has(&s->gate, 1))
        TRY(answer_some(s, err));
    while (s->gate.fd >= 0 && chan_pending(&s->gate) > 0) {
        p = (struct pollfd){.fd = s->gate.fd, .events = POLLOUT};
        if (poll(&p, 1, DRAIN_WAIT_MS) <= 0 || !chan_flush(&s->gate))
            break;
    }
    return true;
}

/* ---- the start */

/* Waits for the next message of the parent; false: the parent is gone. */
static bool next_from_parent(struct signer *s, struct msg *m)
{
    struct err broken;

    while (!chan_next(s->parent, m)) {
        struct pollfd p = {.fd = s->parent->fd, .events = POLLIN};

        if (poll(&p, 1, -1) < 0 && errno != EINTR)
            return false;
        if (p.revents && chan_read(s->parent, &broken) != CHAN_OPEN)
            return false;
    }
    return true;
}

/* The next message at the start; GONE also when the parent wants an end before it began. */
static enum outcome expect(struct signer *s, enum msg_type type, struct msg *m)
{
    if (!next_from_parent(s, m) || m->type == MSG_DRAIN)
        return GONE;
    if (m->type != type)
        msg_fatal(s->parent, "a message out of turn");
    return GO_ON;
}

static enum outcome begin(struct signer *s, struct err *err)
{
    struct msg m;

    if (expect(s, MSG_START, &m) != GO_ON)
        return GONE;
    if (!start_up(s, &m, err))
        return FAILED;
    if (expect(s, MSG_TABLE, &m) != GO_ON)
        return GONE;
    if (!take_table(s, &m, err) || !keys_look_up(s, err) || !keys_prove_token(s, err))
        return FAILED;
    chan_put(s->parent, MSG_READY);
    chan_end(s->parent);
    return chan_flush(s->parent) ? GO_ON : GONE;
}

static void tell_failure(struct signer *s, const struct err *err)
{
    struct chan *const neighbours[] = {&s->gate, &s->custodian};

    /* What was signed before the failure still counts. */
    for (size_t i = 0; i < 2; i++) {
        if (neighbours[i]->fd >= 0 && !chan_flush(neighbours[i]))
            chan_close(neighbours[i]);
    }
    chan_put(s->parent, MSG_FAILED);
    put_err(s->parent, err);
    chan_end(s->parent);
    if (!chan_flush(s->parent))
        chan_close(s->parent);
}

int signer_main(struct chan *parent)
{
    struct signer s = {
        .parent = parent, .gate = {.fd = -1}, .custodian = {.fd = -1}, .started = clock_us()};
    struct err err = {0};
    enum outcome outcome = begin(&s, &err);

    while (outcome == GO_ON)
        outcome = turn(&s, &err);
    if (outcome == DRAIN && !drain(&s, &err))
        outcome = FAILED;
    if (outcome == FAILED)
        tell_failure(&s, &err);
    keys_free(&s);
    token_close(s.token);
    chan_close(&s.gate);
    chan_close(&s.custodian);
    return outcome == FAILED;
}
