/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <poll.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "proto/base/clock.h"

/* ---- coming and going */

static void peer_close(struct custodian *c, struct peer *p)
{
    if (p->chan.fd < 0)
        return;
    if (p->chan.peer == PROC_GATE_CONTROL)
        request_forget(c, p->chan.generation);
    chan_close(&p->chan);
    p->awaited = 0;
}

/* The place for a peer: that of its predecessor, which is closed, or a free one. */
static struct peer *place_for(struct custodian *c, enum proc proc, uint32_t index)
{
    struct peer *free_one = NULL;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &c->peers[i];
        if (p->chan.fd >= 0 && p->chan.peer == proc && p->chan.index == index) {
            peer_close(c, p);
            return p;
        }
        if (p->chan.fd < 0 && !free_one)
            free_one = p;
    }
    return free_one;
}

static void on_peer(struct custodian *c, struct msg *m)
{
    enum proc proc = (enum proc)rd_u8(&m->body);
    uint32_t index = rd_u32(&m->body), generation = rd_u32(&m->body);
    int fd = msg_take_fd(m);
    struct err err;

    msg_end(m, c->parent);
    struct peer *p = place_for(c, proc, index);
    if (fd < 0 || !p ||
        (proc != PROC_GATE_SIGNING && proc != PROC_GATE_CONTROL && proc != PROC_SIGNER))
        msg_fatal(c->parent, "a peer that I cannot have");
    if (!chan_open(&p->chan, fd, PROC_CUSTODIAN, proc, index, generation, &err))
        msg_fatal(c->parent, err.text);
    p->awaited = 0;
    p->told = p->left = false;
    publish_recent(c, p);
    if (proc != PROC_SIGNER)
        access_send(c, p);
}

/* ---- what they say */

static void on_parent_msg(struct custodian *c, struct msg *m)
{
    uint64_t number;

    switch (m->type) {
    case MSG_PEER:
        on_peer(c, m);
        return;
    case MSG_TABLE_KEPT:
        number = rd_u64(&m->body);
        msg_end(m, c->parent);
        if (number > c->kept)
            c->kept = number;
        return;
    case MSG_STATUS_ASK:
        number = rd_u64(&m->body);
        msg_end(m, c->parent);
        stats_answer(c, number);
        return;
    case MSG_PIN:
        pin_take(c, m);
        return;
    case MSG_PIN_KEPT:
        pin_kept(c, m);
        return;
    case MSG_DRAIN:
        msg_end(m, c->parent);
        c->draining = true;
        return;
    default:
        msg_fatal(c->parent, "a message that I do not expect now");
    }
}

static void on_key_done(struct peer *p, struct msg *m)
{
    uint64_t version = rd_u64(&m->body);
    uint8_t id[KEY_ID_LEN];
    struct err err;
    char hex[KEY_ID_HEX_LEN + 1], line[600];

    rd_copy(&m->body, id, sizeof(id));
    msg_get_err(m, &err);
    msg_end(m, &p->chan);
    if (err.code != ERR_NONE)
        log_line(LOG_LEVEL_WARNING, "%s %u did not take in key %.16s: %s", proc_name(p->chan.peer),
                 p->chan.index, hex_encode(id, sizeof(id), hex), log_err(&err, line, sizeof(line)));
    if (version == p->awaited)
        p->awaited = 0;
}

static void on_left(struct peer *p, struct msg *m)
{
    msg_end(m, &p->chan);
    if (!p->told)
        msg_fatal(&p->chan, "it left without being asked");
    p->left = true;
}

static void on_access_done(struct peer *p, struct msg *m)
{
    uint64_t version = rd_u64(&m->body);

    msg_end(m, &p->chan);
    if (version == p->awaited)
        p->awaited = 0;
}

/* When a token was used last is good to know, and no more: what goes wrong is only logged. */
static void on_token_used(struct custodian *c, struct peer *p, struct msg *m)
{
    uint8_t hash[API_TOKEN_HASH_LEN];
    struct err err;
    char line[600];

    rd_copy(&m->body, hash, sizeof(hash));
    msg_end(m, &p->chan);
    if (!registry_token_used(c->registry, hash, &err))
        log_line(LOG_LEVEL_WARNING, "the last use of a token is not written down: %s",
                 log_err(&err, line, sizeof(line)));
}

