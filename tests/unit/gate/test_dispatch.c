/* SPDX-License-Identifier: Apache-2.0
 *
 * Dispatch on the signing gate: who gets which call, and what becomes of it when a signer dies,
 * hangs, comes back or lies.
 */
#include "tests/unit/gate/rig.h"

#include <signal.h>
#include <stdio.h>
#include <time.h>

#include "proto/base/clock.h"

#define EXIT_BROKEN 70

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

/* Somebody else has asked lately, too. */
static void up_shared(void)
{
    up();
    rig_share(&r);
}

/* count calls "m0", "m1", ... with ids from 0. */
static void send_signs(struct client *c, uint8_t key, unsigned count)
{
    char text[16];

    for (unsigned i = 0; i < count; i++) {
        snprintf(text, sizeof(text), "m%u", i);
        client_sign(c, i, key, 0, text);
    }
}

/* The signer gets exactly "m<from>" to "m<to - 1>", in this order, and signs them. */
static void signs_in_order(struct client *c, struct chan *signer, unsigned from, unsigned to)
{
    char text[16];

    for (unsigned i = from; i < to; i++) {
        struct rig_ask ask = rig_asked(signer);

        snprintf(text, sizeof(text), "m%u", i);
        assert_string_equal(ask.text, text);
        rig_signs(signer, &ask, 50);
        client_signed(c, i, text);
    }
}

/* ---- there and back */

static void a_signature_goes_round(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 300, KEY_RSA, 0, "message");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    assert_int_equal(ask.key, KEY_RSA);
    assert_int_equal(ask.scheme, 0x0403);
    assert_string_equal(ask.text, "message");
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 300, "message");
    struct rig_stats s = rig_stats(&r);
    assert_int_equal(s.signed_total, 1);
    assert_int_equal(s.refused_total + s.busy_total + s.retried_total, 0);
    assert_int_equal(s.waiting + s.at_servers, 0);
}

static void answers_come_in_any_order(void **state)
{
    struct rig_ask asks[6];

    (void)state;
    up();
    struct client *a = rig_client(&r), *b = rig_client(&r);
    for (unsigned i = 0; i < 6; i++) {
        client_sign(i % 2 ? b : a, 7, KEY_EC, 0, i % 2 ? "of b" : "of a"); /* ids may repeat */
        asks[i] = rig_asked(&r.signers[0]);
    }
    for (unsigned i = 6; i-- > 0;) {
        rig_signs(&r.signers[0], &asks[i], 50);
        client_signed(i % 2 ? b : a, 7, i % 2 ? "of b" : "of a");
    }
}

static void refusals_of_a_signer_reach_the_client(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "odd");
    client_sign(c, 2, KEY_EC, 0, "good");
    struct rig_ask odd = rig_asked(&r.signers[0]), good = rig_asked(&r.signers[0]);
    rig_refuses(&r.signers[0], &odd, ERR_BAD_SHAPE);
    rig_signs(&r.signers[0], &good, 50);
    client_refused(c, 1, ERR_BAD_SHAPE, "no signature for odd");
    client_signed(c, 2, "good");
    assert_int_equal(rig_stats(&r).refused_total, 1);
}

/* ---- how much at whom */

static void a_signer_gets_a_millisecond_of_work(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 40); /* 60 us each by first guess */
    rig_until(&r, 40 - 17, 17, 1);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 60);
    rig_until(&r, 40 - 18, 17, 1);
}

