/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/fake/fake_keyd.h"

#include <errno.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/frame.h"
#include "proto/keys.h"

#define CONNECTIONS_MAX 64
#define BUFFER_MAX      (FRAME_CAP_CONTROL + FRAME_HEAD)

struct connection {
    int fd; /* -1: free */
    uint8_t *in;
    size_t len;
};

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    perror(what);
    abort();
}

/* -------------------------------------------------------------------------------- the answers */

static void reply(int fd, const envelope *e)
{
    size_t n = frame_size(e), sent = 0;
    AUTO_FREE uint8_t *frame = mem_new(n);

    must(frame != NULL, "mem_new");
    frame_encode(e, frame);
    while (sent < n) {
        ssize_t r = send(fd, frame + sent, n - sent, MSG_NOSIGNAL);

        if (r < 0)
            return; /* the client is gone */
        sent += (size_t)r;
    }
}

static void reply_error(int fd, uint64_t id, enum err_code code, const char *text)
{
    Keyd__V1__Error error = KEYD__V1__ERROR__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    error.code = (Keyd__V1__ErrorCode)code;
    error.message = (char *)text;
    error.retry_after_ms = code == ERR_BUSY ? 5 : 0;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    e.error = &error;
    reply(fd, &e);
}

static void reply_hello(int fd, uint64_t id)
{
    Keyd__V1__HelloReply hello = KEYD__V1__HELLO_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    hello.version = PROTOCOL_VERSION;
    hello.server = (char *)"fake keyd";
    hello.max_frame = FRAME_CAP_CONTROL;
    hello.max_in_flight = 64;
    hello.default_deadline_ms = 2000;
    hello.max_deadline_ms = 60000;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO_REPLY;
    e.hello_reply = &hello;
    reply(fd, &e);
}

static EVP_PKEY *key_of(const struct fake_keyd *f, ProtobufCBinaryData id)
{
    for (size_t i = 0; i < f->key_count; i++) {
        uint8_t *spki = NULL, own[KEY_ID_LEN];
        int len = i2d_PUBKEY(f->keys[i], &spki);
        bool same = len > 0 && key_id_of(spki, (size_t)len, own) && id.len == KEY_ID_LEN &&
                    memcmp(own, id.data, KEY_ID_LEN) == 0;

        OPENSSL_free(spki);
        if (same)
            return f->keys[i];
    }
    return NULL;
}

/* What a SignatureScheme (RFC 8446 4.2.3) means to OpenSSL. */
static bool scheme_of(uint32_t scheme, const char **ret_digest, bool *ret_pss)
{
    static const struct {
        uint16_t scheme;
        const char *digest;
        bool pss;
    } rows[] = {
        {0x0401, "SHA256", false}, {0x0501, "SHA384", false}, {0x0601, "SHA512", false},
        {0x0403, "SHA256", false}, {0x0503, "SHA384", false}, {0x0603, "SHA512", false},
        {0x0804, "SHA256", true},  {0x0805, "SHA384", true},  {0x0806, "SHA512", true},
        {0x0809, "SHA256", true},  {0x080a, "SHA384", true},  {0x080b, "SHA512", true},
        {0x0807, NULL, false},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++)
        if (rows[i].scheme == scheme) {
            *ret_digest = rows[i].digest;
            *ret_pss = rows[i].pss;
            return true;
        }
    return false;
}

