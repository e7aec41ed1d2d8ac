/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/gate/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/gate/gate.h"
#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "proto/base/clock.h"
#include "proto/token.h"

#define CHAN_FD 3
#define WAIT_MS 20000
#define SCHEME  0x0403
#define FILES   512

static void must(bool ok, const struct err *err)
{
    if (!ok)
        fail_msg("%s: %s", err_name(err->code), err->text);
}

/* ---- the process */

void rig_child(int argc, char **argv)
{
    struct rlimit files;
    struct chan parent;
    struct err err;

    if (argc != 3 || strncmp(argv[1], "--gate-", 7) != 0)
        return;
    if (getrlimit(RLIMIT_NOFILE, &files) != 0)
        _exit(2);
    unsigned long most = strtoul(argv[2], NULL, 10);
    if (most)
        files.rlim_max = most;
    files.rlim_cur = files.rlim_max < FILES ? files.rlim_max : FILES; /* as in a shell */
    signal(SIGPIPE, SIG_IGN);
    log_init(argv[1] + 2);
    enum proc self = argv[1][7] == 's' ? PROC_GATE_SIGNING : PROC_GATE_CONTROL;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0 || !sandbox_basics(true, &err) ||
        !chan_open(&parent, CHAN_FD, self, PROC_PARENT, 0, 0, &err))
        _exit(2);
    _exit(gate_main(&parent));
}

struct limits rig_limits(void)
{
    return (struct limits){.connections = 1024,
                           .in_flight = 256,
                           .queue = 4096,
                           .buffers_mib = 64,
                           .default_deadline_ms = 20000,
                           .max_deadline_ms = 60000,
                           .signer_timeout_ms = 20000};
}

static void forget(struct rig *r)
{
    *r = (struct rig){.parent = {.fd = -1}, .custodian = {.fd = -1}};
    for (size_t i = 0; i < RIG_SIGNERS; i++)
        r->signers[i].fd = -1;
}

static int listen_in(struct rig *r)
{
    const char *tmp = getenv("TMPDIR");
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0); /* the gate makes it non-blocking */

    snprintf(r->dir, sizeof(r->dir), "%s/keyd-gate-XXXXXX", tmp && strlen(tmp) < 40 ? tmp : "/tmp");
    assert_non_null(mkdtemp(r->dir));
    snprintf(r->path, sizeof(r->path), "%s/sock", r->dir);
    snprintf(r->log, sizeof(r->log), "%s/log", r->dir);
    memcpy(addr.sun_path, r->path, strlen(r->path));
    assert_int_equal(bind(fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    assert_int_equal(listen(fd, 1024), 0);
    return fd;
}

static void spawn(struct rig *r, enum proc which, unsigned files)
{
    char mode[] = "--gate-control", limit[16];
    struct err err;
    int ends[2];

    if (which == PROC_GATE_SIGNING)
        snprintf(mode, sizeof(mode), "--gate-signing");
    snprintf(limit, sizeof(limit), "%u", files);
    char *argv[] = {mode, mode, limit, NULL};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0) {
        int fd = fcntl(ends[1], F_DUPFD, 10);
        int log = open(r->log, O_WRONLY | O_CREAT | O_APPEND, 0600);

        dup2(fd, CHAN_FD);
        dup2(log, STDERR_FILENO);
        close_range(CHAN_FD + 1, ~0u, 0);
        execv("/proc/self/exe", argv);
        _exit(72);
    }
    close(ends[1]);
    must(chan_open(&r->parent, ends[0], PROC_PARENT, which, 0, 0, &err), &err);
}

/* Who runs the tests is the frontend "fe" on keyd.sock, the operator "ops" on control.sock. */
static const struct rule own_rules[] = {
    {.principal = {ROLE_FRONTEND, "fe", "", "edge"}, .proof = PROOF_USER, .text = "me"},
    {.principal = {ROLE_OPERATOR, "ops", "", ""}, .proof = PROOF_USER, .text = "me"},
};

static void put_rule(struct chan *c, const struct rule *r)
{
    put_str(c, r->principal.name);
    put_u32(c, r->principal.role);
    put_str(c, r->principal.tenant);
    put_str(c, r->principal.group);
    put_u8(c, (uint8_t)r->proof);
    put_str(c, r->text);
    put_u32(c, r->id ? r->id : (uint32_t)getuid());
}

