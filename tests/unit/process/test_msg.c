/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/process/msg.h"
#include "tests/unit/test.h"

struct pair {
    struct chan a, b;
};

static struct pair connected(enum proc a, enum proc b)
{
    struct pair p;
    struct err err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(chan_open(&p.a, ends[0], a, b, 0, 1, &err));
    assert_true(chan_open(&p.b, ends[1], b, a, 0, 1, &err));
    return p;
}

static void disconnect(struct pair *p)
{
    chan_close(&p->a);
    chan_close(&p->b);
}

static struct msg receive(struct chan *c)
{
    struct msg m;
    struct err err;

    assert_int_equal(chan_read(c, &err), CHAN_OPEN);
    assert_true(chan_next(c, &m));
    return m;
}

static void fields_go_both_ways(void **state)
{
    struct pair p = connected(PROC_GATE_SIGNING, PROC_SIGNER);
    size_t len;

    (void)state;
    chan_put(&p.a, MSG_SIGN);
    put_u64(&p.a, 7);
    put_raw(&p.a, "0123456789abcdef0123456789abcdef", 32);
    put_u32(&p.a, 0x0403);
    put_bytes(&p.a, "hello", 5);
    chan_end(&p.a);
    assert_true(chan_flush(&p.a));
    struct msg m = receive(&p.b);
    assert_int_equal(m.type, MSG_SIGN);
    assert_int_equal(rd_u64(&m.body), 7);
    assert_memory_equal(rd_bytes(&m.body, 32), "0123456789abcdef0123456789abcdef", 32);
    assert_int_equal(rd_u32(&m.body), 0x0403);
    assert_memory_equal(msg_get_bytes(&m, &len), "hello", 5);
    assert_int_equal(len, 5);
    msg_end(&m, &p.b);
    assert_false(chan_next(&p.b, &m));
    disconnect(&p);
}

static void errors_go_both_ways(void **state)
{
    struct pair p = connected(PROC_CUSTODIAN, PROC_PARENT);
    struct err err, back;

    (void)state;
    err_set(&err, ERR_TOKEN, "no token");
    err_hint(&err, "plug it in");
    err_retry(&err, 9);
    chan_put(&p.a, MSG_FAILED);
    put_err(&p.a, &err);
    chan_end(&p.a);
    assert_true(chan_flush(&p.a));
    struct msg m = receive(&p.b);
    msg_get_err(&m, &back);
    msg_end(&m, &p.b);
    assert_int_equal(back.code, ERR_TOKEN);
    assert_string_equal(back.text, "no token");
    assert_string_equal(back.hint, "plug it in");
    assert_int_equal(back.retry_after_ms, 9);
    disconnect(&p);
}

/* Many messages, read in pieces of any size, arrive whole and in order. */
static void messages_survive_being_cut(void **state)
{
    struct pair p = connected(PROC_GATE_SIGNING, PROC_SIGNER);
    uint64_t sent = 0, got = 0;
    uint8_t filler[3000];
    struct msg m;
    struct err err;

    (void)state;
    memset(filler, 'x', sizeof(filler));
    while (got < 500) {
        if (sent < 500) {
            chan_put(&p.a, MSG_SIGN);
            put_u64(&p.a, sent);
            put_bytes(&p.a, filler, sent % sizeof(filler));
            chan_end(&p.a);
            sent++;
        }
        assert_true(chan_flush(&p.a));
        if (sent % 7 && sent < 500)
            continue;
        assert_int_equal(chan_read(&p.b, &err), CHAN_OPEN);
        while (chan_next(&p.b, &m)) {
            size_t len;

            assert_int_equal(rd_u64(&m.body), got);
            msg_get_bytes(&m, &len);
            assert_int_equal(len, got % sizeof(filler));
            msg_end(&m, &p.b);
            got++;
        }
    }
    disconnect(&p);
}

static void put_numbered(struct chan *c, enum msg_type type, uint64_t number)
{
    uint8_t filler[300] = {0};

    chan_put(c, type);
    put_u64(c, number);
    put_bytes(c, filler, (size_t)number * 20);
    chan_end(c);
}

