/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/conn.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/gate/call.h"
#include "keyd/gate/queue.h"
#include "keyd/gate/request.h"
#include "keyd/process/log.h"
#include "proto/base/buf.h"
#include "proto/base/mem.h"

#define ACCEPT_BATCH 64
#define READ_CHUNK   16384u
#define OUT_PAUSE    (256u << 10) /* a client that does not read its answers is not read */
#define OUT_MAX      (16u << 20)
#define KEEP         (64u << 10) /* an empty buffer over this is given back */
#define PATIENCE_S   10          /* for a hello, or for the rest of a frame */

struct conn {
    struct gate *gate;
    int fd;
    struct principal *principal;
    struct event *readable, *writable;
    struct buf in, out;
    size_t accounted; /* what of its buffers stands in gate->buffered */
    uint32_t open_calls;
    bool greeted, reading, impatient;
    bool losing; /* closes when `out` is empty */
    bool dead;   /* closes at the next flush */
    bool dirty;
    struct conn *next, *prev, *next_dirty;
};

static void mark(struct conn *c)
{
    if (c->dirty)
        return;
    c->dirty = true;
    c->next_dirty = c->gate->dirty;
    c->gate->dirty = c;
}

static size_t frame_cap(const struct gate *g)
{
    return g->socket == SOCKET_SIGNING ? FRAME_CAP_SIGNING : FRAME_CAP_CONTROL;
}

static bool may_read(const struct conn *c)
{
    return !c->losing && !c->dead && !c->gate->draining &&
           c->open_calls < c->gate->limits.in_flight && c->out.len < OUT_PAUSE;
}

/* Listens for more, or not; with a time limit while a hello or the rest of a frame is due. */
static void set_reading(struct conn *c)
{
    static const struct timeval patience = {PATIENCE_S, 0};
    bool want = may_read(c), impatient = !c->greeted || c->in.len > 0;

    if (want == c->reading && impatient == c->impatient)
        return;
    if (want)
        event_add(c->readable, impatient ? &patience : NULL);
    else
        event_del(c->readable);
    if (want && !impatient)
        event_remove_timer(c->readable);
    c->reading = want;
    c->impatient = impatient;
}

static void account(struct conn *c)
{
    size_t now = c->in.cap + c->out.cap;

    c->gate->buffered += now - c->accounted;
    c->accounted = now;
}

static bool over_memory(const struct gate *g)
{
    return g->buffered > (size_t)g->limits.buffers_mib << 20;
}

/* ---- losing it */

/* Nobody waits for its calls any more: those at a server end there, those in the queue go. */
static void abandon_calls(struct gate *g, struct conn *c)
{
    for (size_t i = 0; i < g->call_slots && c->open_calls; i++) {
        struct call *call = g->calls[i];

        if (call->conn != c)
            continue;
        if (call->list == &c->principal->waiting) {
            queue_remove(&g->queue, call);
            call_free(g, call);
        } else if (call->list == &g->status_calls) {
            call_free(g, call);
        } else {
            call->conn = NULL;
            c->open_calls--;
        }
    }
}