static void put_rules(struct chan *c, const struct rule *rules, size_t count)
{
    put_u32(c, (uint32_t)count);
    for (size_t i = 0; i < count; i++)
        put_rule(c, &rules[i]);
}

static void put_limits(struct chan *c, const struct limits *l)
{
    put_u32(c, l->connections);
    put_u32(c, l->in_flight);
    put_u32(c, l->queue);
    put_u32(c, l->buffers_mib);
    put_u32(c, l->default_deadline_ms);
    put_u32(c, l->max_deadline_ms);
    put_u32(c, l->signer_timeout_ms);
    put_u32(c, l->principal_rate);
    put_u32(c, l->key_rate);
    put_u32(c, l->principal_in_flight);
    put_u32(c, l->key_in_flight);
}

void rig_start_poor(struct rig *r, enum proc which, const struct limits *limits, unsigned files)
{
    forget(r);
    int listener = listen_in(r);
    spawn(r, which, files);
    chan_put(&r->parent, MSG_START);
    put_u8(&r->parent, true); /* without Landlock in the kernel these tests are about the rest */
    put_limits(&r->parent, limits);
    put_rules(&r->parent, own_rules, COUNT(own_rules));
    assert_true(chan_end_fds(&r->parent, &listener, 1));
    close(listener);
    struct msg m = rig_expect(&r->parent, MSG_READY);
    msg_end(&m, &r->parent);
}

void rig_start(struct rig *r, enum proc which, const struct limits *limits)
{
    rig_start_poor(r, which, limits, 0);
}

void rig_up(struct rig *r, enum proc which, const struct limits *limits)
{
    rig_start(r, which, limits);
    rig_table(r);
    if (which == PROC_GATE_SIGNING)
        rig_signer(r, 0, 1, NULL);
    else
        rig_custodian(r, 1);
}

