/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libkeyd/server.h"

#include <dirent.h>
#include <errno.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "proto/frame.h"
#include "proto/keys.h"
#include "tests/unit/libkeyd/canned.h"

#define PEERS      96
#define QUEUE      4096
#define IN_SIZE    (FRAME_CAP_CONTROL + FRAME_HEAD)
#define GATHER_MS  20
#define WRONG_BASE 1000000

struct answer {
    uint8_t *frame;
    size_t len;
};

struct peer {
    int fd; /* -1: free */
    uint8_t *in;
    size_t in_len;
    struct answer queue[QUEUE];
    size_t queued;
    uint64_t due; /* ms when the queue goes out */
    size_t sent;  /* bytes on this connection */
    bool greeted, ending, doomed;
    size_t doomed_at;
};

struct server {
    pthread_t thread;
    pthread_mutex_t lock; /* over knobs and seen */
    struct server_knobs knobs;
    struct server_seen seen;
    int listener, stop;
    char path[108];
    struct peer *peers;
};

static EVP_PKEY *key;
static uint8_t *spki;
static size_t spki_len;
static uint8_t key_id[KEY_ID_LEN];

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

uint64_t now_ms(void)
{
    return clock_us() / 1000;
}

/* ---- the key */

static void make_key(void)
{
    if (key)
        return;
    key = EVP_EC_gen("P-256");
    must(key != NULL, "EVP_EC_gen");
    spki_len = (size_t)i2d_PUBKEY(key, &spki);
    must(spki != NULL && key_id_of(spki, spki_len, key_id), "i2d_PUBKEY");
}

const uint8_t *server_key_id(void)
{
    make_key();
    return key_id;
}

const uint8_t *server_spki(size_t *ret_len)
{
    make_key();
    *ret_len = spki_len;
    return spki;
}

