/* SPDX-License-Identifier: Apache-2.0
 *
 * Connections: what a stranger may do to the gate, and what he may not do to others.
 */
#include "tests/unit/gate/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>
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

/* Frames of an Envelope that has an id and nothing else: 6 bytes each. */
static size_t put_empty(uint8_t *buf, size_t count)
{
    static const uint8_t frame[] = {0, 0, 0, 2, 0x08, 5};

    for (size_t i = 0; i < count; i++)
        memcpy(buf + i * sizeof(frame), frame, sizeof(frame));
    return count * sizeof(frame);
}

/* ---- hello */

static void hello_comes_first(void **state)
{
    uint8_t empty[6];

    (void)state;
    up();
    for (int i = 0; i < 3; i++) {
        struct client *c = rig_connect(&r);

        if (i == 0)
            client_ping(c, 5);
        else if (i == 1)
            client_sign(c, 5, KEY_EC, 0, "early");
        else
            client_raw(c, empty, put_empty(empty, 1));
        client_refused(c, 0, ERR_BAD_REQUEST, "must be a Hello");
        client_ended(c);
    }
    assert_true(rig_quiet(&r, &r.signers[0])); /* nothing of it was done */
}

/* It need not wait for the answer before it asks for more. */
static void hello_and_more_in_one_go(void **state)
{
    (void)state;
    up();
    struct client *c = rig_connect(&r);
    client_hello(c, 9, 1, 1);
    client_ping(c, 10);
    const Keyd__V1__HelloReply *h = client_expect(c, 9, BODY(HELLO_REPLY))->hello_reply;
    assert_int_equal(h->version, 1);
    assert_int_equal(h->max_frame, FRAME_CAP_SIGNING);
    assert_int_equal(h->max_in_flight, rig_limits().in_flight);
    assert_int_equal(h->default_deadline_ms, rig_limits().default_deadline_ms);
    assert_int_equal(h->max_deadline_ms, rig_limits().max_deadline_ms);
    assert_contains(h->server, "keyd ");
    client_expect(c, 10, BODY(PING_REPLY));
}

static void a_version_is_agreed_on(void **state)
{
    static const struct {
        uint32_t min, max;
        bool ok;
    } rows[] = {{1, 1, true},  {0, 1, true},  {1, 9, true}, {0, UINT32_MAX, true},
                {0, 0, false}, {2, 2, false}, {2, 9, false}};

    (void)state;
    up();
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct client *c = rig_connect(&r);

        client_hello(c, i + 1, rows[i].min, rows[i].max);
        if (rows[i].ok) {
            client_expect(c, i + 1, BODY(HELLO_REPLY));
            client_alive(c);
            continue;
        }
        client_refused(c, i + 1, ERR_UNSUPPORTED, "update the older");
        client_ping(c, 2); /* it has not been greeted */
        client_refused(c, 0, ERR_BAD_REQUEST, "must be a Hello");
        client_ended(c);
    }
}

/* ---- frames */

static size_t pipeline(uint8_t *buf, size_t size, size_t count)
{
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        envelope e = KEYD__V1__ENVELOPE__INIT;
        Keyd__V1__Ping ping = KEYD__V1__PING__INIT;

        e.id = 1000 + i;
        e.body_case = BODY(PING);
        e.ping = &ping;
        len += client_frame(&e, buf + len, size - len);
    }
    return len;
}

static void requests_may_come_in_any_pieces(void **state)
{
    static const size_t pieces[] = {SIZE_MAX, 1, 3, 100};
    uint8_t buf[4096];
    size_t len = pipeline(buf, sizeof(buf), 200);

    (void)state;
    up();
    for (size_t p = 0; p < COUNT(pieces); p++) {
        struct client *c = rig_client(&r);

        for (size_t at = 0; at < len;) {
            size_t n = len - at < pieces[p] ? len - at : pieces[p];

            client_raw(c, buf + at, n);
            at += n;
        }
        for (size_t i = 0; i < 200; i++)
            client_expect(c, 1000 + i, BODY(PING_REPLY));
    }
}

