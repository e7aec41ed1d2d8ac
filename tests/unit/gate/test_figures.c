/* SPDX-License-Identifier: Apache-2.0
 *
 * A real control gate in a process of its own, with the test as its parent and as a client: what it
 * makes of the figures that the other processes send.
 */
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/gate/gate.h"
#include "keyd/policy/principal.h"
#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/process/tally.h"
#include "proto/frame.h"
#include "proto/scheme.h"
#include "tests/unit/test.h"

#define CHAN_FD 3
#define WAIT_MS 20000
#define SECOND  1000000ull

/* ---- the gate's process */

struct rig {
    pid_t pid;
    struct chan gate;            /* our end, as its parent */
    struct sockaddr_un listener; /* where it accepts */
    socklen_t listener_len;
};

static void rig_child(int argc, char **argv)
{
    struct chan parent;
    struct err err;

    if (argc < 2 || strcmp(argv[1], "--gate") != 0)
        return;
    signal(SIGPIPE, SIG_IGN);
    log_init("control gate");
    if (!sandbox_basics(true, &err) ||
        !chan_open(&parent, CHAN_FD, PROC_GATE_CONTROL, PROC_PARENT, 0, 0, &err))
        _exit(2);
    _exit(gate_main(&parent));
}

static int rig_spawn(struct rig *r)
{
    char *argv[] = {(char *)"gate", (char *)"--gate", NULL};
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    r->pid = fork();
    assert_true(r->pid >= 0);
    if (r->pid == 0) {
        int fd = fcntl(ends[1], F_DUPFD, 10);

        dup2(fd, CHAN_FD);
        close_range(CHAN_FD + 1, ~0u, 0);
        execv("/proc/self/exe", argv);
        _exit(72);
    }
    close(ends[1]);
    return ends[0];
}

/* The kernel chooses a name that is no file's, unix(7). */
static int listen_somewhere(struct rig *r)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    r->listener = (struct sockaddr_un){.sun_family = AF_UNIX};
    assert_int_equal(bind(fd, (struct sockaddr *)&r->listener, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 8), 0);
    r->listener_len = sizeof(r->listener);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&r->listener, &r->listener_len), 0);
    return fd;
}

static struct msg next(struct rig *r, enum msg_type type)
{
    struct msg m;
    struct err err = {0};

    assert_true(chan_flush(&r->gate));
    while (!chan_next(&r->gate, &m)) {
        struct pollfd p = {.fd = r->gate.fd, .events = POLLIN};

        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no message came");
        if (chan_read(&r->gate, &err) != CHAN_OPEN)
            fail_msg("the gate is gone: %s", err.text);
    }
    if (m.type != type)
        fail_msg("%s came, not %s", msg_name(m.type), msg_name(type));
    return m;
}

static struct rig rig_up(void)
{
    static const uint32_t limits[] = {8, 8, 64, 1, 5000, 60000, 1000, 0, 0, 0, 0};
    struct rig r = {0};
    struct err err;
    int fd = rig_spawn(&r), listener = listen_somewhere(&r);

    assert_true(chan_open(&r.gate, fd, PROC_PARENT, PROC_GATE_CONTROL, 0, 0, &err));
    chan_put(&r.gate, MSG_START);
    put_u8(&r.gate, true); /* without Landlock in the kernel this test is about the rest */
    for (size_t i = 0; i < COUNT(limits); i++)
        put_u32(&r.gate, limits[i]);
    put_u32(&r.gate, 1); /* one rule: whoever runs this is an operator */
    put_str(&r.gate, "ops");
    put_u32(&r.gate, ROLE_OPERATOR);
    put_str(&r.gate, "");
    put_str(&r.gate, "");
    put_u8(&r.gate, PROOF_USER);
    put_str(&r.gate, "me");
    put_u32(&r.gate, (uint32_t)getuid());
    assert_true(chan_end_fds(&r.gate, &listener, 1));
    close(listener);
    struct msg m = next(&r, MSG_READY);
    msg_end(&m, &r.gate);
    return r;
}

static void rig_down(struct rig *r)
{
    int status;

    chan_put(&r->gate, MSG_DRAIN);
    chan_end(&r->gate);
    assert_true(chan_flush(&r->gate));
    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    chan_close(&r->gate);
}

/* ---- the client */

struct client {
    int fd;
    uint8_t in[1 << 16];
    size_t len;
    struct arena arena;
};

static void say(struct client *c, envelope *e)
{
    uint8_t frame[256];

    assert_in_range(frame_size(e), 1, sizeof(frame));
    size_t n = frame_encode(e, frame);
    assert_int_equal(send(c->fd, frame, n, MSG_NOSIGNAL), n);
}

