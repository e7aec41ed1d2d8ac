/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/exchange.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <sys/socket.h>

#include "proto/base/buf.h"
#include "proto/base/clock.h"
#include "proto/base/secret.h"

#define HELLO_ID   1
#define READ_SIZE  4096
#define HELLO_SIZE 1024        /* more than a hello and the head of a request have */
#define WRITE_FULL (64u << 10) /* waiting to be sent: encode no more */

struct exchange {
    struct conn *conn;
    struct job *job;
    struct err *err;
    uint64_t base;    /* the id of calls[0] */
    size_t next;      /* the first call that may still have to be sent */
    size_t in_flight; /* calls without an answer */
    bool token_out;   /* the buffer has held a token */
    bool write_dead;  /* keyd reads no more; what it has said can still be read */
    struct buf in, out;
};

void job_finish(struct job *job, size_t i, const struct err *err)
{
    struct call *call = &job->calls[i];

    call->state = CALL_FINISHED;
    call->code = err ? err->code : ERR_NONE;
    if (err && i < job->first_failed) {
        job->first_failed = i;
        job->err = *err;
    }
}

/* Milliseconds until the deadline, rounded up; 0: it has passed. */
static uint32_t left_ms(const struct job *job)
{
    uint64_t now = clock_us();
    uint64_t left = job->deadline > now ? (job->deadline - now + 999) / 1000 : 0;

    return left < INT_MAX ? (uint32_t)left : INT_MAX;
}

static enum exchange_end nonsense(struct exchange *x, const char *what)
{
    err_set(x->err, ERR_INTERNAL, "what came from keyd makes no sense: %s", what);
    err_hint(x->err, "is this keyd's socket, and of a version that fits this program?");
    return EXCHANGE_OVER;
}

/* ---- sending */

static bool put_frame(struct exchange *x, const envelope *e, struct err *err)
{
    size_t n = frame_size(e);
    size_t cap = x->conn->greeted ? x->conn->max_frame : FRAME_CAP_CONTROL;

    if (n - FRAME_HEAD > cap)
        return err_set(err, ERR_TOO_LARGE, "a request of %zu bytes; keyd takes %zu", n - FRAME_HEAD,
                       cap);
    uint8_t *at = buf_room(&x->out, n, SIZE_MAX);
    if (!at)
        return err_set(err, ERR_INTERNAL, "no memory for a request of %zu bytes", n);
    buf_fill(&x->out, frame_encode(e, at));
    return true;
}

/* The token goes with it. The buffer is so large from the start that it does not move, and leave a
 * token behind, before it is wiped. */
static bool put_hello(struct exchange *x, const char *name, const char *token, struct err *err)
{
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    hello.version_min = hello.version_max = PROTOCOL_VERSION;
    hello.client = (char *)name;
    hello.token = (char *)token;
    e.id = HELLO_ID;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    size_t first = x->job->count ? frame_size(&x->job->calls[0].request) : 0;
    if (!buf_room(&x->out, HELLO_SIZE + first, SIZE_MAX))
        return err_set(err, ERR_INTERNAL, "no memory for a hello");
    return put_frame(x, &e, err);
}

static void put_call(struct exchange *x, size_t i)
{
    struct call *call = &x->job->calls[i];
    uint32_t left = left_ms(x->job);
    struct err err;

    call->request.id = x->base + i;
    call->request.deadline_ms = left ? left : 1;
    if (!put_frame(x, &call->request, &err)) {
        job_finish(x->job, i, &err);
        return;
    }
    call->state = CALL_IN_FLIGHT;
    x->in_flight++;
}

/* Encodes what may go out now. Until the HelloReply nobody knows how much keyd takes: one call. */
static void fill(struct exchange *x)
{
    size_t window = x->conn->greeted ? x->conn->max_in_flight : 1;

    for (; x->next < x->job->count; x->next++) {
        if (x->in_flight >= window || x->out.len >= WRITE_FULL)
            return;
        if (x->job->calls[x->next].state == CALL_WAITING)
            put_call(x, x->next);
    }
}

/* As send(2) and recv(2) without waiting: -1 with EAGAIN, or with any other errno. */
static ssize_t conn_send(struct conn *c, const void *p, size_t n)
{
    if (!c->ssl)
        return send(atomic_load(&c->fd), p, n, MSG_NOSIGNAL | MSG_DONTWAIT);
    ssize_t r = remote_write(c->ssl, p, n);
    errno = r == REMOTE_AGAIN ? EAGAIN : EPIPE;
    return r > 0 ? r : -1;
}