static uint64_t number_of(struct msg *m, const struct chan *from)
{
    uint64_t number = rd_u64(&m->body);
    size_t len;

    msg_get_bytes(m, &len);
    assert_int_equal(len, number * 20);
    msg_end(m, from);
    return number;
}

/* Those that overtake keep their order, and so do the others; what is not whole waits. */
static void one_type_may_go_ahead(void **state)
{
    static const uint64_t want[] = {2, 5, 0, 1, 3, 4, 6};
    struct pair p = connected(PROC_GATE_SIGNING, PROC_SIGNER);
    struct msg m;
    struct err err;

    (void)state;
    assert_false(chan_has(&p.b, 1) || chan_next_of(&p.b, MSG_SIGN_AHEAD, &m));
    for (uint64_t i = 0; i < 8; i++)
        put_numbered(&p.a, i % 3 == 2 && i < 7 ? MSG_SIGN_AHEAD : MSG_SIGN, i);
    p.a.out.len -= 1; /* the last one is cut */
    assert_true(chan_flush(&p.a));
    assert_int_equal(chan_read(&p.b, &err), CHAN_OPEN);
    for (size_t i = 0; i < 7; i++) {
        assert_true(chan_has(&p.b, 7 - i) && !chan_has(&p.b, 8 - i));
        bool ahead = chan_next_of(&p.b, MSG_SIGN_AHEAD, &m);

        assert_int_equal(ahead, i < 2);
        assert_true(ahead || chan_next(&p.b, &m));
        assert_int_equal(number_of(&m, &p.b), want[i]);
    }
    assert_false(chan_has(&p.b, 1) || chan_next(&p.b, &m));
    disconnect(&p);
}

/* Descriptors stay with their message, though others are read in the same go. */
static void descriptors_stay_with_their_message(void **state)
{
    struct pair p = connected(PROC_PARENT, PROC_SIGNER);
    char byte;

    (void)state;
    for (int i = 0; i < 3; i++) {
        int pipe_ends[2];

        assert_int_equal(pipe2(pipe_ends, O_CLOEXEC), 0);
        byte = (char)('a' + i);
        assert_int_equal(write(pipe_ends[1], &byte, 1), 1);
        chan_put(&p.a, MSG_DRAIN);
        chan_end(&p.a);
        chan_put(&p.a, MSG_TABLE);
        put_u64(&p.a, (uint64_t)i);
        assert_true(chan_end_fds(&p.a, pipe_ends, 1));
        close(pipe_ends[0]);
        close(pipe_ends[1]);
    }
    for (int got = 0; got < 6;) {
        struct msg m;
        struct err err;

        assert_int_equal(chan_read(&p.b, &err), CHAN_OPEN);
        while (chan_next(&p.b, &m)) {
            assert_int_equal(m.type, got % 2 ? MSG_TABLE : MSG_DRAIN);
            if (m.type == MSG_TABLE) {
                assert_int_equal(rd_u64(&m.body), got / 2);
                int fd = msg_take_fd(&m);
                assert_int_equal(read(fd, &byte, 1), 1);
                assert_int_equal(byte, 'a' + got / 2);
                close(fd);
            }
            msg_end(&m, &p.b);
            got++;
        }
    }
    disconnect(&p);
}

static void a_closed_peer_is_seen_after_its_last_words(void **state)
{
    struct pair p = connected(PROC_SIGNER, PROC_PARENT);
    struct msg m;
    struct err err;

    (void)state;
    chan_put(&p.a, MSG_READY);
    chan_end(&p.a);
    assert_true(chan_flush(&p.a));
    chan_close(&p.a);
    assert_int_equal(chan_read(&p.b, &err), CHAN_OPEN);
    assert_int_equal(chan_read(&p.b, &err), CHAN_EOF);
    assert_true(chan_next(&p.b, &m));
    assert_int_equal(m.type, MSG_READY);
    disconnect(&p);
}

/* ---- what ends the process that reads it */

static void send_raw(struct chan *c, const void *bytes, size_t n)
{
    assert_int_equal(send(c->fd, bytes, n, 0), n);
}