static envelope *hear(struct client *c)
{
    struct err err = {0};
    size_t n;

    while (frame_peek(c->in, c->len, sizeof(c->in), &n) != FRAME_WHOLE) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no answer came");
        ssize_t got = recv(c->fd, c->in + c->len, sizeof(c->in) - c->len, 0);
        assert_true(got > 0);
        c->len += (size_t)got;
    }
    envelope *e = frame_decode(&c->arena, c->in + FRAME_HEAD, n, &err);
    if (!e)
        fail_msg("%s", err.text);
    c->len -= FRAME_HEAD + n;
    memmove(c->in, c->in + FRAME_HEAD + n, c->len);
    return e;
}

static void connect_to(struct rig *r, struct client *c)
{
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    *c = (struct client){.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0),
                         .arena = arena_of(1u << 20)};
    assert_int_equal(connect(c->fd, (struct sockaddr *)&r->listener, r->listener_len), 0);
    hello.version_min = hello.version_max = PROTOCOL_VERSION;
    e.id = 1;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    say(c, &e);
    assert_int_equal(hear(c)->body_case, KEYD__V1__ENVELOPE__BODY_HELLO_REPLY);
}

static void disconnect(struct client *c)
{
    close(c->fd);
    arena_free(&c->arena);
}

static const Keyd__V1__StatusReply *reply_to(struct client *c)
{
    envelope *e = hear(c);

    assert_int_equal(e->id, 2);
    assert_int_equal(e->body_case, KEYD__V1__ENVELOPE__BODY_STATUS_REPLY);
    return e->status_reply;
}

/* ---- what the parent says */

static const struct {
    const char *name, *state, *last_exit;
    uint32_t pid, restarts;
} processes[] = {
    {"parent", "ready", "", 1, 0},
    {"custodian", "ready", "", 2, 0},
    {"signing gate", "ready", "", 3, 0},
    {"control gate", "ready", "", 4, 0},
    {"signer 0", "ready", "killed by signal 9 (Killed)", 5, 2},
    {"signer 1", "ready", "", 6, 0},
    {"signer 2", "waiting to start", "exit status 1: the token is gone", 0, 1},
};

/* Asks for a status; the number by which the gate asks the parent. */
static uint64_t ask(struct rig *r, struct client *c)
{
    Keyd__V1__Status body = KEYD__V1__STATUS__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    e.id = 2;
    e.body_case = KEYD__V1__ENVELOPE__BODY_STATUS;
    e.status = &body;
    say(c, &e);
    struct msg m = next(r, MSG_STATUS_ASK);
    uint64_t number = rd_u64(&m.body);
    msg_end(&m, &r->gate);
    return number;
}

static void tell_processes(struct rig *r, uint64_t number, uint32_t answers)
{
    struct chan *c = &r->gate;

    chan_put(c, MSG_PROCESSES);
    put_u64(c, number);
    put_u32(c, answers);
    put_u32(c, COUNT(processes));
    for (size_t i = 0; i < COUNT(processes); i++) {
        put_str(c, processes[i].name);
        put_u32(c, processes[i].pid);
        put_str(c, processes[i].state);
        put_u64(c, 5000);
        put_u32(c, processes[i].restarts);
        put_str(c, processes[i].last_exit);
    }
    put_u32(c, 2);
    put_u64(c, 1700000009);
    put_str(c, "signer 2");
    put_str(c, "exit status 1: the token is gone");
    put_u64(c, 1700000001);
    put_str(c, "signer 0");
    put_str(c, "killed by signal 9 (Killed)");
    chan_end(c);
}

static void begin_stats(struct rig *r, uint64_t number, enum proc proc, uint32_t index)
{
    chan_put(&r->gate, MSG_STATS);
    put_u64(&r->gate, number);
    put_u8(&r->gate, (uint8_t)proc);
    put_u32(&r->gate, index);
}

static void end_stats(struct rig *r)
{
    chan_end(&r->gate);
    assert_true(chan_flush(&r->gate));
}

/* n signatures of `us` each by one scheme, within the last second of ten. */
static void put_scheme(struct rig *r, uint32_t code, uint32_t n, uint32_t us)
{
    struct tally t = {0};

    for (uint32_t i = 0; i < n; i++)
        tally_count(&t, 100 * SECOND, us);
    put_u32(&r->gate, code);
    tally_put(&r->gate, &t, 91 * SECOND, 101 * SECOND - 1);
}