/* Whoever sends what is no frame is told so and loses his connection; nobody else notices. */
static void bad_frames_end_the_connection(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        enum err_code code;
        const char *part;
    } rows[] = {
        {"\0\0\0\4\xff\xff\xff\xff", 8, ERR_BAD_REQUEST, "no Envelope"},
        {"\0\0\0\2\x0a\x05", 6, ERR_BAD_REQUEST, "no Envelope"}, /* a field longer than the frame */
        {"\0\0\0\4\x72\x02\x0a\x20", 8, ERR_BAD_REQUEST, "no Envelope"}, /* the same, deeper */
        {"\0\1\0\1", 4, ERR_TOO_LARGE, "65537 bytes"},
        {"\xff\xff\xff\xff", 4, ERR_TOO_LARGE, "keyd.sock"},
        {"GET / HTTP/1.1\r\n\r\n", 18, ERR_TOO_LARGE, "possible"},
    };

    (void)state;
    up();
    struct client *other = rig_client(&r);
    for (size_t i = 0; i < COUNT(rows); i++) {
        for (int greeted = 0; greeted < 2; greeted++) {
            struct client *c = greeted ? rig_client(&r) : rig_connect(&r);

            client_raw(c, rows[i].bytes, rows[i].len);
            client_refused(c, 0, rows[i].code, rows[i].part);
            client_ended(c);
            client_alive(other);
        }
    }
}

static void a_frame_may_be_as_long_as_the_cap(void **state)
{
    static uint8_t frame[FRAME_HEAD + FRAME_CAP_SIGNING];
    static const uint8_t head[] = {0,    1,    0,   0, /* 65536: */
                                   0x08, 5,            /* id 5 */
                                   0x62, 0,            /* ping */
                                   0xfa, 0x3f,         /* field 1023, nobody's, of bytes */
                                   0xf7, 0xff, 0x03};  /* 65527 of them */

    (void)state;
    up();
    memcpy(frame, head, sizeof(head));
    struct client *c = rig_client(&r);
    client_raw(c, frame, sizeof(frame));
    client_expect(c, 5, BODY(PING_REPLY));
    client_alive(c);
}

/* Half a frame and then the end: nothing is left behind. */
static void a_client_may_leave_in_the_middle(void **state)
{
    uint8_t buf[64];
    size_t len = pipeline(buf, sizeof(buf), 1);

    (void)state;
    up();
    for (size_t n = 0; n < len; n++) {
        struct client *c = rig_client(&r);

        client_raw(c, buf, n);
        client_close(c);
    }
    rig_until(&r, 0, 0, 0);
}

static void an_unknown_request_is_refused_by_its_id(void **state)
{
    uint8_t frames[12];

    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_raw(c, frames, put_empty(frames, 2));
    client_refused(c, 5, ERR_UNSUPPORTED, "newer client");
    client_refused(c, 5, ERR_UNSUPPORTED, "newer client");
    client_raw(c, "\0\0\0\x06\x08\x07\xca\x3e\x01\x41", 10); /* field 1001: a verb of the future */
    client_refused(c, 7, ERR_UNSUPPORTED, "newer client");
    client_alive(c);
}

/* Strangers cannot fill the log, and what is left out is said. */
static void the_log_is_not_flooded(void **state)
{
    enum { MANY = 150 };
    uint64_t begun = clock_us();

    (void)state;
    up();
    for (int i = 0; i < MANY; i++) {
        struct client *c = rig_connect(&r);

        client_raw(c, "\xff\xff\xff\xff", 4);
        client_refused(c, 0, ERR_TOO_LARGE, "possible");
    }
    uint64_t seconds = (clock_us() - begun) / 1000000;
    assert_in_range(rig_logged(&r, "connection of fe"), 1, 50 * (seconds + 2));
}

/* ---- limits */

/* More requests than max_in_flight wait where they are, and are all answered in the end. */
static void more_than_in_flight_wait(void **state)
{
    struct limits limits = rig_limits();
    char text[16];

    (void)state;
    limits.in_flight = 4;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    struct client *c = rig_client(&r);
    for (unsigned i = 0; i < 30; i++) {
        snprintf(text, sizeof(text), "m%u", i);
        client_sign(c, i, KEY_EC, 0, text);
    }
    rig_until(&r, 0, 4, 1);
    for (unsigned i = 0; i < 30; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        assert_true(rig_stats(&r).at_servers <= 4);
        rig_signs(&r.signers[0], &ask, 10);
        snprintf(text, sizeof(text), "m%u", i);
        client_signed(c, i, text);
    }
    client_alive(c);
}

static void connections_are_counted(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.connections = 3;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    struct client *first = rig_client(&r);
    rig_client(&r);
    rig_client(&r);
    for (int i = 0; i < 5; i++) {
        struct client *more = rig_connect(&r);

        assert_true(client_refused(more, 0, ERR_BUSY, "3 connections are open")->retry_after_ms >
                    0);
        client_ended(more);
    }
    client_close(first);
    rig_until(&r, 0, 0, 2);
    client_alive(rig_client(&r));
}

/* Asks and does not read, until everything is full from one end to the other; how often it asked.
 */