/* Nobody else asks for much: the signer may have more, and who asks for little goes ahead of it. */
static void one_who_asks_for_much_gives_a_signer_more(void **state)
{
    struct rig_ask ask;

    (void)state;
    up();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 200);
    rig_until(&r, 200 - 134, 134, 1);
    struct client *guest = rig_guest(&r);
    client_sign(guest, 1, KEY_EC, 0, "the guest's");
    rig_until(&r, 200 - 134, 135, 2);
    for (unsigned i = 0; i < 10; i++) {
        ask = rig_asked(&r.signers[0]);
        rig_signs(&r.signers[0], &ask, 60);
    }
    rig_until(&r, 200 - 143, 134, 2);
    for (unsigned i = 10; i < 134; i++)
        assert_false(rig_asked(&r.signers[0]).ahead);
    ask = rig_asked(&r.signers[0]);
    assert_true(ask.ahead);
    rig_signs(&r.signers[0], &ask, 60);
    client_signed(guest, 1, "the guest's");
}

/* Then nobody's next call is to stand behind more than a millisecond of the others'. */
static void two_who_ask_for_much_give_it_less(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *guest = rig_guest(&r);
    send_signs(c, KEY_EC, 200);
    rig_until(&r, 200 - 134, 134, 2);
    send_signs(guest, KEY_EC, 20); /* nine of them are little */
    rig_until(&r, 200 - 134 + 11, 134 + 9, 2);
    for (unsigned i = 0; i < 125; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        rig_signs(&r.signers[0], &ask, 60);
        client_signed(c, i, ask.text);
    }
    rig_until(&r, 200 - 134 + 11, 9 + 9, 2); /* which are a millisecond */
}

/* Whoever has little at the signers is not to stand behind those who have much. */
static void who_has_little_goes_ahead(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 30);
    for (unsigned i = 0; i < 17; i++)
        assert_false(rig_asked(&r.signers[0]).ahead); /* nobody else is there */
    rig_until(&r, 13, 17, 1);
    struct client *guest = rig_guest(&r);
    send_signs(guest, KEY_EC, 12);
    for (unsigned i = 0; i < 9; i++)
        assert_true(rig_asked(&r.signers[0]).ahead); /* 9 times 60 us: not little */
    rig_until(&r, 13 + 3, 17 + 9, 2);
}

/* It goes to where nothing is at work, not to where nothing else goes ahead. */
static void what_goes_ahead_goes_to_a_free_signer(void **state)
{
    (void)state;
    up_shared();
    rig_signer(&r, 1, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r), *guest = rig_guest(&r);
    send_signs(c, KEY_RSA, 2);
    rig_until(&r, 0, 2, 2);
    struct rig_ask first = rig_asked(&r.signers[0]), second = rig_asked(&r.signers[1]);
    rig_signs(&r.signers[1], &second, 700);
    client_signed(c, 1, second.text);
    client_sign(guest, 1, KEY_EC, 0, "the guest's");
    assert_string_equal(rig_asked(&r.signers[1]).text, "the guest's");
    assert_string_equal(first.text, "m0");
}

static void slow_work_is_spread(void **state)
{
    (void)state;
    up_shared();
    rig_signer(&r, 1, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    send_signs(c, KEY_RSA, 5); /* 700 us each: no more than two at one signer */
    rig_until(&r, 1, 4, 1);
    struct rig_ask a = rig_asked(&r.signers[0]), b = rig_asked(&r.signers[1]);
    assert_string_equal(a.text, "m0");
    assert_string_equal(b.text, "m1");
    rig_signs(&r.signers[1], &b, 700);
    client_signed(c, 1, "m1");
    b = rig_asked(&r.signers[1]);
    assert_string_equal(b.text, "m3");
    b = rig_asked(&r.signers[1]); /* the fifth follows at once */
    assert_string_equal(b.text, "m4");
}

/* However slow a signature is, a free signer gets one. */
static void work_over_a_millisecond_goes_one_by_one(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    client_sign(c, 99, KEY_RSA, 0, "slow");
    for (unsigned i = 0; i < 20; i++) {
        struct rig_ask ask = rig_asked(&r.signers[0]);

        rig_signs(&r.signers[0], &ask, 3000);
        client_signed(c, 99, "slow");
        client_sign(c, 99, KEY_RSA, 0, "slow");
    }
    send_signs(c, KEY_RSA, 3);
    rig_until(&r, 3, 1, 1);
}

/* ---- refused at once */

static void a_full_queue_is_busy(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.queue = 3;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    rig_table(&r);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 5);
    for (unsigned i = 3; i < 5; i++)
        assert_true(client_refused(c, i, ERR_BUSY, "3 calls wait")->retry_after_ms > 0);
    assert_int_equal(rig_stats(&r).busy_total, 2);
    rig_signer(&r, 0, 1, NULL);
    signs_in_order(c, &r.signers[0], 0, 3); /* what was taken is done */
    client_sign(c, 0, KEY_EC, 0, "m0");
    signs_in_order(c, &r.signers[0], 0, 1);
}