int rig_wait(struct rig *r)
{
    int status;

    if (!rig_eof(&r->parent))
        kill(r->pid, SIGKILL);
    waitpid(r->pid, &status, 0);
    r->pid = 0;
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

static size_t read_log(const struct rig *r, char *text, size_t size)
{
    int fd = open(r->log, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? read(fd, text, size - 1) : 0;

    if (fd >= 0)
        close(fd);
    text[n > 0 ? n : 0] = 0;
    return n > 0 ? (size_t)n : 0;
}

size_t rig_logged(const struct rig *r, const char *part)
{
    static char text[1 << 20];
    size_t count = 0;

    read_log(r, text, sizeof(text));
    for (const char *at = text; (at = strstr(at, part)) != NULL; at++)
        count++;
    return count;
}

int rig_down(struct rig *r)
{
    static char text[16384];
    int status = 0;

    for (size_t i = 0; i < r->client_count; i++) {
        client_close(&r->clients[i]);
        buf_free(&r->clients[i].in);
        arena_free(&r->clients[i].arena);
    }
    for (size_t i = 0; i < RIG_SIGNERS; i++)
        chan_close(&r->signers[i]);
    chan_close(&r->custodian);
    if (r->pid) {
        rig_drain(r);
        status = rig_wait(r);
    }
    chan_close(&r->parent);
    if (status != 0) {
        read_log(r, text, sizeof(text));
        print_error("the gate ended with %d:\n%s", status, text);
    }
    unlink(r->log);
    unlink(r->path);
    rmdir(r->dir);
    forget(r);
    return status == 0 ? 0 : -1;
}

/* ---- as its parent */

struct table_key rig_key(uint8_t number)
{
    struct table_key key = {.version = number,
                            .type = number == KEY_RSA ? KEY_TYPE_RSA_2048 : KEY_TYPE_EC_P256,
                            .state = number == KEY_GONE ? KEY_MISSING : KEY_ENABLED,
                            .purposes = PURPOSES_DEFAULT,
                            .cka_id_len = 4,
                            .spki_len = 90u + number};

    snprintf(key.tenant, sizeof(key.tenant), "acme");
    snprintf(key.name, sizeof(key.name), "key%u", number);
    memset(key.id, number, sizeof(key.id));
    memset(key.spki, number, key.spki_len);
    return key;
}

void rig_table(struct rig *r)
{
    static const uint8_t numbers[] = {KEY_EC, KEY_RSA, KEY_GONE};
    struct table t = {0};
    struct err err;
    int fd;

    for (size_t i = 0; i < COUNT(numbers); i++) {
        struct table_key key = rig_key(numbers[i]);

        assert_non_null(table_put(&t, &key));
    }
    must(table_to_fd(&t, &fd, &err), &err);
    chan_put(&r->parent, MSG_TABLE);
    put_u64(&r->parent, t.version);
    assert_true(chan_end_fds(&r->parent, &fd, 1));
    close(fd);
    table_free(&t);
    rig_grants(r);
}

void rig_access(struct rig *r, const struct access *a)
{
    struct err err;
    int fd;

    must(access_to_fd(a, &fd, &err), &err);
    chan_put(&r->parent, MSG_ACCESS);
    put_u64(&r->parent, a->version);
    assert_true(chan_end_fds(&r->parent, &fd, 1));
    close(fd);
}

static char guest_token[API_TOKEN_LEN + 1];

void rig_grants(struct rig *r)
{
    struct access_grant all[] = {
        {.id = 1, .principal = "fe", .tenant = "acme", .purposes = PURPOSES_TLS},
        {.id = 2, .principal = "guest", .tenant = "acme", .purposes = PURPOSES_TLS},
    };
    struct access_token guest = {.name = "guest", .role = ROLE_FRONTEND, .expires = INT64_MAX};
    struct access a = {
        .version = 1, .grants = all, .grant_count = COUNT(all), .tokens = &guest, .token_count = 1};

    assert_true(api_token_make(guest_token) && api_token_hash(guest_token, guest.hash));
    rig_access(r, &a);
}

void rig_rules(struct rig *r, const struct rule *rules, size_t count)
{
    struct limits limits = rig_limits();

    chan_put(&r->parent, MSG_RELOAD);
    put_limits(&r->parent, &limits);
    put_rules(&r->parent, rules, count);
    rig_send(&r->parent);
}

void rig_reload(struct rig *r, const struct limits *limits)
{
    chan_put(&r->parent, MSG_RELOAD);
    put_limits(&r->parent, limits);
    put_rules(&r->parent, own_rules, COUNT(own_rules));
    rig_send(&r->parent);
}

void rig_drain(struct rig *r)
{
    chan_put(&r->parent, MSG_DRAIN);
    chan_end(&r->parent);
    (void)!chan_flush(&r->parent); /* it may be dead: the caller sees by its status */
}

static void introduce(struct rig *r, struct chan *c, enum proc proc, uint32_t index,
                      uint32_t generation)
{
    struct err err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    chan_put(&r->parent, MSG_PEER);
    put_u8(&r->parent, (uint8_t)proc);
    put_u32(&r->parent, index);
    put_u32(&r->parent, generation);
    assert_true(chan_end_fds(&r->parent, &ends[1], 1));
    close(ends[1]);
    must(chan_open(c, ends[0], proc, r->parent.peer, index, generation, &err), &err);
}

void rig_signer(struct rig *r, uint32_t index, uint32_t generation, struct chan *old)
{
    if (old)
        *old = r->signers[index];
    else
        chan_close(&r->signers[index]);
    introduce(r, &r->signers[index], PROC_SIGNER, index, generation);
}

void rig_custodian(struct rig *r, uint32_t generation)
{
    chan_close(&r->custodian);
    introduce(r, &r->custodian, PROC_CUSTODIAN, 0, generation);
}

static void settle_control(struct rig *r)
{
    static uint32_t generation = 1000;
    const struct access old = {.version = 0}; /* changes nothing */
    struct err err;
    int fd;

    rig_custodian(r, ++generation);
    must(access_to_fd(&old, &fd, &err), &err);
    chan_put(&r->custodian, MSG_ACCESS);
    put_u64(&r->custodian, 0);
    assert_true(chan_end_fds(&r->custodian, &fd, 1));
    close(fd);
    struct msg m = rig_expect(&r->custodian, MSG_ACCESS_DONE);
    assert_true(rd_u64(&m.body) == 0);
    msg_end(&m, &r->custodian);
}

void rig_settle(struct rig *r)
{
    if (r->parent.peer == PROC_GATE_SIGNING)
        (void)rig_stats(r);
    else
        settle_control(r);
}

struct rig_stats rig_stats(struct rig *r)
{
    static uint64_t ask;
    struct rig_stats s;

    chan_put(&r->parent, MSG_STATUS_ASK);
    put_u64(&r->parent, ++ask);
    chan_end(&r->parent);
    struct msg m = rig_expect(&r->parent, MSG_STATS);
    assert_int_equal(rd_u64(&m.body), ask);
    assert_int_equal(rd_u8(&m.body), PROC_GATE_SIGNING);
    assert_int_equal(rd_u32(&m.body), 0);
    s.waiting = rd_u32(&m.body);
    s.at_servers = rd_u32(&m.body);
    s.connections = rd_u32(&m.body);
    s.signed_total = rd_u64(&m.body);
    s.refused_total = rd_u64(&m.body);
    s.busy_total = rd_u64(&m.body);
    s.retried_total = rd_u64(&m.body);
    for (uint32_t n = rd_u32(&m.body); n > 0; n--) {
        char reason[96];

        msg_get_str(&m, reason, sizeof(reason));
        (void)rd_u64(&m.body);
    }
    msg_end(&m, &r->parent);
    return s;
}

void rig_until(struct rig *r, uint32_t waiting, uint32_t at_servers, uint32_t connections)
{
    uint64_t end = clock_us() + WAIT_MS * 1000ull;
    struct rig_stats s;

    do {
        s = rig_stats(r);
        if (s.waiting == waiting && s.at_servers == at_servers && s.connections == connections)
            return;
    } while (clock_us() < end);
    fail_msg("%u wait, %u are at servers, %u connections; not %u, %u, %u", s.waiting, s.at_servers,
             s.connections, waiting, at_servers, connections);
}

/* ---- as its servers */

void rig_send(struct chan *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};

    chan_end(c);
    do
        assert_true(chan_flush(c));
    while (chan_pending(c) && poll(&p, 1, WAIT_MS) == 1);
    assert_int_equal(chan_pending(c), 0);
}

static struct msg next_msg(struct chan *c, enum msg_type type)
{
    struct msg m;
    struct err err = {0};

    while (!chan_next(c, &m)) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        assert_true(chan_flush(c));
        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no %s came", msg_name(type));
        if (chan_read(c, &err) != CHAN_OPEN)
            fail_msg("the channel ended before %s: %s", msg_name(type), err.text);
    }
    return m;
}