static ssize_t conn_recv(struct conn *c, void *p, size_t n, struct err *err)
{
    if (!c->ssl)
        return recv(atomic_load(&c->fd), p, n, MSG_DONTWAIT);
    ssize_t r = remote_read(c->ssl, p, n, err);
    errno = r == REMOTE_AGAIN ? EAGAIN : EPROTO;
    return r >= 0 ? r : -1;
}

/* Sends what the socket takes. A dead peer is noticed when reading: it may have said why. */
static void flush(struct exchange *x)
{
    while (x->out.len > 0 && !x->write_dead) {
        ssize_t n = conn_send(x->conn, buf_head(&x->out), x->out.len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            return;
        if (n < 0)
            x->write_dead = true;
        else
            buf_use(&x->out, (size_t)n);
    }
    if (!x->write_dead && x->in_flight > 0)
        x->job->sent = true;
}

/* ---- receiving */

/* An Error that belongs to the connection: it is about to end. */
static enum exchange_end farewell(struct exchange *x, const envelope *e)
{
    frame_error_to(e->error, x->err);
    if (err_class(x->err->code) == ERR_CLASS_NONE)
        return nonsense(x, "an error without a code");
    if (err_class(x->err->code) == ERR_CLASS_RETRY)
        return EXCHANGE_BROKEN;
    return EXCHANGE_OVER;
}

static enum exchange_end take_hello_reply(struct exchange *x, const envelope *e)
{
    const Keyd__V1__HelloReply *r = e->hello_reply;

    if (e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR && (e->id == HELLO_ID || e->id == 0))
        return farewell(x, e);
    if (e->body_case != KEYD__V1__ENVELOPE__BODY_HELLO_REPLY || e->id != HELLO_ID)
        return nonsense(x, "its first message is no HelloReply");
    if (r->version != PROTOCOL_VERSION) {
        err_set(x->err, ERR_UNSUPPORTED, "keyd chose protocol version %u; this program speaks %u",
                (unsigned)r->version, PROTOCOL_VERSION);
        return EXCHANGE_OVER;
    }
    x->conn->max_frame =
        r->max_frame && r->max_frame < FRAME_CAP_CONTROL ? r->max_frame : FRAME_CAP_CONTROL;
    x->conn->max_in_flight = r->max_in_flight ? r->max_in_flight : 1;
    x->conn->greeted = true;
    return EXCHANGE_OPEN;
}

/* Whether keyd asks to try again at a time that still suits us. */
static bool hold(struct exchange *x, size_t i, const struct err *err)
{
    struct job *job = x->job;

    if (job->kind == JOB_CHANGE || err->retry_after_ms == 0 ||
        (err->code != ERR_BUSY && err->code != ERR_UNAVAILABLE))
        return false;
    if (err->retry_after_ms >= left_ms(job))
        return false;
    if (err->retry_after_ms > job->hold_ms)
        job->hold_ms = err->retry_after_ms;
    job->held = *err;
    job->calls[i].state = CALL_HELD;
    return true;
}

static enum exchange_end take_answer(struct exchange *x, const envelope *e)
{
    struct job *job = x->job;
    uint64_t i = e->id - x->base;
    struct err err = {0};

    if (e->id == 0 && e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR)
        return farewell(x, e);
    if (i >= job->count || job->calls[i].state != CALL_IN_FLIGHT)
        return nonsense(x, "an answer to nothing that was asked");
    if (e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR) {
        frame_error_to(e->error, &err);
        if (err_class(err.code) == ERR_CLASS_NONE)
            return nonsense(x, "an error without a code");
        if (!hold(x, i, &err))
            job_finish(job, i, &err);
    } else if (e->body_case != job->calls[i].want) {
        return nonsense(x, "an answer of another kind than was asked for");
    } else {
        job_finish(job, i, job->answered(job, i, e, &err) ? NULL : &err);
    }
    x->in_flight--;
    return EXCHANGE_OPEN;
}

static bool finished(const struct exchange *x)
{
    return x->in_flight == 0 && x->next == x->job->count;
}

static enum exchange_end take_frames(struct exchange *x)
{
    enum exchange_end end = EXCHANGE_OPEN;
    size_t len;

    while (end == EXCHANGE_OPEN && !finished(x)) {
        const uint8_t *at = buf_head(&x->in);
        enum frame_state state = frame_peek(at, x->in.len, FRAME_CAP_CONTROL, &len);

        if (state == FRAME_PART)
            return EXCHANGE_OPEN;
        if (state == FRAME_OVERSIZE)
            return nonsense(x, "a frame that is too long");
        arena_reset(&x->job->arena);
        const envelope *e = frame_decode(&x->job->arena, at + FRAME_HEAD, len, x->err);
        if (!e)
            return nonsense(x, "a frame that cannot be read");
        end = x->conn->greeted ? take_answer(x, e) : take_hello_reply(x, e);
        buf_use(&x->in, FRAME_HEAD + len);
        if (end == EXCHANGE_OPEN)
            fill(x); /* an answer or the HelloReply makes room for another call */
    }
    return end;
}

static enum exchange_end broken(struct exchange *x, bool said)
{
    if (said)
        return x->err->code == ERR_DENIED ? EXCHANGE_OVER : EXCHANGE_BROKEN;
    err_set(x->err, ERR_UNAVAILABLE, "the connection to keyd broke");
    err_hint(x->err, "keyd restarted, or its log says why it ended the connection");
    return EXCHANGE_BROKEN;
}

static enum exchange_end receive_some(struct exchange *x)
{
    uint8_t *room = buf_room(&x->in, READ_SIZE, SIZE_MAX);

    if (!room) {
        err_set(x->err, ERR_INTERNAL, "no memory for an answer");
        return EXCHANGE_OVER;
    }
    ssize_t n = conn_recv(x->conn, room, buf_space(&x->in), x->err);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return EXCHANGE_OPEN;
    if (n <= 0)
        return broken(x, n < 0 && errno == EPROTO);
    buf_fill(&x->in, (size_t)n);
    return take_frames(x);
}

/* TLS may hold more of what the socket has given than one read takes. */
static enum exchange_end receive(struct exchange *x)
{
    enum exchange_end end;

    do {
        end = receive_some(x);
    } while (end == EXCHANGE_OPEN && x->conn->ssl && remote_pending(x->conn->ssl));
    return end;
}

static enum exchange_end await(struct exchange *x)
{
    bool writing = x->out.len > 0 && !x->write_dead;
    struct pollfd p = {.fd = atomic_load(&x->conn->fd), .events = POLLIN};
    uint32_t left = left_ms(x->job);

    if (writing)
        p.events |= POLLOUT;
    if (left == 0) {
        err_set(x->err, ERR_DEADLINE, "keyd gave no answer in time");
        err_hint(x->err, "keyd is overloaded or its token is slow: see keydctl status");
        return EXCHANGE_LATE;
    }
    if (poll(&p, 1, (int)left) < 0 && errno != EINTR) {
        err_errno(x->err, ERR_INTERNAL, errno, "cannot wait for keyd");
        return EXCHANGE_OVER;
    }
    return p.revents & ~POLLOUT ? receive(x) : EXCHANGE_OPEN;
}

/* Calls without an answer may be sent again; what cannot be used again is closed. */
static void settle(struct exchange *x, enum exchange_end end)
{
    for (size_t i = 0; i < x->job->count; i++)
        if (x->job->calls[i].state == CALL_IN_FLIGHT)
            x->job->calls[i].state = CALL_WAITING;
    if (end != EXCHANGE_DONE || !x->conn->greeted || x->in.len > 0 || x->out.len > 0)
        pool_disconnect(x->conn);
    buf_free(&x->in);
    if (x->token_out)
        secret_wipe(x->out.bytes, x->out.cap);
    buf_free(&x->out);
}

enum exchange_end exchange_run(struct conn *conn, const char *name, const char *token,
                               struct job *job, struct err *err)
{
    struct exchange x = {.conn = conn, .job = job, .err = err};
    enum exchange_end end = EXCHANGE_OPEN;

    if (!conn->greeted) {
        conn->next_id = HELLO_ID + 1;
        x.token_out = *token != '\0';
        if (!put_hello(&x, name, token, err))
            end = EXCHANGE_OVER;
    }
    x.base = conn->next_id;
    conn->next_id += job->count;
    job->sent = false;
    fill(&x);
    while (end == EXCHANGE_OPEN && !finished(&x)) {
        flush(&x);
        end = await(&x);
    }
    end = end == EXCHANGE_OPEN ? EXCHANGE_DONE : end;
    settle(&x, end);
    return end;
}
