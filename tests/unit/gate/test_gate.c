/* SPDX-License-Identifier: Apache-2.0
 *
 * The gate's life: start, new limits, drain, end.
 */
#include "tests/unit/gate/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/base/clock.h"

#define BODY(x) KEYD__V1__ENVELOPE__BODY_##x

static struct rig r;

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static void up(void)
{
    struct limits limits = rig_limits();

    rig_up(&r, PROC_GATE_SIGNING, &limits);
}

static uint32_t in_flight_by_hello(void)
{
    struct client *c = rig_connect(&r);

    client_hello(c, 1, 1, 1);
    uint32_t n = client_expect(c, 1, BODY(HELLO_REPLY))->hello_reply->max_in_flight;
    client_close(c);
    return n;
}

/* ---- limits */

static void limits_change_while_it_runs(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    up();
    assert_int_equal(in_flight_by_hello(), 256);
    limits.in_flight = 2;
    rig_reload(&r, &limits);
    rig_stats(&r);
    assert_int_equal(in_flight_by_hello(), 2);
    struct client *c = rig_client(&r);
    for (unsigned i = 0; i < 5; i++)
        client_sign(c, i, KEY_EC, 0, "m");
    rig_until(&r, 0, 2, 1);
    limits.in_flight = 4; /* counts for connections that are there, too */
    rig_reload(&r, &limits);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 0, "m");
    rig_until(&r, 0, 4, 1);
    limits.connections = 1;
    rig_reload(&r, &limits);
    rig_stats(&r);
    client_refused(rig_connect(&r), 0, ERR_BUSY, "1 connections are open");
    for (unsigned i = 1; i < 5; i++) {
        ask = rig_asked(&r.signers[0]);
        rig_signs(&r.signers[0], &ask, 50);
        client_signed(c, i, "m");
    }
}

/* ---- drain */

static void a_drain_finishes_what_is_open(void **state)
{
    (void)state;
    up();
    rig_share(&r);
    struct client *c = rig_client(&r), *idle = rig_client(&r);
    client_sign(c, 1, KEY_RSA, 0, "m1");
    client_sign(c, 2, KEY_RSA, 0, "m2");
    client_sign(c, 3, KEY_RSA, 0, "m3");
    rig_until(&r, 1, 2, 2);
    rig_drain(&r);
    rig_stats(&r);
    struct client *more = rig_connect(&r);
    client_hello(more, 1, 1, 1);
    client_ping(c, 4); /* nothing new is taken */
    rig_stats(&r);
    assert_int_equal(rig_stats(&r).connections, 2);
    for (uint64_t i = 1; i <= 3; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        rig_signs(&r.signers[0], &ask, 700);
        client_signed(c, i, ask.text);
    }
    assert_int_equal(rig_wait(&r), 0);
    client_ended(c);
    client_ended(idle);
    client_ended(more);
}

static void a_drain_without_calls_ends_at_once(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    rig_drain(&r);
    assert_int_equal(rig_wait(&r), 0);
    client_ended(c);
}

/* A call that nobody will serve does not hold it for ever. */
static void a_drain_keeps_deadlines(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 100, "m");
    rig_until(&r, 0, 1, 1);
    chan_close(&r.signers[0]);
    rig_until(&r, 1, 0, 1);
    rig_drain(&r);
    client_refused(c, 1, ERR_DEADLINE, "100 ms");
    assert_int_equal(rig_wait(&r), 0);
}

/* More answers than a socket holds: about 440 KB at least. */
static void ask_for_much(struct client *c)
{
    enum { FRAMES = 8000, ANSWERS = 4000 };
    static const uint8_t frame[] = {0, 0, 0, 2, 0x08, 5};
    static uint8_t frames[FRAMES * sizeof(frame)];

    for (size_t i = 0; i < FRAMES; i++)
        memcpy(frames + i * sizeof(frame), frame, sizeof(frame));
    client_raw(c, frames, sizeof(frames));
    while (rig_stats(&r).refused_total < ANSWERS)
        ;
}

/* Answers count only when they are with the client. */
static void a_drain_waits_for_readers(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    ask_for_much(c);
    uint64_t had = rig_stats(&r).refused_total;
    rig_drain(&r);
    struct pollfd end = {.fd = r.parent.fd, .events = POLLIN};
    assert_int_equal(poll(&end, 1, 100), 0);
    for (uint64_t i = 0; i < had; i++)
        client_refused(c, 5, ERR_UNSUPPORTED, "");
    assert_int_equal(rig_wait(&r), 0);
}

/* But not for those who do not read. */
static void a_drain_does_not_wait_for_ever(void **state)
{
    (void)state;
    up();
    ask_for_much(rig_client(&r));
    uint64_t begun = clock_us();
    rig_drain(&r);
    assert_int_equal(rig_wait(&r), 0);
    assert_true(clock_us() - begun < 5000000);
}

/* ---- start and end */

static void without_its_parent_it_ends(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "m");
    rig_until(&r, 0, 1, 1);
    assert_int_equal(shutdown(r.parent.fd, SHUT_WR), 0);
    assert_int_equal(rig_wait(&r), 0);
    client_ended(c);
}

static void nonsense_of_the_parent_ends_it(void **state)
{
    (void)state;
    up();
    chan_put(&r.parent, MSG_RELOAD);
    put_u32(&r.parent, 1);
    rig_send(&r.parent);
    assert_int_equal(rig_wait(&r), 70);
}

/* It is confined from before its first client on: no file can be opened, whatever the client says.
 */
static void it_is_confined(void **state)
{
    char path[64], text[4096] = "";

    (void)state;
    up();
    snprintf(path, sizeof(path), "/proc/%d/status", (int)r.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    assert_true(read(fd, text, sizeof(text) - 1) > 0);
    close(fd);
    assert_contains(text, "NoNewPrivs:\t1");
    assert_contains(text, "Seccomp:\t2");
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(limits_change_while_it_runs),
        T(a_drain_finishes_what_is_open),
        T(a_drain_without_calls_ends_at_once),
        T(a_drain_keeps_deadlines),
        T(a_drain_waits_for_readers),
        T(a_drain_does_not_wait_for_ever),
        T(without_its_parent_it_ends),
        T(nonsense_of_the_parent_ends_it),
        T(it_is_confined),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