struct msg rig_expect(struct chan *c, enum msg_type type)
{
    struct msg m = next_msg(c, type);

    if (m.type != type)
        fail_msg("%s came, not %s", msg_name(m.type), msg_name(type));
    return m;
}

bool rig_quiet(struct rig *r, struct chan *c)
{
    struct msg m;
    struct err err;
    struct client *witness = rig_client(r);

    client_alive(witness);
    client_close(witness);
    return chan_read(c, &err) == CHAN_OPEN && !chan_next(c, &m);
}

bool rig_eof(struct chan *c)
{
    uint64_t end = clock_us() + WAIT_MS * 1000ull;
    struct err err;
    struct msg m;

    while (clock_us() < end) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        if (poll(&p, 1, clock_wait_ms(end)) == 1 && chan_read(c, &err) != CHAN_OPEN)
            return true;
        while (chan_next(c, &m)) /* last words */
            ;
    }
    return false;
}

struct rig_ask rig_asked(struct chan *signer)
{
    struct msg m = next_msg(signer, MSG_SIGN);
    struct rig_ask ask = {.ahead = m.type == MSG_SIGN_AHEAD, .call = rd_u64(&m.body)};
    uint8_t id[KEY_ID_LEN], same[KEY_ID_LEN];

    assert_true(ask.ahead || m.type == MSG_SIGN);
    rd_copy(&m.body, id, sizeof(id));
    memset(same, id[0], sizeof(same));
    assert_memory_equal(id, same, sizeof(id));
    ask.key = id[0];
    ask.purposes = rd_u32(&m.body);
    ask.scheme = rd_u32(&m.body);
    const uint8_t *text = msg_get_bytes(&m, &ask.len);
    msg_end(&m, signer);
    memcpy(ask.text, text, ask.len < sizeof(ask.text) ? ask.len : sizeof(ask.text) - 1);
    return ask;
}

void rig_signs(struct chan *signer, const struct rig_ask *ask, uint32_t us)
{
    chan_put(signer, MSG_SIGNED);
    put_u64(signer, ask->call);
    put_u32(signer, us);
    put_str(signer, ask->text);
    rig_send(signer);
}