static void a_deadline_that_cannot_be_met_is_busy(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_RSA, 102); /* two at the signer, 70 ms of work behind them: 71 */
    rig_until(&r, 100, 2, 1);
    client_sign(c, 500, KEY_EC, 50, "hurry");
    const Keyd__V1__Error *e = client_refused(c, 500, ERR_BUSY, "about 71 ms of work wait");
    assert_in_range(e->retry_after_ms, 71, 73);
    client_sign(c, 501, KEY_EC, 5000, "patient");
    rig_until(&r, 101, 2, 1);
}

/* The more signers, the sooner. */
static void estimates_count_the_signers(void **state)
{
    (void)state;
    up_shared();
    rig_signer(&r, 1, 1, NULL);
    rig_signer(&r, 2, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    send_signs(c, KEY_RSA, 106);
    rig_until(&r, 100, 6, 1);
    client_sign(c, 500, KEY_EC, 20, "hurry");
    client_refused(c, 500, ERR_BUSY, "about 24 ms of work wait");
    client_sign(c, 501, KEY_EC, 2000, "not so much");
    rig_until(&r, 101, 6, 1);
}

/* One stall teaches little: the estimate must not go up to where every call is refused. */
static void one_stall_is_not_believed(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1000, KEY_EC, 0, "stalls");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 60000000);
    client_signed(c, 1000, "stalls");
    for (unsigned i = 0; i < 50; i++)
        client_sign(c, i, KEY_EC, 2000, "next");
    for (unsigned i = 0; i < 50; i++) {
        ask = rig_asked(&r.signers[0]);
        rig_signs(&r.signers[0], &ask, 50);
        client_signed(c, i, "next");
    }
}

/* Whatever the estimate says: a signer with nothing to do tries. Else nobody would ever be signed
 * for again, and the estimate never mended. */
static void an_idle_signer_tries(void **state)
{
    struct rig_ask ask;

    (void)state;
    up();
    struct client *c = rig_client(&r);
    for (unsigned i = 0; i < 40; i++) { /* a token that was slow for long: 20 s by the estimate */
        client_sign(c, i, KEY_EC, 60000, "slow");
        ask = rig_asked(&r.signers[0]);
        rig_signs(&r.signers[0], &ask, 60000000);
        client_signed(c, i, "slow");
    }
    for (unsigned i = 0; i < 60; i++) { /* and is quick again */
        client_sign(c, i, KEY_EC, 500, "quick");
        if (i == 0) {
            rig_until(&r, 0, 1, 1);
            client_sign(c, 99, KEY_EC, 500, "more than one need not be tried");
            client_refused(c, 99, ERR_BUSY, "of work wait");
        }
        ask = rig_asked(&r.signers[0]);
        rig_signs(&r.signers[0], &ask, 50);
        client_signed(c, i, "quick");
    }
    client_sign(c, 1, KEY_EC, 500, "one");
    client_sign(c, 2, KEY_EC, 500, "two");
    rig_until(&r, 1, 1, 1); /* both were taken: the estimate is well again */
}

/* ---- deadlines */