/* The exit status of a child that reads one message from the pair's b and uses nothing of it. */
static int status_of_reader(struct pair *p)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        struct msg m;
        struct err err;

        close(STDERR_FILENO);
        chan_read(&p->b, &err);
        if (!chan_next(&p->b, &m))
            _exit(50);
        msg_end(&m, &p->b);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void nonsense_ends_the_reader(void **state)
{
    static const struct {
        const char *what;
        uint8_t bytes[12];
        size_t len;
        int status;
    } rows[] = {
        {"a type that nobody knows", {0, 0, 0, 0, 0, 99, 0, 0}, 8, 70},
        {"a type that only others send", {0, 0, 0, 0, 0, MSG_START, 0, 0}, 8, 70},
        {"a length over its cap", {0, 0, 0, 1, 0, MSG_READY, 0, 0, 1}, 9, 70},
        {"a descriptor that is not there", {0, 0, 0, 8, 0, MSG_TABLE, 0, 1, 0, 0, 0, 0}, 12, 50},
        {"a body that is not used up", {0, 0, 0, 4, 0, MSG_FAILED, 0, 0, 0, 0, 0, 0}, 12, 70},
        {"a whole one", {0, 0, 0, 0, 0, MSG_READY, 0, 0}, 8, 0},
        {"half a head", {0, 0, 0}, 3, 50},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct pair p = connected(PROC_CUSTODIAN, PROC_PARENT);

        send_raw(&p.a, rows[i].bytes, rows[i].len);
        int got = status_of_reader(&p);
        if (got != rows[i].status)
            fail_msg("%s: status %d instead of %d", rows[i].what, got, rows[i].status);
        disconnect(&p);
    }
}

/* ---- the table */

static void the_walls_stand(void **state)
{
    (void)state;
    /* The gate that meets strangers reaches no management, and the parent only with few words. */
    for (int type = 0; type < MSG_TYPE_COUNT; type++) {
        assert_false(msg_allowed((enum msg_type)type, PROC_GATE_SIGNING, PROC_GATE_CONTROL));
        assert_false(msg_allowed((enum msg_type)type, PROC_GATE_CONTROL, PROC_SIGNER));
        assert_false(msg_allowed((enum msg_type)type, PROC_SIGNER, PROC_SIGNER));
    }
    assert_true(msg_allowed(MSG_SIGN, PROC_GATE_SIGNING, PROC_SIGNER));
    assert_false(msg_allowed(MSG_REQUEST, PROC_GATE_SIGNING, PROC_CUSTODIAN));
    assert_false(msg_allowed(MSG_TABLE, PROC_SIGNER, PROC_PARENT));
    assert_false(msg_allowed(MSG_TABLE, PROC_GATE_SIGNING, PROC_PARENT));
    assert_false(msg_allowed(MSG_GUARD, PROC_SIGNER, PROC_PARENT));
    assert_false(msg_allowed(MSG_OVERDUE, PROC_SIGNER, PROC_PARENT));
    assert_false(msg_allowed(MSG_KEY, PROC_GATE_SIGNING, PROC_SIGNER));
    /* A PIN goes from the parent to the custodian, and nowhere else. */
    for (enum proc from = PROC_PARENT; from < PROC_COUNT; from++)
        for (enum proc to = PROC_PARENT; to < PROC_COUNT; to++)
            assert_int_equal(msg_allowed(MSG_PIN, from, to),
                             from == PROC_PARENT && to == PROC_CUSTODIAN);
    assert_false(msg_allowed(MSG_PIN_ASK, PROC_SIGNER, PROC_PARENT));
    assert_false(msg_allowed(MSG_PIN_ASK, PROC_GATE_CONTROL, PROC_PARENT));
    assert_false(msg_allowed(MSG_BENCH, PROC_GATE_SIGNING, PROC_SIGNER));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_go_both_ways),
        cmocka_unit_test(errors_go_both_ways),
        cmocka_unit_test(messages_survive_being_cut),
        cmocka_unit_test(one_type_may_go_ahead),
        cmocka_unit_test(descriptors_stay_with_their_message),
        cmocka_unit_test(a_closed_peer_is_seen_after_its_last_words),
        cmocka_unit_test(nonsense_ends_the_reader),
        cmocka_unit_test(the_walls_stand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