static void tell_signer(struct rig *r, uint64_t number, uint32_t index, uint32_t p256, uint32_t us)
{
    begin_stats(r, number, PROC_SIGNER, index);
    put_u64(&r->gate, p256 + 10);
    put_u64(&r->gate, index + 1);
    put_u32(&r->gate, 2);
    put_scheme(r, 0x0403, p256, us);
    put_scheme(r, 0x0804, 10, 1000);
    end_stats(r);
}

static void tell_signing_gate(struct rig *r, uint64_t number)
{
    begin_stats(r, number, PROC_GATE_SIGNING, 0);
    for (uint32_t i = 1; i <= 3; i++)
        put_u32(&r->gate, i);
    for (uint64_t i = 4; i <= 7; i++)
        put_u64(&r->gate, i);
    put_u32(&r->gate, 2); /* refusals */
    put_str(&r->gate, "not TLS");
    put_u64(&r->gate, 8);
    put_str(&r->gate, "sign: BAD_SHAPE");
    put_u64(&r->gate, 9);
    end_stats(r);
}

static void tell_custodian(struct rig *r, uint64_t number)
{
    begin_stats(r, number, PROC_CUSTODIAN, 0);
    for (uint32_t i = 11; i <= 13; i++)
        put_u32(&r->gate, i);
    for (size_t i = 0; i < 5; i++)
        put_str(&r->gate, "a word");
    put_u32(&r->gate, 1);
    put_str(&r->gate, "ec-p256");
    put_u32(&r->gate, 0);
    end_stats(r);
}

static const Keyd__V1__Process *process(const Keyd__V1__StatusReply *s, const char *name)
{
    for (size_t i = 0; i < s->n_processes; i++)
        if (strcmp(s->processes[i]->name, name) == 0)
            return s->processes[i];
    fail_msg("no process %s", name);
    return NULL;
}

/* Those that did not answer, by name, with a blank behind each. */
static void assert_silent(const Keyd__V1__StatusReply *s, const char *wanted)
{
    char silent[256] = "";
    size_t n = 0;

    for (size_t i = 0; i < s->n_processes; i++)
        if (s->processes[i]->silent)
            n += (size_t)snprintf(silent + n, sizeof(silent) - n, "%s ", s->processes[i]->name);
    assert_string_equal(silent, wanted);
}

/* ---- the tests */

static void signers_are_added_up(void **state)
{
    struct rig r = rig_up();
    struct client c;

    (void)state;
    connect_to(&r, &c);
    uint64_t number = ask(&r, &c);
    tell_processes(&r, number, 4);
    tell_signer(&r, number, 0, 30, 40);
    tell_signing_gate(&r, number);
    tell_signer(&r, number, 1, 70, 400);
    tell_custodian(&r, number);
    const Keyd__V1__StatusReply *s = reply_to(&c);
    assert_int_equal(s->n_schemes, 2);
    const Keyd__V1__SchemeStatus *rsa = s->schemes[1], *p256 = s->schemes[0];
    if (p256->scheme != 0x0403) {
        rsa = s->schemes[0];
        p256 = s->schemes[1];
    }
    assert_int_equal(p256->scheme, 0x0403);
    assert_string_equal(p256->name, "ecdsa_secp256r1_sha256");
    assert_int_equal(p256->total, 100);
    assert_in_range((uint64_t)(p256->per_second_10s * 1000), 9999, 10001);
    assert_in_range((uint64_t)(p256->per_second_60s * 1000), 9999, 10001); /* they are 10 s old */
    assert_in_range(p256->p50_us, 375, 425); /* not the mean of the two signers' medians */
    assert_in_range(p256->p99_us, 375, 425);
    assert_int_equal(rsa->scheme, 0x0804);
    assert_int_equal(rsa->total, 20);
    assert_in_range(rsa->p90_us, 940, 1060);
    assert_int_equal(process(s, "signer 0")->signatures, 40);
    assert_int_equal(process(s, "signer 0")->failed, 1);
    assert_int_equal(process(s, "signer 1")->failed, 2);
    assert_int_equal(s->queue->retried_total, 7);
    assert_int_equal(s->keys, 12);
    assert_string_equal(s->token->key_types[0], "ec-p256");
    assert_silent(s, "");
    disconnect(&c);
    rig_down(&r);
}

