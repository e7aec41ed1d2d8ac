/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/conn_inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/gate/call.h"
#include "keyd/gate/queue.h"
#include "keyd/gate/request.h"
#include "keyd/gate/stream.h"
#include "keyd/gate/tls.h"
#include "keyd/gate/who.h"
#include "keyd/process/log.h"
#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define ACCEPT_BATCH  64
#define FILES_TELL_US 10000000
#define READ_CHUNK    16384u
#define OUT_PAUSE     (256u << 10) /* a client that does not read its answers is not read */
#define OUT_MAX       (16u << 20)
#define KEEP          (64u << 10) /* an empty buffer over this is given back */
#define HOARD         (2 * KEEP)  /* no connection that reads its answers holds more for long */
/* For a hello, for the rest of a frame, for last words to be read. (A test has less.) */
#ifndef CONN_PATIENCE_MS
#define CONN_PATIENCE_MS 10000
#endif

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

static struct timeval time_left(const struct conn *c)
{
    uint64_t now = clock_us(), us = now < c->due ? c->due - now : 1;

    return (struct timeval){.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
}

static void hurry(struct conn *c)
{
    c->due = clock_us() + CONN_PATIENCE_MS * 1000ull;
}

static void stop_reading(struct conn *c)
{
    if (c->reading) {
        event_add(c->closed, NULL);
        event_del(c->readable);
    }
    c->reading = c->timed = false;
    if (!c->losing)
        c->due = 0; /* it is not the client who delays */
}

/* Listens for more, or not. While a hello or the rest of a frame is awaited, it is due at a moment
 * that bytes which trickle in do not put off. */
static void set_reading(struct conn *c)
{
    if (!may_read(c)) {
        stop_reading(c);
        return;
    }
    bool awaited = !c->greeted || c->in.len > 0;
    if (c->reading && !awaited && !c->timed)
        return;
    if (!awaited)
        c->due = 0;
    else if (!c->due)
        hurry(c);
    struct timeval left = time_left(c);
    event_add(c->readable, awaited ? &left : NULL);
    if (!awaited)
        event_remove_timer(c->readable);
    if (!c->reading)
        event_del(c->closed);
    c->reading = true;
    c->timed = awaited;
}

static void account(struct conn *c)
{
    size_t now = c->in.cap + c->out.cap;

    c->gate->buffered += now - c->accounted;
    c->accounted = now;
}

static bool over_memory(const struct gate *g)
{
    return g->buffered > memory_half(g);
}

/* ---- over TLS, without a hello yet */

static void add_stranger(struct gate *g, struct conn *c)
{
    c->stranger = true;
    c->older = g->strangers_last;
    if (c->older)
        c->older->younger = c;
    else
        g->strangers = c;
    g->strangers_last = c;
    g->stranger_count++;
}

void conn_no_stranger(struct gate *g, struct conn *c)
{
    if (!c->stranger)
        return;
    if (c->older)
        c->older->younger = c->younger;
    else
        g->strangers = c->younger;
    if (c->younger)
        c->younger->older = c->older;
    else
        g->strangers_last = c->older;
    c->older = c->younger = NULL;
    c->stranger = false;
    g->stranger_count--;
}

/* "127.0.0.1:53124", or what else is known of who is there. */
static const char *name_of(const struct conn *c, char buf[PROOF_MAX])
{
    struct sockaddr_in6 a = {0};
    const struct sockaddr_in *a4 = (const struct sockaddr_in *)&a;
    socklen_t len = sizeof(a);
    char host[INET6_ADDRSTRLEN] = "?";

    if (!c->stream.ssl || getpeername(c->stream.fd, (struct sockaddr *)&a, &len) != 0) {
        snprintf(buf, PROOF_MAX, "%s", c->stream.ssl ? "a client that left" : c->proof);
        return buf;
    }
    if (a.sin6_family == AF_INET)
        inet_ntop(AF_INET, &a4->sin_addr, host, sizeof(host));
    else
        inet_ntop(AF_INET6, &a.sin6_addr, host, sizeof(host));
    snprintf(buf, PROOF_MAX, a.sin6_family == AF_INET ? "%s:%u" : "[%s]:%u", host,
             ntohs(a.sin6_port)); /* both families have it in the same place */
    return buf;
}

void conn_note(struct gate *g, const struct conn *c, enum refusal reason, const char *why)
{
    char name[PROOF_MAX];

    refusal_add(&g->refusals, reason, name_of(c, name), why);
}

/* It ends without a word: nobody is there yet who would understand one. */
static void turn_away(struct conn *c, enum refusal reason, const char *why)
{
    conn_note(c->gate, c, reason, why);
    c->dead = true;
    mark(c);
}

/* ---- losing it */

/* Nobody waits for its calls any more: those at a server end there, those in the queue go. */
void conn_abandon_calls(struct gate *g, struct conn *c)
{
    for (size_t i = 0; i < g->call_slots && c->open_calls; i++) {
        struct call *call = g->calls[i];

        if (call->conn != c)
            continue;
        if (call->list == &call->line->waiting) {
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

static void free_events(struct conn *c)
{
    struct event *const all[] = {c->readable, c->writable, c->closed};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (all[i])
            event_free(all[i]);
    }
}

static void conn_close(struct gate *g, struct conn *c)
{
    c->dirty = true; /* its calls end now, and must not put it among those to be flushed */
    conn_abandon_calls(g, c);
    free_events(c);
    conn_no_stranger(g, c);
    stream_close(&c->stream);
    buf_free(&c->in);
    buf_free(&c->out);
    account(c);
    if (c->prev)
        c->prev->next = c->next;
    else
        g->conns = c->next;
    if (c->next)
        c->next->prev = c->prev;
    c->line->connections--;
    c->door->connections--;
    mem_free(c);
}

void conn_lose(struct gate *g, struct conn *c, const struct err *err)
{
    envelope last = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Error error;
    char line[600];

    if (c->losing)
        return;
    if (call_may_log(g))
        log_line(LOG_LEVEL_WARNING, "connection of %s (%s) ends: %s", principal_text(&c->line->who),
                 c->proof, log_err(err, line, sizeof(line)));
    frame_error_of(err, &error);
    last.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    last.error = &error;
    conn_send(g, c, &last);
    conn_end(c);
}

void conn_end(struct conn *c)
{
    c->losing = true;
    hurry(c);
    buf_use(&c->in, c->in.len);
    mark(c);
}

/* ---- reading */

static bool has_frame(const struct conn *c)
{
    size_t len;

    return frame_peek(buf_head(&c->in), c->in.len, frame_cap(c->gate), &len) != FRAME_PART;
}

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
        refusal_count(&g->refusals, REFUSAL_OVERSIZE);
        conn_lose(g, c, &err);
        return false;
    case FRAME_WHOLE:
        break;
    }
    const uint8_t *payload = buf_head(&c->in) + FRAME_HEAD;
    buf_use(&c->in, FRAME_HEAD + len);
    request_receive(g, c, payload, len);
    if (c->greeted && !c->losing)
        c->due = 0; /* the next one has its own time */
    return true;
}

static void take_frames(struct gate *g, struct conn *c)
{
    while (may_read(c) && c->in.len > 0 && take_frame(g, c))
        ;
    if (c->in.len == 0 && c->in.cap > KEEP)
        buf_free(&c->in);
}

/* Ends a connection for its memory, which is free at once. One that does not read gets no word. */
static void lose_for_memory(struct gate *g, struct conn *c)
{
    struct err err;

    err_set(&err, ERR_BUSY, "keyd's memory for connections is used up");
    err_hint(&err, "read the answers, or raise [limits] buffers-mib");
    err_retry(&err, 1000);
    bool reads = c->out.len == 0;
    conn_lose(g, c, &err);
    buf_free(&c->in);
    if (!reads) {
        c->dead = true;
        buf_free(&c->out);
    }
    account(c);
}

/* Who pays when memory is used up: the one that hoards most, not whoever comes next. Only if nobody
 * holds more than is fair, the one that wants more. */
static struct conn *hoarder(const struct gate *g, struct conn *wants)
{
    struct conn *most = wants;