void rig_refuses(struct chan *signer, const struct rig_ask *ask, enum err_code code)
{
    struct err err;

    err_set(&err, code, "no signature for %s", ask->text);
    chan_put(signer, MSG_UNSIGNED);
    put_u64(signer, ask->call);
    put_u32(signer, 10);
    put_err(signer, &err);
    rig_send(signer);
}

struct rig_request rig_requested(struct rig *r)
{
    static struct arena arena;
    struct msg m = rig_expect(&r->custodian, MSG_REQUEST);
    struct rig_request q = {.call = rd_u64(&m.body)};
    struct err err;
    size_t len;

    arena_free(&arena);
    arena = arena_of(8u << 20);
    msg_get_str(&m, q.name, sizeof(q.name));
    q.role = rd_u32(&m.body);
    msg_get_str(&m, q.tenant, sizeof(q.tenant));
    q.deadline_ms = rd_u32(&m.body);
    const uint8_t *packed = msg_get_bytes(&m, &len);
    msg_end(&m, &r->custodian);
    q.e = frame_decode(&arena, packed, len, &err);
    must(q.e != NULL, &err);
    return q;
}

void rig_answers(struct rig *r, const struct rig_request *q, const char *tenant)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__TenantsAddReply reply = KEYD__V1__TENANTS_ADD_REPLY__INIT;
    Keyd__V1__Tenant t = KEYD__V1__TENANT__INIT;
    static uint8_t frame[FRAME_HEAD + FRAME_CAP_CONTROL];

    t.name = (char *)(uintptr_t)tenant;
    reply.tenant = &t;
    e.id = q->e->id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY;
    e.tenants_add_reply = &reply;
    size_t len = client_frame(&e, frame, sizeof(frame));
    chan_put(&r->custodian, MSG_ANSWER);
    put_u64(&r->custodian, q->call);
    put_bytes(&r->custodian, frame + FRAME_HEAD, len - FRAME_HEAD);
    rig_send(&r->custodian);
}

/* ---- as its clients */

struct client *rig_connect(struct rig *r)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    assert_true(r->client_count < RIG_CLIENTS);
    struct client *c = &r->clients[r->client_count++];
    *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .arena = arena_of(8u << 20)};
    memcpy(addr.sun_path, r->path, strlen(r->path));
    assert_int_equal(connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    return c;
}

struct client *rig_client(struct rig *r)
{
    struct client *c = rig_connect(r);

    client_hello(c, 1, 1, 1);
    client_expect(c, 1, KEYD__V1__ENVELOPE__BODY_HELLO_REPLY);
    return c;
}

struct client *rig_guest(struct rig *r)
{
    struct client *c = rig_connect(r);

    client_hello_as(c, 1, guest_token);
    client_expect(c, 1, KEYD__V1__ENVELOPE__BODY_HELLO_REPLY);
    return c;
}

void rig_share(struct rig *r)
{
    struct client *guest = rig_guest(r);

    for (uint64_t i = 0; i < 12; i++)
        client_sign(guest, i, KEY_EC, 0, "of the guest");
    for (uint64_t i = 0; i < 12; i++) {
        struct rig_ask ask = rig_asked(&r->signers[0]);

        rig_signs(&r->signers[0], &ask, 60);
        client_signed(guest, i, "of the guest");
    }
    client_close(guest);
}

void client_close(struct client *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

void client_raw(struct client *c, const void *bytes, size_t n)
{
    for (const uint8_t *p = bytes; n > 0;) {
        ssize_t sent = send(c->fd, p, n, MSG_NOSIGNAL);

        if (sent > 0) {
            p += sent;
            n -= (size_t)sent;
            continue;
        }
        struct pollfd w = {.fd = c->fd, .events = POLLOUT};
        if (errno != EAGAIN || poll(&w, 1, WAIT_MS) != 1)
            fail_msg("cannot send: %s", strerror(errno));
    }
}

size_t client_frame(const envelope *e, uint8_t *buf, size_t size)
{
    assert_true(frame_size(e) <= size);
    return frame_encode(e, buf);
}

void client_send(struct client *c, const envelope *e)
{
    static uint8_t frame[FRAME_HEAD + FRAME_CAP_CONTROL + 64];

    client_raw(c, frame, client_frame(e, frame, sizeof(frame)));
}

static void say_hello(struct client *c, uint64_t id, uint32_t version_min, uint32_t version_max,
                      const char *token)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;

    hello.version_min = version_min;
    hello.version_max = version_max;
    hello.client = (char *)"rig";
    hello.token = (char *)(uintptr_t)token;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    client_send(c, &e);
}