static size_t flood(struct client *c)
{
    static uint8_t frames[60000];
    struct pollfd p = {.fd = c->fd, .events = POLLOUT};
    size_t len = put_empty(frames, sizeof(frames) / 6), sent = 0;

    while (sent < 64u << 20 && poll(&p, 1, 60) == 1) {
        size_t at = sent % len;
        ssize_t n = send(c->fd, frames + at, len - at, MSG_NOSIGNAL);

        if (n < 0)
            break;
        sent += (size_t)n;
    }
    return sent / 6;
}

/* One that asks and does not read is not read; nothing is lost. */
static void who_does_not_read_is_not_read(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *other = rig_client(&r);
    size_t asked = flood(c);
    assert_in_range(asked, 10000, 200000); /* what buffers and sockets hold, and no more */
    client_alive(other);
    for (size_t i = 0; i < asked; i++)
        client_refused(c, 5, ERR_UNSUPPORTED, "");
}

/* Answers that fill the buffer stop the reading in the middle of what was read already: it goes on
 * when they have left, without another byte from the client. */
static void frames_that_were_read_are_not_forgotten(void **state)
{
    enum { FRAMES = 16384 / 6 };
    static uint8_t frames[FRAMES * 6];

    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_raw(c, frames, put_empty(frames, FRAMES));
    for (size_t i = 0; i < FRAMES; i++)
        client_refused(c, 5, ERR_UNSUPPORTED, "");
    client_alive(c);
}

/* When memory is used up, the one that hoards it goes, not the one that comes next. */
static void the_hoarder_pays_for_memory(void **state)
{
    enum { CROWD = 35 }; /* of about 20 KiB each: with the hoarder's half a MiB more than one */
    struct limits limits = rig_limits();

    (void)state;
    limits.buffers_mib = 2;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    struct client *hoarder = rig_client(&r);
    flood(hoarder);
    rig_until(&r, 0, 0, 1); /* alone he may */
    for (int i = 0; i < CROWD; i++)
        client_alive(rig_client(&r));
    rig_until(&r, 0, 0, CROWD);
    for (int i = 1; i <= CROWD; i++)
        client_alive(&r.clients[i]);
}

/* Where nobody hoards, there is room for so many and no more. */
static void memory_for_connections_is_limited(void **state)
{
    enum { MOST = 60 };
    struct limits limits = rig_limits();
    struct client *c = NULL, *first;
    const envelope *e = NULL;
    size_t n = 0;

    (void)state;
    limits.buffers_mib = 1;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    first = rig_client(&r);
    while (n < MOST) {
        c = rig_connect(&r);
        client_hello(c, 1, 1, 1);
        e = client_next(c);
        assert_non_null(e);
        if (e->body_case != BODY(HELLO_REPLY))
            break;
        n++;
    }
    assert_in_range(n, 15, 40); /* of about 20 KiB each in half a MiB */
    assert_int_equal(e->id, 0);
    assert_int_equal(e->error->code, ERR_BUSY);
    client_ended(c);
    client_alive(first);
    client_close(first);
    rig_until(&r, 0, 0, (uint32_t)n);
    client_alive(rig_client(&r));
}

/* ---- gone with open calls */

static void who_leaves_takes_his_calls_out_of_the_queue(void **state)
{
    (void)state;
    up();
    chan_close(&r.signers[0]);
    struct client *stays = rig_client(&r), *goes = rig_client(&r), *too = rig_client(&r);
    for (unsigned i = 0; i < 5; i++) {
        client_sign(goes, i, KEY_EC, 0, "gone");
        client_sign(stays, i, KEY_EC, 0, "stays");
        client_sign(too, i, KEY_EC, 0, "gone too");
    }
    rig_until(&r, 15, 0, 3);
    client_close(goes);
    client_close(too);
    rig_until(&r, 5, 0, 1);
    client_alive(stays);
    rig_signer(&r, 0, 2, NULL);
    for (unsigned i = 0; i < 5; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        assert_string_equal(ask.text, "stays");
        rig_signs(&r.signers[0], &ask, 10);
        client_signed(stays, i, "stays");
    }
    assert_int_equal(rig_logged(&r, "failed"), 0); /* nobody was there to be refused */
}

static void who_leaves_has_his_calls_at_signers_dropped(void **state)
{
    (void)state;
    up();
    struct client *stays = rig_client(&r), *goes = rig_client(&r);
    client_sign(goes, 1, KEY_EC, 0, "gone");
    rig_until(&r, 0, 1, 2);
    client_sign(stays, 2, KEY_EC, 0, "stays");
    rig_until(&r, 0, 2, 2);
    client_close(goes);
    rig_until(&r, 0, 2, 1); /* the signer works on it, and cannot be stopped */
    for (unsigned i = 0; i < 2; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        rig_signs(&r.signers[0], &ask, 10);
    }
    client_signed(stays, 2, "stays");
    client_alive(stays);
    rig_until(&r, 0, 0, 1);
}