bool server_verifies(const uint8_t *message, size_t len, const uint8_t *sig, size_t sig_len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestVerify(md, sig, sig_len, message, len) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

/* ---- what goes out */

static void enqueue(struct peer *p, const envelope *e)
{
    struct answer *a = &p->queue[p->queued++];

    must(p->queued < QUEUE, "too many answers wait");
    a->len = frame_size(e);
    a->frame = mem_new(a->len);
    must(a->frame != NULL, "mem_new");
    frame_encode(e, a->frame);
}

static void enqueue_error(struct peer *p, uint64_t id, enum err_code code, uint32_t retry_ms)
{
    Keyd__V1__Error error = KEYD__V1__ERROR__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    error.code = (Keyd__V1__ErrorCode)code;
    error.message = (char *)"the knob says no";
    error.hint = (char *)"turn it";
    error.retry_after_ms = retry_ms;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    e.error = &error;
    enqueue(p, &e);
}

/* A frame whose head says `claimed` and whose body is `len` bytes of 0xff. */
static void enqueue_raw(struct peer *p, uint32_t claimed, size_t len)
{
    struct answer *a = &p->queue[p->queued++];

    a->len = FRAME_HEAD + len;
    a->frame = mem_new(a->len);
    must(a->frame != NULL, "mem_new");
    for (size_t i = 0; i < FRAME_HEAD; i++)
        a->frame[i] = (uint8_t)(claimed >> (24 - 8 * i));
    memset(a->frame + FRAME_HEAD, 0xff, len);
}

/* The last answer twice, to be sent in one piece. */
static void double_last(struct peer *p)
{
    struct answer *a = &p->queue[p->queued - 1];
    uint8_t *both = mem_resize(a->frame, 2 * a->len, 1);

    must(both != NULL, "mem_resize");
    memcpy(both + a->len, both, a->len);
    a->frame = both;
    a->len *= 2;
}

static bool send_all(struct peer *p, const uint8_t *at, size_t len, bool bytewise)
{
    while (len > 0) {
        size_t part = bytewise ? 1 : len;

        if (p->doomed && p->doomed_at - p->sent < part)
            part = p->doomed_at - p->sent;
        if (part == 0)
            return false;
        ssize_t n = send(p->fd, at, part, MSG_NOSIGNAL);
        if (n <= 0)
            return false;
        at += n;
        len -= (size_t)n;
        p->sent += (size_t)n;
    }
    return true;
}

static void hang_up(struct server *s, struct peer *p)
{
    for (size_t i = 0; i < p->queued; i++)
        mem_free(p->queue[i].frame);
    close(p->fd);
    mem_free(p->in);
    *p = (struct peer){.fd = -1};
    s->seen.open--;
}

/* Sends the queue. The lock is not held while sending: the client may be slow to read. */
static void send_queue(struct server *s, struct peer *p)
{
    bool bytewise = s->knobs.bytewise, reverse = s->knobs.reverse, ok = true;
    size_t count = p->queued;

    if (s->seen.in_flight < count)
        s->seen.in_flight = (uint32_t)count;
    pthread_mutex_unlock(&s->lock);
    for (size_t i = 0; i < count; i++) {
        struct answer *a = &p->queue[reverse ? count - 1 - i : i];

        ok = ok && send_all(p, a->frame, a->len, bytewise);
        mem_free(a->frame);
    }
    p->queued = 0;
    pthread_mutex_lock(&s->lock);
    if (!ok || p->ending)
        hang_up(s, p);
}

/* ---- answers */

static bool sign(const Keyd__V1__Sign *ask, uint8_t *sig, size_t *sig_len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 &&
              EVP_DigestSign(md, sig, sig_len, ask->message.data, ask->message.len) == 1;

    EVP_MD_CTX_free(md);
    return ok;
}

static void answer_sign(struct server *s, struct peer *p, const envelope *ask)
{
    Keyd__V1__SignReply made = KEYD__V1__SIGN_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    uint8_t sig[256];
    size_t len = sizeof(sig);

    if (ask->sign->key_id.len != KEY_ID_LEN || memcmp(ask->sign->key_id.data, key_id, 32) != 0) {
        enqueue_error(p, ask->id, ERR_NOT_FOUND, 0);
        return;
    }
    if (ask->sign->scheme != 0x0403) {
        enqueue_error(p, ask->id, ERR_BAD_SCHEME, 0);
        return;
    }
    must(sign(ask->sign, sig, &len), "sign");
    if (s->knobs.nonsense != NONSENSE_EMPTY)
        made.signature = (ProtobufCBinaryData){.len = len, .data = sig};
    e.id = ask->id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
    e.sign_reply = &made;
    enqueue(p, &e);
}

static void answer_small(struct server *s, struct peer *p, const envelope *ask)
{
    Keyd__V1__PingReply pong = KEYD__V1__PING_REPLY__INIT;
    Keyd__V1__GetPublicKeyReply public = KEYD__V1__GET_PUBLIC_KEY_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    e.id = ask->id;
    if (ask->body_case == KEYD__V1__ENVELOPE__BODY_PING) {
        e.body_case = KEYD__V1__ENVELOPE__BODY_PING_REPLY;
        e.ping_reply = &pong;
    } else {
        e.body_case = KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY;
        e.get_public_key_reply = &public;
        if (s->knobs.nonsense != NONSENSE_EMPTY)
        public.spki = (ProtobufCBinaryData){.len = spki_len, .data = spki};
    }
    enqueue(p, &e);
}

static void answer_well(struct server *s, struct peer *p, const envelope *ask)
{
    struct canned_how how = {.page = s->knobs.page,
                             .endless = s->knobs.endless,
                             .empty = s->knobs.nonsense == NONSENSE_EMPTY,
                             .key_id = key_id,
                             .spki = spki,
                             .spki_len = spki_len};
    struct arena a = arena_of(4u << 20);
    envelope e = KEYD__V1__ENVELOPE__INIT;

    switch (ask->body_case) {
    case KEYD__V1__ENVELOPE__BODY_SIGN:
        answer_sign(s, p, ask);
        break;
    case KEYD__V1__ENVELOPE__BODY_PING:
    case KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY:
        answer_small(s, p, ask);
        break;
    default:
        e.id = ask->id;
        if (canned_answer(ask, &how, &a, &e))
            enqueue(p, &e);
        else
            enqueue_error(p, ask->id, ERR_NOT_FOUND, 0);
    }
    arena_free(&a);
}

static void answer_badly(struct peer *p, const envelope *ask, enum server_nonsense how)
{
    Keyd__V1__PingReply pong = KEYD__V1__PING_REPLY__INIT;
    Keyd__V1__SignReply sig = KEYD__V1__SIGN_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    e.id = how == NONSENSE_WRONG_ID ? ask->id + WRONG_BASE : ask->id;
    switch (how) {
    case NONSENSE_GARBAGE:
        enqueue_raw(p, 40, 40);
        return;
    case NONSENSE_OVERSIZE:
        enqueue_raw(p, 0x7fffffff, 40);
        return;
    case NONSENSE_NO_CODE:
        enqueue_error(p, ask->id, ERR_NONE, 0);
        return;
    case NONSENSE_NO_BODY:
        break;
    default:
        e.body_case = KEYD__V1__ENVELOPE__BODY_PING_REPLY;
        e.ping_reply = &pong;
        if (ask->body_case != KEYD__V1__ENVELOPE__BODY_SIGN && how == NONSENSE_WRONG_KIND) {
            e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
            e.sign_reply = &sig;
        }
    }
    enqueue(p, &e);
}

static bool is_change(const envelope *e)
{
    return e->body_case == KEYD__V1__ENVELOPE__BODY_TENANTS_ADD ||
           e->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE;
}

static bool use_up(uint32_t *times)
{
    if (*times == 0)
        return false;
    if (*times != SERVER_ALWAYS)
        (*times)--;
    return true;
}

/* False: the connection ends now. */
static bool answer_request(struct server *s, struct peer *p, const envelope *ask)
{
    struct server_knobs *k = &s->knobs;

    s->seen.requests++;
    s->seen.changes += is_change(ask);
    s->seen.deadline_ms = ask->deadline_ms;
    s->seen.early |= !p->greeted;
    if (use_up(&k->drop))
        return false;
    if (k->silent)
        return true;
    if (use_up(&k->goodbye)) {
        enqueue_error(p, 0, k->fail_code, k->fail_retry_ms);
        p->ending = true;
    } else if (use_up(&k->fail)) {
        enqueue_error(p, ask->id, k->fail_code, k->fail_retry_ms);
    } else if (k->nonsense != NONSENSE_NONE && k->nonsense < NONSENSE_TWICE) {
        answer_badly(p, ask, k->nonsense);
    } else {
        answer_well(s, p, ask);
        if (k->nonsense == NONSENSE_TWICE)
            double_last(p);
    }
    return true;
}

static void answer_hello(struct server *s, struct peer *p, const envelope *ask)
{
    Keyd__V1__HelloReply made = KEYD__V1__HELLO_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    p->greeted = true;
    snprintf(s->seen.client, sizeof(s->seen.client), "%s", ask->hello->client);
    switch (s->knobs.hello) {
    case HELLO_SILENT:
        return;
    case HELLO_REFUSED:
        enqueue_error(p, ask->id, ERR_UNSUPPORTED, 0);
        p->ending = true;
        return;
    case HELLO_FULL:
        enqueue_error(p, 0, ERR_BUSY, 10);
        p->ending = true;
        return;
    default:
        made.version = s->knobs.hello == HELLO_VERSION ? 99 : PROTOCOL_VERSION;
        made.server = (char *)"cardboard";
        made.max_frame = s->knobs.max_frame ? s->knobs.max_frame : 65536;
        made.max_in_flight = s->knobs.max_in_flight ? s->knobs.max_in_flight : 64;
        e.id = ask->id;
        e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO_REPLY;
        e.hello_reply = &made;
        enqueue(p, &e);
    }
}

static bool take_frame(struct server *s, struct peer *p, size_t len)
{
    struct arena a = arena_of(4u << 20);
    struct err err;
    envelope *e = frame_decode(&a, p->in + FRAME_HEAD, len, &err);
    bool go_on = e != NULL && !p->ending;

    if (go_on && e->body_case == KEYD__V1__ENVELOPE__BODY_HELLO) {
        answer_hello(s, p, e);
    } else if (go_on) {
        go_on = answer_request(s, p, e);
        p->due = now_ms() + (s->knobs.reverse ? GATHER_MS : s->knobs.delay_ms);
    }
    arena_free(&a);
    return go_on || p->ending;
}

static void on_readable(struct server *s, struct peer *p)
{
    ssize_t n = recv(p->fd, p->in + p->in_len, IN_SIZE - p->in_len, MSG_DONTWAIT);
    bool ok = n > 0;
    size_t len;

    if (n > 0)
        p->in_len += (size_t)n;
    while (ok && frame_peek(p->in, p->in_len, FRAME_CAP_CONTROL, &len) == FRAME_WHOLE) {
        ok = take_frame(s, p, len);
        p->in_len -= FRAME_HEAD + len;
        memmove(p->in, p->in + FRAME_HEAD + len, p->in_len);
        /* The HelloReply is never held back. */
        if (ok && p->queued == 1 && p->sent == 0)
            send_queue(s, p);
        if (p->fd < 0)
            return;
    }
    if (!ok)
        hang_up(s, p);
}

static void on_connect(struct server *s)
{
    int fd = accept4(s->listener, NULL, NULL, SOCK_CLOEXEC);
    struct timeval patience = {.tv_sec = 5};

    for (size_t i = 0; fd >= 0 && i < PEERS; i++) {
        struct peer *p = &s->peers[i];

        if (p->fd >= 0)
            continue;
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof(patience));
        p->fd = fd;
        p->in = mem_new(IN_SIZE);
        must(p->in != NULL, "mem_new");
        p->doomed = s->knobs.close_armed;
        p->doomed_at = s->knobs.close_at;
        s->knobs.close_armed = false;
        s->seen.connections++;
        s->seen.open++;
        return;
    }
    if (fd >= 0)
        close(fd);
}