void client_hello(struct client *c, uint64_t id, uint32_t version_min, uint32_t version_max)
{
    say_hello(c, id, version_min, version_max, NULL);
}

void client_hello_as(struct client *c, uint64_t id, const char *token)
{
    say_hello(c, id, 1, 1, token);
}

void client_ping(struct client *c, uint64_t id)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Ping ping = KEYD__V1__PING__INIT;

    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_PING;
    e.ping = &ping;
    client_send(c, &e);
}

void client_sign(struct client *c, uint64_t id, uint8_t key, uint32_t deadline_ms, const char *text)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    uint8_t key_id[KEY_ID_LEN];

    memset(key_id, key, sizeof(key_id));
    sign.key_id = (ProtobufCBinaryData){.data = key_id, .len = sizeof(key_id)};
    sign.scheme = SCHEME;
    sign.message = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)text, .len = strlen(text)};
    e.id = id;
    e.deadline_ms = deadline_ms;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    client_send(c, &e);
}

void client_tenant(struct client *c, uint64_t id, uint32_t deadline_ms, const char *tenant)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__TenantsAdd add = KEYD__V1__TENANTS_ADD__INIT;

    add.tenant = (char *)(uintptr_t)tenant;
    e.id = id;
    e.deadline_ms = deadline_ms;
    e.body_case = KEYD__V1__ENVELOPE__BODY_TENANTS_ADD;
    e.tenants_add = &add;
    client_send(c, &e);
}

/* More bytes; false: the connection ended. */
static bool receive(struct client *c)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    for (;;) {
        uint8_t *room = buf_room(&c->in, 65536, 64u << 20);
        ssize_t n = recv(c->fd, room, buf_space(&c->in), 0);

        if (n > 0) {
            buf_fill(&c->in, (size_t)n);
            return true;
        }
        if (n == 0 || errno == ECONNRESET)
            return false;
        if (errno != EAGAIN || poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no answer: %s", strerror(errno));
    }
}

const envelope *client_next(struct client *c)
{
    struct err err;
    size_t len;

    while (frame_peek(buf_head(&c->in), c->in.len, FRAME_CAP_CONTROL, &len) == FRAME_PART) {
        if (!receive(c)) {
            assert_int_equal(c->in.len, 0);
            return NULL;
        }
    }
    arena_reset(&c->arena);
    const envelope *e = frame_decode(&c->arena, buf_head(&c->in) + FRAME_HEAD, len, &err);
    must(e != NULL, &err);
    buf_use(&c->in, FRAME_HEAD + len);
    return e;
}

const envelope *client_expect(struct client *c, uint64_t id, Keyd__V1__Envelope__BodyCase body)
{
    const envelope *e = client_next(c);

    if (!e)
        fail_msg("the connection ended");
    if (e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR && body != e->body_case)
        fail_msg("error %d for request %llu: %s", e->error->code, (unsigned long long)e->id,
                 e->error->message);
    assert_int_equal(e->body_case, body);
    assert_int_equal(e->id, id);
    return e;
}

const Keyd__V1__Error *client_refused(struct client *c, uint64_t id, enum err_code code,
                                      const char *part)
{
    const Keyd__V1__Error *error = client_expect(c, id, KEYD__V1__ENVELOPE__BODY_ERROR)->error;
    char both[600];

    snprintf(both, sizeof(both), "%s; %s", error->message, error->hint);
    if (error->code != (Keyd__V1__ErrorCode)code)
        fail_msg("%s, not %s: %s", err_name((enum err_code)error->code), err_name(code), both);
    assert_contains(both, part);
    return error;
}

void client_signed(struct client *c, uint64_t id, const char *text)
{
    const envelope *e = client_expect(c, id, KEYD__V1__ENVELOPE__BODY_SIGN_REPLY);
    ProtobufCBinaryData sig = e->sign_reply->signature;

    assert_int_equal(sig.len, strlen(text));
    assert_memory_equal(sig.data, text, sig.len);
}

void client_ended(struct client *c)
{
    const envelope *e = client_next(c);

    if (e)
        fail_msg("an answer for request %llu came, not the end", (unsigned long long)e->id);
}

void client_alive(struct client *c)
{
    client_ping(c, 77);
    client_expect(c, 77, KEYD__V1__ENVELOPE__BODY_PING_REPLY);
}