/* The same with calls in the queue, at a signer and unread frames behind, again and again; records
 * are used anew in between. */
static void who_leaves_leaves_nothing_behind(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.in_flight = 25;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    rig_share(&r);
    for (unsigned round = 0; round < 20; round++) {
        struct client *c = rig_client(&r);

        for (unsigned i = 0; i < 30; i++)
            client_sign(c, i, KEY_EC, 0, "gone");
        rig_until(&r, 8, 17, 1); /* 17 times 60 us are a millisecond */
        client_close(c);
        rig_until(&r, 0, 17, 0); /* seen, though it was not being read */
        for (unsigned i = 0; i < 17; i++) {
            struct rig_ask ask = rig_asked(&r.signers[0]);

            rig_refuses(&r.signers[0], &ask, ERR_TOKEN); /* which teaches nothing */
        }
        rig_until(&r, 0, 0, 0);
    }
    assert_int_equal(rig_stats(&r).refused_total, 20 * 17);
}

/* ---- descriptors */

static unsigned long cpu_ticks(pid_t pid)
{
    char path[64], text[512] = "";
    unsigned long user = 0, system = 0;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "re");
    assert_non_null(f);
    assert_non_null(fgets(text, sizeof(text), f));
    fclose(f);
    assert_int_equal(sscanf(strrchr(text, ')'),
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                            &system),
                     2);
    return user + system;
}

/* Without descriptors for more the gate neither spins nor forgets who waits. */
static void descriptors_may_run_out(void **state)
{
    enum { FILES = 24, CLIENTS = 40 };
    struct limits limits = rig_limits();
    struct client *all[CLIENTS];

    (void)state;
    rig_start_poor(&r, PROC_GATE_SIGNING, &limits, FILES);
    for (int i = 0; i < CLIENTS; i++) {
        all[i] = rig_connect(&r);
        client_hello(all[i], 1, 1, 1);
    }
    client_expect(all[0], 1, BODY(HELLO_REPLY));
    uint32_t open = rig_stats(&r).connections;
    assert_in_range(open, 8, FILES);
    unsigned long before = cpu_ticks(r.pid);
    nanosleep(&(struct timespec){0, 300000000}, NULL);
    assert_true(cpu_ticks(r.pid) - before < 8); /* of 30 */
    client_alive(all[0]);
    assert_int_equal(rig_logged(&r, "no descriptor"), 1);
    for (int i = 0; i < CLIENTS; i++) {
        if (i > 0)
            client_expect(all[i], 1, BODY(HELLO_REPLY));
        client_alive(all[i]);
        client_close(all[i]); /* and the next one has its place */
    }
}

/* An ordinary shell gives fewer than there may be connections: the gate takes what it can get. */
static void descriptors_are_raised_to_what_may_be(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    char path[64], text[4096];
    snprintf(path, sizeof(path), "/proc/%d/limits", (int)r.pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    ssize_t n = read(fd, text, sizeof(text) - 1);
    close(fd);
    assert_true(n > 0);
    text[n] = 0;
    unsigned long soft = 0, hard = 1;
    const char *at = strstr(text, "Max open files");
    assert_non_null(at);
    assert_int_equal(sscanf(at, "Max open files %lu %lu", &soft, &hard), 2);
    assert_int_equal(soft, hard); /* the rig starts it with 512 */
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(hello_comes_first),
        T(hello_and_more_in_one_go),
        T(a_version_is_agreed_on),
        T(requests_may_come_in_any_pieces),
        T(bad_frames_end_the_connection),
        T(a_frame_may_be_as_long_as_the_cap),
        T(a_client_may_leave_in_the_middle),
        T(an_unknown_request_is_refused_by_its_id),
        T(the_log_is_not_flooded),
        T(more_than_in_flight_wait),
        T(connections_are_counted),
        T(who_does_not_read_is_not_read),
        T(frames_that_were_read_are_not_forgotten),
        T(the_hoarder_pays_for_memory),
        T(memory_for_connections_is_limited),
        T(who_leaves_takes_his_calls_out_of_the_queue),
        T(who_leaves_has_his_calls_at_signers_dropped),
        T(who_leaves_leaves_nothing_behind),
        T(descriptors_may_run_out),
        T(descriptors_are_raised_to_what_may_be),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