static void on_peer_msg(struct custodian *c, struct peer *p, struct msg *m)
{
    if (m->type == MSG_KEY_DONE)
        on_key_done(p, m);
    else if (m->type == MSG_REQUEST)
        request_take(c, p, m);
    else if (m->type == MSG_BENCHED)
        bench_answered(c, p, m);
    else if (m->type == MSG_LEFT)
        on_left(p, m);
    else if (m->type == MSG_ACCESS_DONE)
        on_access_done(p, m);
    else if (m->type == MSG_TOKEN_USED)
        on_token_used(c, p, m);
    else
        msg_fatal(&p->chan, "a message that I do not expect");
}

static void read_parent(struct custodian *c)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(c->parent, &err);

    while (chan_next(c->parent, &m))
        on_parent_msg(c, &m);
    if (state != CHAN_OPEN)
        c->draining = c->parent_gone = true;
}

static void read_peer(struct custodian *c, struct peer *p)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&p->chan, &err);

    while (chan_next(&p->chan, &m))
        on_peer_msg(c, p, &m);
    if (state != CHAN_OPEN)
        peer_close(c, p);
}

/* ---- one round */

static void send_all(struct custodian *c)
{
    if (!c->parent_gone && chan_pending(c->parent) && !chan_flush(c->parent))
        c->draining = c->parent_gone = true;
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &c->peers[i];
        if (p->chan.fd >= 0 && chan_pending(&p->chan) && !chan_flush(&p->chan))
            peer_close(c, p);
    }
}

static struct pollfd watch(const struct chan *c)
{
    return (struct pollfd){.fd = c->fd,
                           .events = (short)(chan_pending(c) ? POLLIN | POLLOUT : POLLIN)};
}

void peers_pump(struct custodian *c, int timeout_ms)
{
    struct pollfd fds[PEERS_MAX + 1];

    send_all(c);
    for (size_t i = 0; i < PEERS_MAX; i++)
        fds[i] = watch(&c->peers[i].chan);
    fds[PEERS_MAX] = watch(c->parent);
    if (c->parent_gone)
        fds[PEERS_MAX].fd = -1;
    if (poll(fds, PEERS_MAX + 1, c->draining && timeout_ms < 0 ? 0 : timeout_ms) <= 0)
        return;
    /* peers first: the parent's messages may put another channel in a place of this list */
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (fds[i].fd >= 0 && fds[i].fd == c->peers[i].chan.fd && fds[i].revents & ~POLLOUT)
            read_peer(c, &c->peers[i]);
    if (fds[PEERS_MAX].revents & ~POLLOUT)
        read_parent(c);
    send_all(c);
}

static bool pending(const struct custodian *c)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (c->peers[i].chan.fd >= 0 && chan_pending(&c->peers[i].chan))
            return true;
    return !c->parent_gone && chan_pending(c->parent);
}

void peers_flush(struct custodian *c, int ms)
{
    uint64_t until = clock_us() + (uint64_t)ms * 1000;

    send_all(c);
    while (pending(c) && clock_us() < until)
        peers_pump(c, clock_wait_ms(until));
}

struct peer *peers_control_gate(struct custodian *c, uint32_t generation)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &c->peers[i];
        if (p->chan.fd >= 0 && p->chan.peer == PROC_GATE_CONTROL &&
            p->chan.generation == generation)
            return p;
    }
    return NULL;
}

bool peers_leave(struct custodian *c)
{
    bool all = true;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &c->peers[i];

        if (p->chan.fd < 0 || p->chan.peer != PROC_GATE_CONTROL)
            continue;
        if (!p->told) {
            chan_put(&p->chan, MSG_LEAVE);
            chan_end(&p->chan);
            p->told = true;
        }
        all = all && p->left;
    }
    return all;
}

void peers_free(struct custodian *c)
{
    for (size_t i = 0; i < PEERS_MAX; i++)
        peer_close(c, &c->peers[i]);
}