/* ---- the loop */

static int next_due(const struct server *s)
{
    uint64_t now = now_ms();
    int wait = -1;

    for (size_t i = 0; i < PEERS; i++) {
        const struct peer *p = &s->peers[i];

        if (p->fd < 0 || p->queued == 0)
            continue;
        int left = p->due > now ? (int)(p->due - now) : 0;
        if (wait < 0 || left < wait)
            wait = left;
    }
    return wait;
}

static void turn(struct server *s, const struct pollfd *polls)
{
    pthread_mutex_lock(&s->lock);
    for (size_t i = 0; i < PEERS; i++) {
        struct peer *p = &s->peers[i];

        if (p->fd >= 0 && p->fd == polls[i].fd && polls[i].revents)
            on_readable(s, p);
        if (p->fd >= 0 && p->queued > 0 && p->due <= now_ms())
            send_queue(s, p);
    }
    if (polls[PEERS].revents)
        on_connect(s);
    pthread_mutex_unlock(&s->lock);
}

static void *serve(void *arg)
{
    struct server *s = arg;
    struct pollfd polls[PEERS + 2];

    for (;;) {
        for (size_t i = 0; i < PEERS; i++)
            polls[i] = (struct pollfd){.fd = s->peers[i].fd, .events = POLLIN};
        polls[PEERS] = (struct pollfd){.fd = s->listener, .events = POLLIN};
        polls[PEERS + 1] = (struct pollfd){.fd = s->stop, .events = POLLIN};
        if (poll(polls, PEERS + 2, next_due(s)) < 0)
            continue;
        if (polls[PEERS + 1].revents)
            return NULL;
        turn(s, polls);
    }
}

