/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/msg.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/process/log.h"

#define HEAD        8
#define READ_CHUNK  (64u << 10)
#define KIB         1024u
#define MIB         (1024u * KIB)
#define BUFFER_MAX  (64 * MIB) /* far over what any queue lets wait */
#define SEND_WAIT   1000       /* ms */
#define EXIT_BROKEN 70

#define P  (1u << PROC_PARENT)
#define GS (1u << PROC_GATE_SIGNING)
#define GC (1u << PROC_GATE_CONTROL)
#define G  (GS | GC)
#define S  (1u << PROC_SIGNER)
#define C  (1u << PROC_CUSTODIAN)

/* Who may say what to whom. A type may have several rows; nothing else is permitted. */
static const struct rule {
    enum msg_type type;
    const char *name;
    unsigned from, to; /* sets of enum proc */
    uint32_t max_len;  /* of the body */
    uint16_t max_fds;
} rules[] = {
    {MSG_START, "START", P, G | S | C, 256 * KIB, MSG_FDS_MAX}, /* a gate's holds all rules */
    {MSG_PEER, "PEER", P, G | S | C, 9, 1},
    {MSG_TABLE, "TABLE", P, G | S, 8, 1},
    {MSG_TABLE, "TABLE", C, P, 8, 1},
    {MSG_TABLE_KEPT, "TABLE_KEPT", P, C, 8, 0},
    {MSG_DRAIN, "DRAIN", P, G | S | C, 0, 0},
    {MSG_RELOAD, "RELOAD", P, G, 256 * KIB, MSG_FDS_MAX},
    {MSG_READY, "READY", G | S | C, P, 0, 0},
    {MSG_FAILED, "FAILED", G | S | C, P, 4 * KIB, 0},
    {MSG_GUARD, "GUARD", C, P, 4 * KIB, 0},
    {MSG_OVERDUE, "OVERDUE", G | C, P, 9, 0},
    {MSG_STATUS_ASK, "STATUS_ASK", GC, P, 8, 0},
    {MSG_STATUS_ASK, "STATUS_ASK", P, GS | S | C, 8, 0},
    {MSG_STATS, "STATS", GS | S | C, P, 64 * KIB, 0},
    {MSG_STATS, "STATS", P, GC, 64 * KIB, 0},
    {MSG_PROCESSES, "PROCESSES", P, GC, 64 * KIB, 0},
    {MSG_SIGN, "SIGN", GS, S, 64 * KIB + KIB, 0}, /* a whole frame, and what is around it */
    {MSG_SIGN_AHEAD, "SIGN_AHEAD", GS, S, 64 * KIB + KIB, 0},
    {MSG_SIGNED, "SIGNED", S, GS, 2 * KIB, 0},
    {MSG_UNSIGNED, "UNSIGNED", S, GS, 2 * KIB, 0},
    {MSG_REQUEST, "REQUEST", GC, C, MIB + KIB, 0},
    {MSG_ANSWER, "ANSWER", C, GC, MIB + KIB, 0},
    {MSG_KEY, "KEY", C, G | S, 2 * KIB, 0},
    {MSG_KEY_DONE, "KEY_DONE", G | S, C, 2 * KIB, 0},
    {MSG_LEAVE, "LEAVE", C, GC, 0, 0},
    {MSG_LEFT, "LEFT", GC, C, 0, 0},
    {MSG_ACCESS, "ACCESS", C, P | G, 8, 1},
    {MSG_ACCESS, "ACCESS", P, G, 8, 1},
    {MSG_ACCESS_DONE, "ACCESS_DONE", G, C, 8, 0},
    {MSG_TOKEN_USED, "TOKEN_USED", G, C, 32, 0},
    {MSG_TLS, "TLS", P, G, 6, 2},
    {MSG_BENCH, "BENCH", C, S, 9, 0},
    {MSG_BENCHED, "BENCHED", S, C, 4 * KIB, 0},
    {MSG_PIN_ASK, "PIN_ASK", C, P, 8, 0},
    {MSG_PIN, "PIN", P, C, 2 * KIB, 2},
    {MSG_PIN_SET, "PIN_SET", C, P, 2 * KIB, 0},
    {MSG_PIN_KEPT, "PIN_KEPT", P, C, 2 * KIB, 0},
};