    for (struct conn *c = g->conns; c; c = c->next) {
        if (!c->losing && !c->dead && c->accounted > HOARD && c->accounted > most->accounted)
            most = c;
    }
    return most;
}

/* Room for the next bytes; NULL: the connection is lost. */
static uint8_t *reading_room(struct gate *g, struct conn *c)
{
    size_t before = c->in.cap;
    uint8_t *room = buf_room(&c->in, READ_CHUNK, FRAME_HEAD + frame_cap(g) + READ_CHUNK);

    account(c);
    if (room && (c->in.cap == before || !over_memory(g)))
        return room;
    struct conn *loser = room ? hoarder(g, c) : c;
    lose_for_memory(g, loser);
    return loser == c ? NULL : room;
}

/* What was awaited did not come in time. */
static void give_up(struct gate *g, struct conn *c)
{
    struct err err;

    if (!stream_ready(&c->stream)) {
        turn_away(c, REFUSAL_STALLED, "the TLS handshake stands still");
        return;
    }
    if (c->stranger)
        conn_note(g, c, REFUSAL_STALLED, "");
    err_set(&err, ERR_DEADLINE, "%s for %d s", c->greeted ? "half a frame" : "no hello",
            CONN_PATIENCE_MS / 1000);
    conn_lose(g, c, &err);
}

static void end_of_stream(struct conn *c)
{
    char why[200];

    if (stream_ready(&c->stream)) {
        c->dead = true;
        return;
    }
    enum refusal reason = tls_failure(&c->stream, why, sizeof(why));
    turn_away(c, reason, why);
}

static void read_in(struct gate *g, struct conn *c)
{
    uint8_t *room = reading_room(g, c);

    if (!room)
        return;
    ssize_t n = stream_read(&c->stream, room, buf_space(&c->in));
    if (n == 0 || n == STREAM_BROKEN)
        end_of_stream(c);
    else if (c->stream.wants_write)
        event_add(c->writable, NULL);
    if (n > 0) {
        buf_fill(&c->in, (size_t)n);
        take_frames(g, c);
    }
    mark(c);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    if (what & EV_TIMEOUT)
        give_up(c->gate, c);
    else
        read_in(c->gate, c);
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

static void wait_for_room(struct conn *c)
{
    struct timeval left = time_left(c);

    event_add(c->writable, c->losing ? &left : NULL);
}

static void send_out(struct conn *c)
{
    while (c->out.len > 0 && !c->dead) {
        ssize_t n = stream_write(&c->stream, buf_head(&c->out), c->out.len);

        if (n > 0) {
            buf_use(&c->out, (size_t)n);
        } else if (n == STREAM_AGAIN) {
            wait_for_room(c);
            break;
        } else {
            c->dead = true;
        }
    }
    if (c->out.len == 0 && c->out.cap > KEEP)
        buf_free(&c->out);
    account(c);
}

static void on_writable(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;

    (void)fd;
    if (what & EV_TIMEOUT)
        c->dead = true; /* it does not read its last words */
    else if (c->stream.wants_write)
        read_in(c->gate, c);
    mark(c);
}

/* A client that only says that it will say no more still gets what it asked for. */
static void on_closed(evutil_socket_t fd, short what, void *arg)
{
    struct conn *c = arg;
    struct pollfd p = {.fd = fd};

    (void)what;
    if (poll(&p, 1, 0) == 1 && (p.revents & (POLLHUP | POLLERR)))
        c->dead = true;
    mark(c);
}

/* Answers that leave make room for the next requests, which may have been read already. */
static void turn(struct gate *g, struct conn *c)
{
    do {
        take_frames(g, c); /* it may have been stopped for its open calls */
        send_out(c);
    } while (may_read(c) && has_frame(c));
}

void conn_flush_dirty(struct gate *g)
{
    while (g->dirty) {
        struct conn *c = g->dirty;

        g->dirty = c->next_dirty;
        turn(g, c);
        c->dirty = false;
        if (c->dead || (c->losing && c->out.len == 0)) {
            conn_close(g, c);
            continue;
        }
        set_reading(c);
        if (c->reading && stream_pending(&c->stream))
            event_active(c->readable, EV_READ, 0); /* the socket will not tell */
    }
}

/* ---- coming and going */

/* Answers are small and awaited; a peer whose machine has died is found out (tcp(7)). */
static void set_tcp(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {{IPPROTO_TCP, TCP_NODELAY, 1},
                   {SOL_SOCKET, SO_KEEPALIVE, 1},
                   {IPPROTO_TCP, TCP_KEEPIDLE, 60},
                   {IPPROTO_TCP, TCP_KEEPINTVL, 10},
                   {IPPROTO_TCP, TCP_KEEPCNT, 3}};

    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value, sizeof(int));
}

/* What the kernel says of who is there; over TLS nothing, until his hello. */
static bool open_stream(const struct door *door, int fd, struct stream *ret, struct identity *id)
{
    *ret = (struct stream){.fd = fd};
    *id = (struct identity){0};
    if (door->kind == DOOR_UNIX)
        return who_unix(fd, id);
    set_tcp(fd);
    return tls_accept(door->gate->tls, fd, ret);
}

static struct conn *conn_new(struct door *door, int fd)
{
    struct gate *g = door->gate;
    struct principal who;
    struct conn *c = mem_new(sizeof(*c));

