/* SPDX-License-Identifier: Apache-2.0
 *
 * Patience with slow clients, and with the custodian. This program links a gate in which it is
 * 300 ms, not 10 s and two minutes.
 */
#include "tests/unit/gate/rig.h"

#include <poll.h>
#include <time.h>

#include "proto/base/clock.h"

#define PATIENCE_US 300000
#define COARSE_US   10000              /* libevent's clock is */
#define LATE_US     (10 * PATIENCE_US) /* the machine may be busy */

static struct rig r;
static uint64_t begun;

static int set_up(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    begun = clock_us();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static void lost_in_time(struct client *c, const char *part)
{
    client_refused(c, 0, ERR_DEADLINE, part);
    client_ended(c);
    assert_in_range(clock_us() - begun, PATIENCE_US - COARSE_US, LATE_US);
}

static bool says_something(const struct client *c, int ms)
{
    struct pollfd p = {.fd = c->fd, .events = POLLIN};

    return poll(&p, 1, ms) == 1;
}

/* A byte every 40 ms, until the gate has had enough or all are sent. */
static void drip(struct client *c, const uint8_t *bytes, size_t n)
{
    for (size_t i = 0; i < n && !says_something(c, 40); i++)
        client_raw(c, bytes + i, 1);
}

static void no_hello(void **state)
{
    (void)state;
    lost_in_time(rig_connect(&r), "no hello");
}

/* Bytes that trickle in do not put it off. */
static void a_hello_that_drips(void **state)
{
    static const uint8_t part[64] = {0, 0, 0xff, 0};

    (void)state;
    struct client *c = rig_connect(&r);
    drip(c, part, sizeof(part));
    lost_in_time(c, "no hello");
}

static void half_a_frame(void **state)
{
    (void)state;
    struct client *c = rig_client(&r);
    client_raw(c, "\0\0\0", 3);
    lost_in_time(c, "half a frame");
}

static void a_frame_that_drips(void **state)
{
    static const uint8_t part[64] = {0, 0, 0xff, 0};

    (void)state;
    struct client *c = rig_client(&r);
    drip(c, part, sizeof(part));
    lost_in_time(c, "half a frame");
}

/* Each frame has its own time; between frames, and while calls are open, there is no hurry. */
static void a_client_may_be_slow(void **state)
{
    static const uint8_t ping[] = {0, 0, 0, 4, 0x08, 77, 0x62, 0};

    (void)state;
    struct client *c = rig_client(&r);
    for (int i = 0; i < 3; i++) {
        client_raw(c, ping, 5);
        nanosleep(&(struct timespec){0, 150000000}, NULL);
        client_raw(c, ping + 5, 3);
        client_expect(c, 77, KEYD__V1__ENVELOPE__BODY_PING_REPLY);
    }
    client_sign(c, 1, KEY_EC, 0, "m");
    assert_false(says_something(c, 400));
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 1, "m");
    client_alive(c);
}

/* Also where one begins in the same breath in which the last one ends. */
static void each_frame_has_its_own_time(void **state)
{
    static const uint8_t pings[] = {0, 0, 0, 4, 0x08, 77, 0x62, 0, 0, 0, 0, 4, 0x08, 77, 0x62, 0};

    (void)state;
    struct client *c = rig_client(&r);
    client_raw(c, pings, 5);
    for (int i = 0; i < 4; i++) {
        nanosleep(&(struct timespec){0, 150000000}, NULL);
        client_raw(c, pings + 5, 8);
        client_expect(c, 77, KEYD__V1__ENVELOPE__BODY_PING_REPLY);
    }
}

/* Half a frame behind as many calls as may be open: it is not read, so it cannot be late. */
static void who_is_not_read_is_not_late(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.in_flight = 1;
    rig_reload(&r, &limits);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "m");
    client_raw(c, "\0\0\0\4\x08", 5);
    assert_false(says_something(c, 400));
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 1, "m");
    client_raw(c, "\x4d\x62\0", 3);
    client_expect(c, 77, KEYD__V1__ENVELOPE__BODY_PING_REPLY);
}