static void a_deadline_passes_in_the_queue(void **state)
{
    (void)state;
    up();
    chan_close(&r.signers[0]);
    struct client *c = rig_client(&r);
    uint64_t begun = clock_us();
    client_sign(c, 1, KEY_EC, 60, "short");
    client_sign(c, 2, KEY_EC, 0, "long");
    client_sign(c, 3, KEY_EC, 30, "shorter"); /* behind the others, and before them */
    client_refused(c, 3, ERR_DEADLINE, "30 ms");
    client_refused(c, 1, ERR_DEADLINE, "60 ms");
    assert_true(clock_us() - begun >= 60000);
    rig_signer(&r, 0, 2, NULL);
    struct rig_ask ask = rig_asked(&r.signers[0]); /* for those two it is not asked */
    assert_string_equal(ask.text, "long");
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 2, "long");
    assert_int_equal(rig_stats(&r).busy_total, 2);
}

static void a_deadline_passes_at_a_signer(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 40, "late");
    client_sign(c, 2, KEY_EC, 0, "in time");
    struct rig_ask late = rig_asked(&r.signers[0]), good = rig_asked(&r.signers[0]);
    client_refused(c, 1, ERR_DEADLINE, "40 ms");
    rig_until(&r, 0, 2, 1);
    rig_signs(&r.signers[0], &late, 50); /* nobody wants it any more */
    rig_signs(&r.signers[0], &good, 50);
    client_signed(c, 2, "in time");
    client_alive(c);
    rig_until(&r, 0, 0, 1);
}

/* ---- a signer goes */

static void calls_go_to_another_in_their_order(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 25);
    rig_until(&r, 8, 17, 1);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 0, "m0");
    rig_signer(&r, 1, 1, NULL);
    rig_until(&r, 0, 24, 1);
    chan_close(&r.signers[0]);
    rig_until(&r, 17, 7, 1);
    signs_in_order(c, &r.signers[1], 18, 25);
    signs_in_order(c, &r.signers[1], 1, 18);
    assert_int_equal(rig_stats(&r).retried_total, 17);
}

static void without_another_calls_wait_for_one(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 5);
    rig_until(&r, 0, 5, 1);
    chan_close(&r.signers[0]);
    rig_until(&r, 5, 0, 1);
    rig_signer(&r, 0, 2, NULL); /* it comes back, as another process */
    signs_in_order(c, &r.signers[0], 0, 5);
    assert_int_equal(rig_stats(&r).retried_total, 5);
}

/* What it answered before it went counts, and is not done again. */
static void last_answers_count(void **state)
{
    struct rig_ask asks[3];

    (void)state;
    up();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 3);
    for (unsigned i = 0; i < 3; i++)
        asks[i] = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &asks[0], 50);
    rig_signs(&r.signers[0], &asks[1], 50);
    chan_close(&r.signers[0]);
    client_signed(c, 0, "m0");
    client_signed(c, 1, "m1");
    rig_signer(&r, 1, 1, NULL);
    signs_in_order(c, &r.signers[1], 2, 3);
    assert_int_equal(rig_stats(&r).retried_total, 1);
}

/* A new channel may be there before the end of the old one is seen. */
static void a_successor_takes_over(void **state)
{
    struct rig_ask asks[3];
    struct chan old;

    (void)state;
    up();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_EC, 3);
    for (unsigned i = 0; i < 3; i++)
        asks[i] = rig_asked(&r.signers[0]);
    kill(r.pid, SIGSTOP);
    rig_signer(&r, 0, 2, &old); /* the gate hears of this first */
    rig_signs(&old, &asks[0], 50);
    kill(r.pid, SIGCONT);
    client_signed(c, 0, "m0");
    assert_true(rig_eof(&old)); /* which is of no use any more */
    chan_close(&old);
    signs_in_order(c, &r.signers[0], 1, 3);
}