static const struct rule *rule_of(enum msg_type type, enum proc from, enum proc to)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        const struct rule *r = &rules[i];

        if (r->type == type && (r->from & 1u << from) && (r->to & 1u << to))
            return r;
    }
    return NULL;
}

bool msg_allowed(enum msg_type type, enum proc from, enum proc to)
{
    return rule_of(type, from, to) != NULL;
}

const char *msg_name(enum msg_type type)
{
    for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
        if (rules[i].type == type)
            return rules[i].name;
    }
    return "unknown";
}

const char *proc_name(enum proc proc)
{
    static const char *const names[PROC_COUNT] = {
        "parent", "signing gate", "control gate", "signer", "custodian",
    };

    return (unsigned)proc < PROC_COUNT ? names[proc] : "unknown";
}

_Noreturn void msg_fatal(const struct chan *from, const char *why)
{
    log_line(LOG_LEVEL_ERROR, "the %s broke the rules of our messages: %s; I end here",
             proc_name(from->peer), why);
    _exit(EXIT_BROKEN);
}

/* A rule that we ourselves break is a defect that no input may reach. */
static _Noreturn void defect(const struct chan *c, const char *why)
{
    log_line(LOG_LEVEL_ERROR, "defect: a message to the %s: %s", proc_name(c->peer), why);
    abort();
}

bool chan_open(struct chan *ret, int fd, enum proc self, enum proc peer, uint32_t index,
               uint32_t generation, struct err *err)
{
    int flags = fcntl(fd, F_GETFL);

    if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "descriptor %d is no channel", fd);
    *ret = (struct chan){
        .fd = fd, .self = self, .peer = peer, .index = index, .generation = generation};
    return true;
}

void chan_close(struct chan *c)
{
    if (c->fd >= 0)
        close(c->fd);
    for (size_t i = 0; i < c->in_fd_count; i++)
        close(c->in_fds[i]);
    buf_free(&c->in);
    buf_free(&c->out);
    *c = (struct chan){
        .fd = -1, .self = c->self, .peer = c->peer, .index = c->index, .generation = c->generation};
}

/* Room for n bytes behind what a buffer holds; a channel that cannot have it is a defect. */
static uint8_t *make_room(struct chan *c, struct buf *b, size_t n)
{
    uint8_t *room = buf_room(b, n, BUFFER_MAX);

    if (!room)
        defect(c, "no memory, or far too much waits");
    return room;
}

/* ---- reading */

static void keep_fds(struct chan *c, struct msghdr *h)
{
    for (struct cmsghdr *m = CMSG_FIRSTHDR(h); m; m = CMSG_NXTHDR(h, m)) {
        if (m->cmsg_level != SOL_SOCKET || m->cmsg_type != SCM_RIGHTS)
            continue;
        size_t n = (m->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        if (c->in_fd_count + n > sizeof(c->in_fds) / sizeof(c->in_fds[0]))
            msg_fatal(c, "too many descriptors");
        memcpy(c->in_fds + c->in_fd_count, CMSG_DATA(m), n * sizeof(int));
        c->in_fd_count += n;
    }
    if (h->msg_flags & MSG_CTRUNC)
        msg_fatal(c, "too many descriptors in one message");
}

enum chan_state chan_read(struct chan *c, struct err *err)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
    } control;

    make_room(c, &c->in, READ_CHUNK);
    struct iovec iov = {c->in.bytes + c->in.start + c->in.len, c->in.cap - c->in.start - c->in.len};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(c->fd, &h, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return CHAN_OPEN;
    if (n == 0 || (n < 0 && errno == ECONNRESET))
        return CHAN_EOF;
    if (n < 0) {
        err_errno(err, ERR_INTERNAL, errno, "cannot read from the %s", proc_name(c->peer));
        return CHAN_BROKEN;
    }
    keep_fds(c, &h);
    buf_fill(&c->in, (size_t)n);
    return CHAN_OPEN;
}

static void take_fds(struct chan *c, struct msg *m, size_t n)
{
    for (size_t i = 0; i < MSG_FDS_MAX; i++)
        m->fds[i] = i < n ? c->in_fds[i] : -1;
    m->fd_count = n;
    c->in_fd_count -= n;
    memmove(c->in_fds, c->in_fds + n, c->in_fd_count * sizeof(int));
}