/* The same where it is his own reading that holds it up: that has its own limits. */
static void who_does_not_read_is_not_late(void **state)
{
    enum { LEN = 700000 }; /* more than a socket holds and then a pause */
    static char name[LEN + 1];
    struct limits limits = rig_limits();

    assert_int_equal(tear_down(state), 0);
    rig_up(&r, PROC_GATE_CONTROL, &limits);
    memset(name, 'x', LEN);
    struct client *c = rig_client(&r), *other = rig_client(&r);
    client_tenant(c, 1, 0, "acme");
    struct rig_request q = rig_requested(&r);
    client_raw(c, "\0\0\0\4\x08", 5);
    client_alive(other);
    rig_answers(&r, &q, name);
    assert_false(says_something(other, 400));
    client_expect(c, 1, KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY);
    client_raw(c, "\x4d\x62\0", 3);
    client_expect(c, 77, KEYD__V1__ENVELOPE__BODY_PING_REPLY);
}

/* Who is to be told why his connection ends, and does not read, is not kept for ever. */
static void last_words_that_nobody_reads(void **state)
{
    enum {
        FRAMES = 16384 / 6
    }; /* their answers are more than a socket holds, and less than a pause */
    static const uint8_t frame[] = {0, 0, 0, 2, 0x08, 5};
    uint8_t frames[FRAMES * sizeof(frame)];

    (void)state;
    struct client *c = rig_client(&r);
    for (size_t i = 0; i < FRAMES; i++)
        memcpy(frames + i * sizeof(frame), frame, sizeof(frame));
    client_raw(c, frames, sizeof(frames));
    while (rig_stats(&r).refused_total < FRAMES)
        ;
    begun = clock_us();
    client_raw(c, "\xff\xff\xff\xff", 4);
    rig_until(&r, 0, 0, 0);
    assert_in_range(clock_us() - begun, PATIENCE_US - COARSE_US, LATE_US);
}

/* ---- the custodian */

/* The parent is told once; until it has killed it, nothing more is handed to it. */
static void a_custodian_that_hangs_is_reported(void **state)
{
    struct limits limits = rig_limits();

    assert_int_equal(tear_down(state), 0);
    rig_up(&r, PROC_GATE_CONTROL, &limits);
    struct client *c = rig_client(&r);
    begun = clock_us();
    client_tenant(c, 1, 0, "hangs");
    struct rig_request q = rig_requested(&r);
    client_tenant(c, 2, 0, "waits");
    struct msg m = rig_expect(&r.parent, MSG_OVERDUE);
    assert_true(clock_us() - begun >= PATIENCE_US);
    assert_int_equal(rd_u8(&m.body), PROC_CUSTODIAN);
    assert_int_equal(rd_u32(&m.body), 0);
    assert_int_equal(rd_u32(&m.body), 1);
    msg_end(&m, &r.parent);
    assert_false(says_something(c, 400)); /* the one may still be done, the other can wait */
    assert_true(rig_quiet(&r, &r.custodian));
    assert_true(rig_quiet(&r, &r.parent));
    rig_answers(&r, &q, "hangs"); /* it was only slow */
    client_expect(c, 1, KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY);
    chan_close(&r.custodian);
    rig_custodian(&r, 2);
    q = rig_requested(&r);
    assert_string_equal(q.e->tenants_add->tenant, "waits");
    rig_answers(&r, &q, "waits");
    client_expect(c, 2, KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(no_hello),
        T(a_hello_that_drips),
        T(half_a_frame),
        T(a_frame_that_drips),
        T(a_client_may_be_slow),
        T(each_frame_has_its_own_time),
        T(who_is_not_read_is_not_late),
        T(who_does_not_read_is_not_late),
        T(last_words_that_nobody_reads),
        T(a_custodian_that_hangs_is_reported),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