/* One bad call must not kill them all. */
static void a_call_that_two_died_with_is_refused(void **state)
{
    (void)state;
    up();
    rig_signer(&r, 1, 1, NULL);
    rig_signer(&r, 2, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    client_sign(c, 0, KEY_EC, 0, "m0"); /* at signer 0 */
    assert_string_equal(rig_asked(&r.signers[0]).text, "m0");
    chan_close(&r.signers[0]);
    assert_string_equal(rig_asked(&r.signers[1]).text, "m0");
    chan_close(&r.signers[1]);
    client_refused(c, 0, ERR_INTERNAL, "2 signers in turn died");
    assert_true(rig_quiet(&r, &r.signers[2]));
    client_sign(c, 1, KEY_EC, 0, "m1");
    signs_in_order(c, &r.signers[2], 1, 2);
}

/* Nobody knows what the signer was at when it died: each call is tried alone, and only the one with
 * which another one dies is to blame. */
static void one_of_many_is_to_blame(void **state)
{
    (void)state;
    up();
    rig_signer(&r, 1, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    chan_close(&r.signers[1]);
    send_signs(c, KEY_EC, 4);
    rig_until(&r, 0, 4, 1);
    rig_signer(&r, 0, 2, NULL);
    client_sign(c, 4, KEY_EC, 0, "m4"); /* is above suspicion, and waits for its turn */
    signs_in_order(c, &r.signers[0], 0, 2);
    rig_until(&r, 2, 1, 1);
    assert_string_equal(rig_asked(&r.signers[0]).text, "m2");
    rig_signer(&r, 0, 3, NULL);
    client_refused(c, 2, ERR_INTERNAL, "2 signers in turn died");
    signs_in_order(c, &r.signers[0], 3, 5);
}

static void nobody_asks_again_for_who_left(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *stays = rig_client(&r);
    client_sign(c, 0, KEY_EC, 0, "gone");
    rig_until(&r, 0, 1, 2);
    client_sign(stays, 1, KEY_EC, 0, "m1");
    rig_until(&r, 0, 2, 2);
    client_close(c);
    rig_until(&r, 0, 2, 1);
    rig_signer(&r, 0, 2, NULL);
    signs_in_order(stays, &r.signers[0], 1, 2);
}

/* ---- a signer hangs */

static void expect_overdue(uint32_t index, uint32_t generation)
{
    struct msg m = rig_expect(&r.parent, MSG_OVERDUE);

    assert_int_equal(rd_u8(&m.body), PROC_SIGNER);
    assert_int_equal(rd_u32(&m.body), index);
    assert_int_equal(rd_u32(&m.body), generation);
    msg_end(&m, &r.parent);
}

static void a_signer_that_hangs_is_reported(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.signer_timeout_ms = 150;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    rig_table(&r);
    rig_signer(&r, 1, 7, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    uint64_t begun = clock_us();
    send_signs(c, KEY_EC, 3);
    rig_until(&r, 0, 3, 1);
    rig_signer(&r, 2, 5, NULL);
    expect_overdue(1, 7);
    assert_true(clock_us() - begun >= 150000);
    signs_in_order(c, &r.signers[2], 0, 3);
    assert_true(rig_eof(&r.signers[1])); /* its late answers would be of no use */
    assert_int_equal(rig_stats(&r).retried_total, 3);
}

/* As long as answers come, work that piles up is no hanging. Nor is it to have nothing to do. */
static void a_signer_that_works_is_not_overdue(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.signer_timeout_ms = 150;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    struct client *c = rig_client(&r);
    nanosleep(&(struct timespec){0, 160000000}, NULL);
    send_signs(c, KEY_EC, 4);
    for (unsigned i = 0; i < 4; i++) {
        nanosleep(&(struct timespec){0, 60000000}, NULL);
        signs_in_order(c, &r.signers[0], i, i + 1);
    }
    assert_int_equal(rig_stats(&r).retried_total, 0); /* an OVERDUE would have come before */
}

/* Nobody waits for the answer any more; the signer hangs all the same. */
static void it_is_reported_also_when_nobody_waits(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.signer_timeout_ms = 100;
    rig_up(&r, PROC_GATE_SIGNING, &limits);
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "gone");
    rig_until(&r, 0, 1, 1);
    client_close(c);
    expect_overdue(0, 1);
    rig_until(&r, 0, 0, 0);
    assert_int_equal(rig_stats(&r).retried_total, 0);
}

/* ---- a signer lies */

static void answer_and_end(struct chan *signer, uint64_t call)
{
    struct rig_ask ask = {.call = call, .text = "x"};

    rig_signs(signer, &ask, 50);
    assert_int_equal(rig_wait(&r), EXIT_BROKEN);
    assert_int_equal(rig_logged(&r, "was not asked"), 1);
}

static void an_answer_out_of_nothing_ends_the_gate(void **state)
{
    (void)state;
    up();
    answer_and_end(&r.signers[0], 0x100000000);
}

static void an_answer_given_twice_ends_the_gate(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "once");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    rig_signs(&r.signers[0], &ask, 50);
    client_signed(c, 1, "once");
    client_sign(c, 2, KEY_EC, 0, "again"); /* the record is used again: its handle is another */
    assert_int_not_equal(rig_asked(&r.signers[0]).call, ask.call);
    answer_and_end(&r.signers[0], ask.call);
}

static void an_answer_to_anothers_call_ends_the_gate(void **state)
{
    (void)state;
    up();
    rig_signer(&r, 1, 1, NULL);
    rig_stats(&r);
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "of 0");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    answer_and_end(&r.signers[1], ask.call);
}