static bool sign(EVP_PKEY *key, uint32_t scheme, ProtobufCBinaryData message, uint8_t *sig,
                 size_t *sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    const char *digest;
    bool pss, ok;

    ok = scheme_of(scheme, &digest, &pss) &&
         EVP_DigestSignInit_ex(ctx, &pctx, digest, NULL, NULL, key, NULL) > 0 &&
         (!pss || (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                   EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0)) &&
         EVP_DigestSign(ctx, sig, sig_len, message.data, message.len) > 0;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static bool take_one(atomic_uint *left)
{
    unsigned n = atomic_load(left);

    while (n > 0)
        if (atomic_compare_exchange_weak(left, &n, n - 1))
            return true;
    return false;
}

static void log_message(const struct fake_keyd *f, const EVP_PKEY *key, ProtobufCBinaryData m)
{
    struct fake_shared *shared = f->shared;
    size_t at = atomic_load(&shared->logged), index = 0;

    while (index < f->key_count && f->keys[index] != key)
        index++;
    if (at + 5 + m.len > FAKE_LOG_MAX) {
        atomic_fetch_add(&shared->lost, 1);
        return;
    }
    const uint8_t head[] = {(uint8_t)index, (uint8_t)(m.len >> 24), (uint8_t)(m.len >> 16),
                            (uint8_t)(m.len >> 8), (uint8_t)m.len};
    memcpy(shared->log + at, head, sizeof(head));
    if (m.len)
        memcpy(shared->log + at + sizeof(head), m.data, m.len);
    atomic_store(&shared->logged, (unsigned)(at + sizeof(head) + m.len));
}

static void answer_sign(const struct fake_keyd *f, int fd, const envelope *e)
{
    struct fake_shared *shared = f->shared;
    uint8_t sig[1024];
    size_t sig_len = sizeof(sig);

    atomic_fetch_add(&shared->signs, 1);
    atomic_store(&shared->scheme, e->sign->scheme);
    if (atomic_load(&shared->silent))
        return;
    if (take_one(&shared->busy_left)) {
        reply_error(fd, e->id, ERR_BUSY, "the queue is full");
        return;
    }
    if (atomic_load(&shared->fail_code)) {
        reply_error(fd, e->id, (enum err_code)atomic_load(&shared->fail_code), "told to refuse");
        return;
    }
    EVP_PKEY *key = key_of(f, e->sign->key_id);
    if (!key) {
        reply_error(fd, e->id, ERR_NOT_FOUND, "no key has this id");
        return;
    }
    if (!sign(key, e->sign->scheme, e->sign->message, sig, &sig_len)) {
        reply_error(fd, e->id, ERR_BAD_SCHEME, "the key does not sign so");
        return;
    }
    log_message(f, key, e->sign->message);
    if (atomic_load(&shared->garbage))
        sig[sig_len - 1] ^= 1;
    Keyd__V1__SignReply made = KEYD__V1__SIGN_REPLY__INIT;
    envelope out = KEYD__V1__ENVELOPE__INIT;
    made.signature = (ProtobufCBinaryData){.data = sig, .len = sig_len};
    out.id = e->id;
    out.body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
    out.sign_reply = &made;
    reply(fd, &out);
}

static void answer_public_key(const struct fake_keyd *f, int fd, const envelope *e)
{
    EVP_PKEY *key = key_of(f, e->get_public_key->key_id);
    uint8_t *spki = NULL;

    if (!key) {
        reply_error(fd, e->id, ERR_NOT_FOUND, "no key has this id");
        return;
    }
    int len = i2d_PUBKEY(key, &spki);
    Keyd__V1__GetPublicKeyReply made = KEYD__V1__GET_PUBLIC_KEY_REPLY__INIT;
    envelope out = KEYD__V1__ENVELOPE__INIT;
    made.spki = (ProtobufCBinaryData){.data = spki, .len = (size_t)len};
    made.purposes = PURPOSES_DEFAULT;
    out.id = e->id;
    out.body_case = KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY;
    out.get_public_key_reply = &made;
    reply(fd, &out);
    OPENSSL_free(spki);
}

static void answer_ping(int fd, const envelope *e)
{
    Keyd__V1__PingReply made = KEYD__V1__PING_REPLY__INIT;
    envelope out = KEYD__V1__ENVELOPE__INIT;

    out.id = e->id;
    out.body_case = KEYD__V1__ENVELOPE__BODY_PING_REPLY;
    out.ping_reply = &made;
    reply(fd, &out);
}

static void answer(const struct fake_keyd *f, int fd, const envelope *e)
{
    switch (e->body_case) {
    case KEYD__V1__ENVELOPE__BODY_HELLO:
        reply_hello(fd, e->id);
        break;
    case KEYD__V1__ENVELOPE__BODY_PING:
        answer_ping(fd, e);
        break;
    case KEYD__V1__ENVELOPE__BODY_SIGN:
        answer_sign(f, fd, e);
        break;
    case KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY:
        answer_public_key(f, fd, e);
        break;
    default:
        reply_error(fd, e->id, ERR_UNSUPPORTED, "this is not served here");
        break;
    }
}

/* ----------------------------------------------------------------------------- the connections */

static void hang_up(struct connection *c)
{
    close(c->fd);
    mem_free(c->in);
    *c = (struct connection){.fd = -1};
}

/* Answers what is whole in the buffer. False: what came is no protocol. */
static bool use(const struct fake_keyd *f, struct connection *c)
{
    size_t n;

    for (;;) {
        enum frame_state state = frame_peek(c->in, c->len, FRAME_CAP_CONTROL, &n);

        if (state != FRAME_WHOLE)
            return state == FRAME_PART;
        struct arena a = arena_of(4u << 20);
        struct err err;
        envelope *e = frame_decode(&a, c->in + FRAME_HEAD, n, &err);

        if (e)
            answer(f, c->fd, e);
        arena_free(&a);
        if (!e)
            return false;
        c->len -= FRAME_HEAD + n;
        memmove(c->in, c->in + FRAME_HEAD + n, c->len);
    }
}

static void on_readable(const struct fake_keyd *f, struct connection *c)
{
    ssize_t n = recv(c->fd, c->in + c->len, BUFFER_MAX - c->len, 0);

    if (n > 0)
        c->len += (size_t)n;
    if (n <= 0 || !use(f, c))
        hang_up(c);
}

static void on_connect(const struct fake_keyd *f, struct connection *all, int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

    for (size_t i = 0; fd >= 0 && i < CONNECTIONS_MAX; i++)
        if (all[i].fd < 0) {
            all[i] = (struct connection){.fd = fd, .in = mem_new(BUFFER_MAX)};
            atomic_fetch_add(&f->shared->connections, 1);
            return;
        }
    if (fd >= 0)
        close(fd);
}

static _Noreturn void serve(const struct fake_keyd *f, int listener)
{
    static struct connection all[CONNECTIONS_MAX];
    struct pollfd polls[CONNECTIONS_MAX + 1];

    for (size_t i = 0; i < CONNECTIONS_MAX; i++)
        all[i].fd = -1;
    for (;;) {
        polls[CONNECTIONS_MAX] = (struct pollfd){.fd = listener, .events = POLLIN};
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            polls[i] = (struct pollfd){.fd = all[i].fd, .events = POLLIN};
        if (poll(polls, CONNECTIONS_MAX + 1, -1) < 0)
            continue;
        for (size_t i = 0; i < CONNECTIONS_MAX; i++)
            if (all[i].fd >= 0 && polls[i].revents)
                on_readable(f, &all[i]);
        if (polls[CONNECTIONS_MAX].revents)
            on_connect(f, all, listener);
    }
}

/* ------------------------------------------------------------------------------- start and end */

void fake_init(struct fake_keyd *f, const char *path, EVP_PKEY *const *keys, size_t count)
{
    *f = (struct fake_keyd){.key_count = count};
    must(count <= FAKE_KEYS_MAX, "too many keys");
    snprintf(f->path, sizeof(f->path), "%s", path);
    for (size_t i = 0; i < count; i++)
        f->keys[i] = keys[i];
    f->shared =
        mmap(NULL, sizeof(*f->shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(f->shared != MAP_FAILED, "mmap");
}

void fake_start(struct fake_keyd *f)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    pid_t parent = getpid();
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(sa.sun_path, f->path, sizeof(f->path));
    unlink(f->path);
    must(listener >= 0 && bind(listener, (struct sockaddr *)&sa, sizeof(sa)) == 0 &&
             listen(listener, 64) == 0,
         "fake keyd: listen");
    f->pid = fork();
    must(f->pid >= 0, "fork");
    if (f->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            _exit(1);
        serve(f, listener);
    }
    close(listener);
}

void fake_stop(struct fake_keyd *f)
{
    if (f->pid > 0) {
        kill(f->pid, SIGKILL);
        while (waitpid(f->pid, NULL, 0) < 0 && errno == EINTR)
            ;
        unlink(f->path);
    }
    f->pid = 0;
}

void fake_done(struct fake_keyd *f)
{
    fake_stop(f);
    munmap(f->shared, sizeof(*f->shared));
    f->shared = NULL;
}