    if (!c || !open_stream(door, fd, &c->stream, &c->identity)) {
        mem_free(c);
        close(fd);
        return NULL;
    }
    who_is(g, fd, &c->identity, &who, c->proof);
    c->gate = g;
    c->door = door;
    c->line = queue_line(&g->queue, &who);
    c->readable = event_new(g->base, fd, EV_READ | EV_PERSIST, on_readable, c);
    c->writable = event_new(g->base, fd, EV_WRITE, on_writable, c);
    c->closed = event_new(g->base, fd, EV_CLOSED, on_closed, c);
    if (c->line && c->readable && c->writable && c->closed)
        return c;
    free_events(c);
    stream_close(&c->stream);
    mem_free(c);
    return NULL;
}

static void enlist(struct gate *g, struct conn *c)
{
    c->next = g->conns;
    if (g->conns)
        g->conns->prev = c;
    g->conns = c;
    c->door->connections++;
    c->line->connections++;
    if (c->door->kind == DOOR_TLS)
        add_stranger(g, c);
    mark(c);
}

static void lose_one_too_many(struct gate *g, struct conn *c)
{
    struct err err;

    err_set(&err, ERR_BUSY, "%u connections are open, and no more may be", g->limits.connections);
    err_hint(&err, "raise [limits] connections");
    err_retry(&err, 1000);
    conn_lose(g, c, &err);
}

/* A stranger over TLS makes way for the next; whoever has said his hello stays. */
static void adopt(struct door *door, int fd)
{
    struct gate *g = door->gate;
    struct conn *c = conn_new(door, fd);

    if (!c)
        return;
    enlist(g, c);
    if (g->stranger_count > g->handshakes) {
        struct conn *oldest = g->strangers;

        conn_no_stranger(g, oldest);
        turn_away(oldest, REFUSAL_CROWDED_OUT, "");
    }
    if (door->connections > g->limits.connections)
        lose_one_too_many(g, c);
}

static bool out_of_files(int e)
{
    return e == EMFILE || e == ENFILE || e == ENOBUFS || e == ENOMEM;
}

/* Else the loop would turn for nothing, at full speed, until somebody leaves. */
static void pause_accepting(struct door *door)
{
    struct gate *g = door->gate;
    uint64_t now = clock_us();

    if (!g->files_told || now - g->files_told > FILES_TELL_US) {
        g->files_told = now;
        log_line(LOG_LEVEL_WARNING,
                 "no descriptor for another connection, %u are open: raise the limit of open "
                 "files (LimitNOFILE=, ulimit -n)",
                 conn_count(g));
    }
    event_del(door->event);
    door->paused = true;
}

void conn_accept(struct door *door)
{
    for (int i = 0; i < ACCEPT_BATCH; i++) {
        int fd = accept4(door->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0 && out_of_files(errno))
            pause_accepting(door);
        if (fd < 0)
            return;
        adopt(door, fd);
    }
}

uint32_t conn_count(const struct gate *g)
{
    uint32_t n = 0;

    for (int i = 0; i < DOORS; i++)
        n += g->doors[i].connections;
    return n;
}

bool conn_unread(const struct gate *g)
{
    for (const struct conn *c = g->conns; c; c = c->next) {
        if (c->out.len > 0)
            return true;
    }
    return false;
}

void conn_close_all(struct gate *g)
{
    while (g->conns)
        conn_close(g, g->conns);
}

struct line *conn_line(const struct conn *c)
{
    return c->line;
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