static void conn_close(struct gate *g, struct conn *c)
{
    c->dirty = true; /* its calls end now, and must not put it among those to be flushed */
    abandon_calls(g, c);
    event_free(c->readable);
    event_free(c->writable);
    close(c->fd);
    buf_free(&c->in);
    buf_free(&c->out);
    account(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        g->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->principal->connections--;
    g->conn_count--;
    mem_free(c);
}

void conn_lose(struct gate *g, struct conn *c, const struct err *err)
{
    envelope last = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Error error;
    char line[600];

    if (c->losing)
        return;
    log_line(LOG_LEVEL_WARNING, "connection of uid %u ends: %s", c->principal->uid,
             log_err(err, line, sizeof(line)));
    frame_error_of(err, &error);
    last.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    last.error = &error;
    conn_send(g, c, &last);
    c->losing = true;
    buf_use(&c->in, c->in.len);
    mark(c);
}

/* ---- reading */

static bool take_frame(struct gate *g, struct conn *c)
{
    size_t len;
    struct err err;

    switch (frame_peek(buf_head(&c->in), c->in.len, frame_cap(g), &len)) {
    case FRAME_PART:
        return false;
    case FRAME_OVERSIZE:
        err_set(&err, ERR_TOO_LARGE, "a frame of %zu bytes; %zu are possible on %s", len,
                frame_cap(g), verb_socket_name(g->socket));
        conn_lose(g, c, &err);
        return false;
    case FRAME_WHOLE:
        break;
    }
    const uint8_t *payload = buf_head(&c->in) + FRAME_HEAD;
    buf_use(&c->in, FRAME_HEAD + len);
    request_receive(g, c, payload, len);
    return true;
}

static void take_frames(struct gate *g, struct conn *c)
{
    while (may_read(c) && c->in.len > 0 && take_frame(g, c))
        ;
    if (c->in.len == 0 && c->in.cap > KEEP)
        buf_free(&c->in);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct gate *g = c->gate;
    struct err err;

    if (what & EV_TIMEOUT) {
        err_set(&err, ERR_DEADLINE, "%s for %d s", c->greeted ? "half a frame" : "no hello",
                PATIENCE_S);
        conn_lose(g, c, &err);
        return;
    }
    uint8_t *room = buf_room(&c->in, READ_CHUNK, FRAME_HEAD + frame_cap(g) + READ_CHUNK);
    account(c);
    if (!room || over_memory(g)) {
        err_set(&err, ERR_BUSY, "keyd's memory for connections is used up");
        err_retry(&err, 1000);
        conn_lose(g, c, &err);
        return;
    }
    ssize_t n = recv(fd, room, buf_space(&c->in), 0);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        c->dead = true;
    if (n > 0) {
        buf_fill(&c->in, (size_t)n);
        take_frames(g, c);
    }
    mark(c);
}

/* ---- writing */

void conn_send(struct gate *g, struct conn *c, const envelope *e)
{
    size_t size = frame_size(e);
    uint8_t *room = c->losing || c->dead ? NULL : buf_room(&c->out, size, OUT_MAX);

    (void)g;
    if (room)
        buf_fill(&c->out, frame_encode(e, room));
    else if (!c->losing)
        c->dead = true; /* it does not read, and what it asked for fills its buffer */
    mark(c);
}

void conn_send_packed(struct gate *g, struct conn *c, const uint8_t *packed, size_t len)
{
    uint8_t *room = c->losing || c->dead ? NULL : buf_room(&c->out, FRAME_HEAD + len, OUT_MAX);

    (void)g;
    if (room) {
        for (size_t i = 0; i < FRAME_HEAD; i++)
            room[i] = (uint8_t)(len >> (8 * (FRAME_HEAD - 1 - i)));
        memcpy(room + FRAME_HEAD, packed, len);
        buf_fill(&c->out, FRAME_HEAD + len);
    } else if (!c->losing) {
        c->dead = true;
    }
    mark(c);
}

static void send_out(struct conn *c)
{
    while (c->out.len > 0 && !c->dead) {
        ssize_t n = send(c->fd, buf_head(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (n > 0) {
            buf_use(&c->out, (size_t)n);
        } else if (errno == EAGAIN) {
            event_add(c->writable, NULL);
            break;
        } else if (errno != EINTR) {
            c->dead = true;
        }
    }
    if (c->out.len == 0 && c->out.cap > KEEP)
        buf_free(&c->out);
    account(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    mark(arg);
}

void conn_flush_dirty(struct gate *g)
{
    while (g->dirty) {
        struct conn *c = g->dirty;

        g->dirty = c->next_dirty;
        take_frames(g, c); /* it may have been stopped for its open calls */
        c->dirty = false;
        send_out(c);
        if (c->dead || (c->losing && c->out.len == 0))
            conn_close(g, c);
        else
            set_reading(c);
    }
}

/* ---- coming and going */

static struct conn *conn_new(struct gate *g, int fd)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);
    struct conn *c = mem_new(sizeof(*c));

    if (!c || getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0) {
        mem_free(c);
        return NULL;
    }
    *c = (struct conn){.gate = g,
                       .fd = fd,
                       .principal = queue_principal(&g->queue, g->role, peer.uid),
                       .readable = event_new(g->base, fd, EV_READ | EV_PERSIST, on_readable, c),
                       .writable = event_new(g->base, fd, EV_WRITE, on_writable, c)};
    if (c->principal && c->readable && c->writable)
        return c;
    if (c->readable)
        event_free(c->readable);
    if (c->writable)
        event_free(c->writable);
    mem_free(c);
    return NULL;
}

static void adopt(struct gate *g, int fd)
{
    struct conn *c = conn_new(g, fd);
    struct err err;

    if (!c) {
        close(fd);
        return;
    }
    c->next = g->conns;
    if (g->conns)
        g->conns->prev = c;
    g->conns = c;
    g->conn_count++;
    c->principal->connections++;
    if (g->conn_count > g->limits.connections) {
        err_set(&err, ERR_BUSY, "%u connections are open, and no more may be",
                g->limits.connections);
        err_hint(&err, "raise [limits] connections");
        err_retry(&err, 1000);
        conn_lose(g, c, &err);
    }
    mark(c);
}

void conn_accept(struct gate *g, int listener)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;
        adopt(g, fd);
    }
}

void conn_close_all(struct gate *g)
{
    while (g->conns)
        conn_close(g, g->conns);
}

struct principal *conn_principal(const struct conn *c)
{
    return c->principal;
}

bool conn_greeted(const struct conn *c)
{
    return c->greeted;
}

void conn_greet(struct conn *c)
{
    c->greeted = true;
}

void conn_call_begins(struct conn *c)
{
    c->open_calls++;
}

void conn_call_ends(struct gate *g, struct conn *c)
{
    (void)g;
    c->open_calls--;
    mark(c);
}