struct head {
    enum msg_type type;
    size_t whole; /* bytes, of head and body */
    uint16_t fds;
};

/* Looks at the message that begins `offset` bytes behind what is read; false: it is not whole. */
static bool look_at(const struct chan *c, size_t offset, struct head *ret)
{
    struct rd head = rd_of(buf_head(&c->in) + offset, c->in.len - offset);
    uint32_t len = rd_u32(&head);

    ret->type = (enum msg_type)rd_u16(&head);
    ret->fds = rd_u16(&head);
    ret->whole = (size_t)HEAD + len;
    if (head.failed)
        return false;
    const struct rule *rule = rule_of(ret->type, c->peer, c->self);
    if (!rule)
        msg_fatal(c, "a message that it may not send to me");
    if (len > rule->max_len || ret->fds > rule->max_fds)
        msg_fatal(c, "a message that is too long");
    return rd_left(&head) >= len;
}

bool chan_has(const struct chan *c, size_t n)
{
    struct head head;
    size_t before = 0;

    for (; n > 0 && look_at(c, before, &head); n--)
        before += head.whole;
    return n == 0;
}

bool chan_next(struct chan *c, struct msg *ret)
{
    struct head head;

    if (!look_at(c, 0, &head))
        return false;
    if (head.fds > c->in_fd_count)
        msg_fatal(c, "a message without its descriptors");
    *ret =
        (struct msg){.type = head.type, .body = rd_of(buf_head(&c->in) + HEAD, head.whole - HEAD)};
    take_fds(c, ret, head.fds);
    buf_use(&c->in, head.whole); /* the bytes stay where they are until the next chan_read */
    return true;
}

static void reverse(uint8_t *p, size_t n)
{
    for (size_t i = 0; i < n / 2; i++) {
        uint8_t b = p[i];

        p[i] = p[n - 1 - i];
        p[n - 1 - i] = b;
    }
}

bool chan_next_of(struct chan *c, enum msg_type type, struct msg *ret)
{
    uint8_t *first = buf_head(&c->in);
    struct head head;
    size_t before = 0;

    while (look_at(c, before, &head) && head.type != type)
        before += head.whole;
    if (head.type != type || before + head.whole > c->in.len)
        return false;
    if (before > 0) { /* the two change places */
        reverse(first, before);
        reverse(first + before, head.whole);
        reverse(first, before + head.whole);
    }
    return chan_next(c, ret);
}

/* ---- writing */

void chan_put(struct chan *c, enum msg_type type)
{
    if (!rule_of(type, c->self, c->peer))
        defect(c, msg_name(type));
    c->open = c->out.len;
    put_u32(c, 0); /* its length, see seal */
    put_u8(c, (uint8_t)(type >> 8));
    put_u8(c, (uint8_t)type);
    put_u8(c, 0); /* its descriptors, see seal */
    put_u8(c, 0);
}

void put_raw(struct chan *c, const void *p, size_t n)
{
    uint8_t *room = make_room(c, &c->out, n);

    if (n)
        memcpy(room, p, n);
    buf_fill(&c->out, n);
}

void put_u8(struct chan *c, uint8_t v)
{
    put_raw(c, &v, 1);
}

void put_u32(struct chan *c, uint32_t v)
{
    uint8_t b[4] = {(uint8_t)(v >> 24), (uint8_t)(v >> 16), (uint8_t)(v >> 8), (uint8_t)v};

    put_raw(c, b, sizeof(b));
}

void put_u64(struct chan *c, uint64_t v)
{
    put_u32(c, (uint32_t)(v >> 32));
    put_u32(c, (uint32_t)v);
}

void put_bytes(struct chan *c, const void *p, size_t n)
{
    put_u32(c, (uint32_t)n);
    put_raw(c, p, n);
}

void put_str(struct chan *c, const char *s)
{
    put_bytes(c, s, s ? strlen(s) : 0);
}

void put_err(struct chan *c, const struct err *err)
{
    put_u32(c, (uint32_t)err->code);
    put_u32(c, err->retry_after_ms);
    put_str(c, err->text);
    put_str(c, err->hint);
}