static void who_ended_and_why(void **state)
{
    struct rig r = rig_up();
    struct client c;

    (void)state;
    connect_to(&r, &c);
    tell_processes(&r, ask(&r, &c), 0);
    assert_true(chan_flush(&r.gate));
    const Keyd__V1__StatusReply *s = reply_to(&c);
    assert_int_equal(s->n_schemes, 0);
    assert_int_equal(s->n_exits, 2);
    assert_string_equal(s->exits[0]->process, "signer 2");
    assert_int_equal(s->exits[0]->at, 1700000009);
    assert_string_equal(s->exits[1]->why, "killed by signal 9 (Killed)");
    assert_int_equal(process(s, "signer 0")->restarts, 2);
    assert_string_equal(process(s, "signer 2")->state, "waiting to start");
    disconnect(&c);
    rig_down(&r);
}

/* It waits a second for all of them; then the answer names those that it waited for. */
static void one_that_does_not_answer_is_told(void **state)
{
    struct rig r = rig_up();
    struct client c;

    (void)state;
    connect_to(&r, &c);
    uint64_t number = ask(&r, &c);
    tell_processes(&r, number, 4);
    tell_signer(&r, number, 1, 5, 40);
    tell_custodian(&r, number);
    const Keyd__V1__StatusReply *s = reply_to(&c);
    assert_silent(s, "signing gate signer 0 ");
    assert_int_equal(s->schemes[0]->total + s->schemes[1]->total, 15);
    disconnect(&c);
    rig_down(&r);
}

/* A signer that was taken over may say anything; the others' figures come all the same. */
static void nonsense_is_left_out(void **state)
{
    struct rig r = rig_up();
    struct client c;

    (void)state;
    connect_to(&r, &c);
    for (int i = 0; i < 5; i++) {
        uint64_t number = ask(&r, &c);

        tell_processes(&r, number, 3);
        begin_stats(&r, number, PROC_SIGNER, i == 4 ? 99 : 0); /* 99: there is none */
        put_u64(&r.gate, 1);
        put_u64(&r.gate, 0);
        put_u32(&r.gate, i == 3 ? 0xffffffff : 1);
        if (i == 0)
            put_u32(&r.gate, 0x9999); /* no such scheme */
        if (i > 0)
            put_scheme(&r, 0x0403, 1, 7);
        if (i == 1)
            put_u8(&r.gate, 0); /* a byte too many */
        if (i == 2)
            put_u64(&r.gate, 0);
        end_stats(&r);
        tell_signer(&r, number, 1, 5, 40);
        tell_custodian(&r, number);
        const Keyd__V1__StatusReply *s = reply_to(&c);
        assert_silent(s, "signing gate signer 0 ");
        assert_int_equal(process(s, "signer 1")->signatures, 15);
        assert_int_equal(s->keys, 12);
    }
    disconnect(&c);
    rig_down(&r);
}

static void a_client_that_goes_is_not_missed(void **state)
{
    struct rig r = rig_up();
    struct client c;

    (void)state;
    connect_to(&r, &c);
    uint64_t number = ask(&r, &c);
    disconnect(&c);
    connect_to(&r, &c); /* by now the gate has seen the other one go */
    tell_processes(&r, number, 1);
    tell_signer(&r, number, 0, 5, 40);
    number = ask(&r, &c);
    tell_processes(&r, number, 1);
    tell_signer(&r, number, 0, 6, 40);
    assert_int_equal(process(reply_to(&c), "signer 0")->signatures, 16);
    tell_signer(&r, number, 0, 7, 40); /* too late for any question */
    tell_processes(&r, ask(&r, &c), 0);
    assert_true(chan_flush(&r.gate));
    assert_int_equal(process(reply_to(&c), "signer 0")->signatures, 0);
    disconnect(&c);
    rig_down(&r);
}

/* The parent itself does not speak nonsense: whoever does in its name has taken it over. */
static void a_parent_that_speaks_nonsense_ends_it(void **state)
{
    struct rig r = rig_up();
    struct client c;
    int status;

    (void)state;
    connect_to(&r, &c);
    uint64_t number = ask(&r, &c);
    chan_put(&r.gate, MSG_PROCESSES);
    put_u64(&r.gate, number);
    put_u32(&r.gate, 0);
    put_u32(&r.gate, 1);
    put_str(&r.gate, "parent");
    chan_end(&r.gate);
    assert_true(chan_flush(&r.gate));
    assert_int_equal(waitpid(r.pid, &status, 0), r.pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 70);
    chan_close(&r.gate);
    disconnect(&c);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(signers_are_added_up),
        cmocka_unit_test(who_ended_and_why),
        cmocka_unit_test(one_that_does_not_answer_is_told),
        cmocka_unit_test(nonsense_is_left_out),
        cmocka_unit_test(a_client_that_goes_is_not_missed),
        cmocka_unit_test(a_parent_that_speaks_nonsense_ends_it),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