static void an_answer_for_the_queue_ends_the_gate(void **state)
{
    (void)state;
    up_shared();
    struct client *c = rig_client(&r);
    send_signs(c, KEY_RSA, 3); /* the third waits; its handle can be guessed */
    rig_until(&r, 1, 2, 1);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    answer_and_end(&r.signers[0], ask.call + 2);
}

static void an_answer_with_more_behind_it_ends_the_gate(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_EC, 0, "m");
    struct rig_ask ask = rig_asked(&r.signers[0]);
    chan_put(&r.signers[0], MSG_SIGNED);
    put_u64(&r.signers[0], ask.call);
    put_u32(&r.signers[0], 1);
    put_str(&r.signers[0], "signature");
    put_u8(&r.signers[0], 0);
    rig_send(&r.signers[0]);
    assert_int_equal(rig_wait(&r), EXIT_BROKEN);
    client_ended(c);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_signature_goes_round),
        T(answers_come_in_any_order),
        T(refusals_of_a_signer_reach_the_client),
        T(a_signer_gets_a_millisecond_of_work),
        T(one_who_asks_for_much_gives_a_signer_more),
        T(two_who_ask_for_much_give_it_less),
        T(who_has_little_goes_ahead),
        T(what_goes_ahead_goes_to_a_free_signer),
        T(slow_work_is_spread),
        T(work_over_a_millisecond_goes_one_by_one),
        T(a_full_queue_is_busy),
        T(a_deadline_that_cannot_be_met_is_busy),
        T(estimates_count_the_signers),
        T(one_stall_is_not_believed),
        T(an_idle_signer_tries),
        T(a_deadline_passes_in_the_queue),
        T(a_deadline_passes_at_a_signer),
        T(calls_go_to_another_in_their_order),
        T(without_another_calls_wait_for_one),
        T(last_answers_count),
        T(a_successor_takes_over),
        T(a_call_that_two_died_with_is_refused),
        T(one_of_many_is_to_blame),
        T(nobody_asks_again_for_who_left),
        T(a_signer_that_hangs_is_reported),
        T(a_signer_that_works_is_not_overdue),
        T(it_is_reported_also_when_nobody_waits),
        T(an_answer_out_of_nothing_ends_the_gate),
        T(an_answer_given_twice_ends_the_gate),
        T(an_answer_to_anothers_call_ends_the_gate),
        T(an_answer_for_the_queue_ends_the_gate),
        T(an_answer_with_more_behind_it_ends_the_gate),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