/* Writes length and descriptor count of the open message into its head. */
static void seal(struct chan *c, size_t fds)
{
    uint8_t *head = buf_head(&c->out) + c->open;
    size_t len = c->out.len - c->open - HEAD;
    enum msg_type type = (enum msg_type)(head[4] << 8 | head[5]);
    const struct rule *rule = rule_of(type, c->self, c->peer);

    if (!rule || len > rule->max_len || fds > rule->max_fds)
        defect(c, msg_name(type));
    for (size_t i = 0; i < 4; i++)
        head[i] = (uint8_t)(len >> (8 * (3 - i)));
    head[6] = (uint8_t)(fds >> 8);
    head[7] = (uint8_t)fds;
}

void chan_end(struct chan *c)
{
    seal(c, 0);
}

static bool wait_writable(const struct chan *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    int n;

    do
        n = poll(&p, 1, SEND_WAIT);
    while (n < 0 && errno == EINTR);
    return n == 1 && !(p.revents & (POLLERR | POLLNVAL));
}

/* Sends all that stands before the open message, so that descriptors go with its first byte. */
static bool send_before(struct chan *c, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(c->fd, buf_head(&c->out), n, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent < 0 && errno == EAGAIN && !wait_writable(c))
            return false;
        if (sent < 0 && errno != EAGAIN && errno != EINTR)
            return false;
        if (sent > 0) {
            buf_use(&c->out, (size_t)sent);
            n -= (size_t)sent;
        }
    }
    return true;
}

bool chan_end_fds(struct chan *c, const int *fds, size_t count)
{
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(MSG_FDS_MAX * sizeof(int))];
    } control = {0};

    seal(c, count);
    if (!send_before(c, c->open))
        return false;
    struct iovec iov = {buf_head(&c->out), c->out.len};
    struct msghdr h = {.msg_iov = &iov,
                       .msg_iovlen = 1,
                       .msg_control = control.bytes,
                       .msg_controllen = CMSG_SPACE(count * sizeof(int))};
    struct cmsghdr *m = CMSG_FIRSTHDR(&h);
    m->cmsg_level = SOL_SOCKET;
    m->cmsg_type = SCM_RIGHTS;
    m->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(m), fds, count * sizeof(int));
    for (;;) {
        ssize_t sent = sendmsg(c->fd, &h, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0) {
            buf_use(&c->out, (size_t)sent);
            return chan_flush(c);
        }
        if (errno == EAGAIN ? !wait_writable(c) : errno != EINTR)
            return false;
    }
}

bool chan_flush(struct chan *c)
{
    while (c->out.len > 0) {
        ssize_t sent = send(c->fd, buf_head(&c->out), c->out.len, MSG_NOSIGNAL | MSG_DONTWAIT);

        if (sent > 0)
            buf_use(&c->out, (size_t)sent);
        else if (errno == EAGAIN)
            return true;
        else if (errno != EINTR)
            return false;
    }
    return true;
}

size_t chan_pending(const struct chan *c)
{
    return c->out.len;
}

/* ---- fields */

const uint8_t *msg_get_bytes(struct msg *m, size_t *ret_len)
{
    uint32_t len = rd_u32(&m->body);
    const uint8_t *p = rd_bytes(&m->body, len);

    *ret_len = p ? len : 0;
    return p;
}

void msg_get_str(struct msg *m, char *buf, size_t size)
{
    size_t len;
    const uint8_t *p = msg_get_bytes(m, &len);

    buf[0] = 0;
    if (!p || len >= size || memchr(p, 0, len)) {
        m->body.failed = true;
        return;
    }
    memcpy(buf, p, len);
    buf[len] = 0;
}

void msg_get_err(struct msg *m, struct err *ret)
{
    ret->code = (enum err_code)rd_u32(&m->body);
    ret->retry_after_ms = rd_u32(&m->body);
    msg_get_str(m, ret->text, sizeof(ret->text));
    msg_get_str(m, ret->hint, sizeof(ret->hint));
}

int msg_take_fd(struct msg *m)
{
    for (size_t i = 0; i < m->fd_count; i++) {
        if (m->fds[i] >= 0) {
            int fd = m->fds[i];

            m->fds[i] = -1;
            return fd;
        }
    }
    return -1;
}

void msg_end(struct msg *m, const struct chan *from)
{
    if (!rd_end(&m->body))
        msg_fatal(from, msg_name(m->type));
    if (msg_take_fd(m) >= 0)
        msg_fatal(from, "a descriptor that nobody asked for");
}