struct server *server_start(const char *path, const struct server_knobs *knobs)
{
    struct server *s = mem_new(sizeof(*s));
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    make_key();
    must(s != NULL && (s->peers = mem_array(PEERS, sizeof(*s->peers))) != NULL, "mem_new");
    for (size_t i = 0; i < PEERS; i++)
        s->peers[i].fd = -1;
    s->knobs = knobs ? *knobs : (struct server_knobs){0};
    snprintf(s->path, sizeof(s->path), "%s", path);
    snprintf(to.sun_path, sizeof(to.sun_path), "%s", path);
    unlink(path);
    pthread_mutex_init(&s->lock, NULL);
    s->stop = eventfd(0, EFD_CLOEXEC);
    s->listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(bind(s->listener, (struct sockaddr *)&to, sizeof(to)) == 0, "bind");
    must(listen(s->listener, 128) == 0, "listen");
    must(pthread_create(&s->thread, NULL, serve, s) == 0, "pthread_create");
    return s;
}

void server_stop(struct server *s, bool unlink_it)
{
    uint64_t one = 1;

    must(write(s->stop, &one, sizeof(one)) == sizeof(one), "eventfd");
    pthread_join(s->thread, NULL);
    close(s->listener);
    if (unlink_it)
        unlink(s->path);
    for (size_t i = 0; i < PEERS; i++)
        if (s->peers[i].fd >= 0)
            hang_up(s, &s->peers[i]);
    close(s->stop);
    pthread_mutex_destroy(&s->lock);
    mem_free(s->peers);
    mem_free(s);
}

void server_set(struct server *s, const struct server_knobs *knobs)
{
    pthread_mutex_lock(&s->lock);
    s->knobs = *knobs;
    pthread_mutex_unlock(&s->lock);
}

struct server_seen server_seen(struct server *s)
{
    pthread_mutex_lock(&s->lock);
    struct server_seen seen = s->seen;
    pthread_mutex_unlock(&s->lock);
    return seen;
}

/* ---- files of the test */

static char dir[64];

const char *scratch_dir(void)
{
    const char *tmp = getenv("TMPDIR");

    if (!dir[0]) {
        if (!tmp || strlen(tmp) > 40)
            tmp = "/tmp";
        snprintf(dir, sizeof(dir), "%s/keyd-XXXXXX", tmp);
        must(mkdtemp(dir) != NULL, "mkdtemp");
    }
    return dir;
}

const char *scratch_path(const char *name)
{
    static _Thread_local char path[108];

    snprintf(path, sizeof(path), "%s/%s", scratch_dir(), name);
    return path;
}

static void remove_below(const char *where)
{
    DIR *d = opendir(where);

    for (struct dirent *e; d && (e = readdir(d));) {
        char path[512];

        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        snprintf(path, sizeof(path), "%s/%s", where, e->d_name);
        if (unlink(path) != 0)
            remove_below(path);
    }
    if (d)
        closedir(d);
    rmdir(where);
}

void scratch_done(void)
{
    if (dir[0])
        remove_below(dir);
    dir[0] = 0;
    EVP_PKEY_free(key);
    OPENSSL_free(spki);
    key = NULL;
    spki = NULL;
}
