/* SPDX-License-Identifier: Apache-2.0
 *
 * Status: what several processes say becomes one answer, also when some say nothing, or nonsense.
 */
#include "tests/unit/gate/rig.h"

#include <stdio.h>

#include "proto/base/clock.h"

#define BODY(x)     KEYD__V1__ENVELOPE__BODY_##x
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

    rig_up(&r, PROC_GATE_CONTROL, &limits);
}

static void ask_status(struct client *c, uint64_t id, uint32_t deadline_ms)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Status status = KEYD__V1__STATUS__INIT;

    e.id = id;
    e.deadline_ms = deadline_ms;
    e.body_case = BODY(STATUS);
    e.status = &status;
    client_send(c, &e);
}

static const Keyd__V1__StatusReply *reply(struct client *c, uint64_t id)
{
    return client_expect(c, id, BODY(STATUS_REPLY))->status_reply;
}

/* ---- as the parent */

static uint64_t asked(void)
{
    struct msg m = rig_expect(&r.parent, MSG_STATUS_ASK);
    uint64_t ask = rd_u64(&m.body);

    msg_end(&m, &r.parent);
    return ask;
}

static void say(void)
{
    rig_send(&r.parent);
}

static void put_process(const char *name, uint32_t pid, uint64_t uptime_ms, uint32_t restarts,
                        const char *last_exit)
{
    put_str(&r.parent, name);
    put_u32(&r.parent, pid);
    put_str(&r.parent, pid ? "ready" : "starting");
    put_u64(&r.parent, uptime_ms);
    put_u32(&r.parent, restarts);
    put_str(&r.parent, last_exit);
}

/* The parent, two signers, a custodian and a gate; `expected` figures are to follow. */
static void say_processes(uint64_t ask, uint32_t expected)
{
    chan_put(&r.parent, MSG_PROCESSES);
    put_u64(&r.parent, ask);
    put_u32(&r.parent, expected);
    put_u32(&r.parent, 5);
    put_process("parent", 10, 5000, 0, "");
    put_process("signer 0", 11, 4000, 0, "");
    put_process("signer 1", 0, 0, 3, "killed by signal 9");
    put_process("custodian", 13, 3000, 1, "exit status 1");
    put_process("signing gate", 14, 2000, 0, "");
    put_u32(&r.parent, 0); /* exits */
    say();
}

static void put_stats(uint64_t ask, enum proc proc, uint32_t index)
{
    chan_put(&r.parent, MSG_STATS);
    put_u64(&r.parent, ask);
    put_u8(&r.parent, (uint8_t)proc);
    put_u32(&r.parent, index);
}

static void say_signer(uint64_t ask, uint32_t index, uint64_t made)
{
    put_stats(ask, PROC_SIGNER, index);
    put_u64(&r.parent, made);
    put_u64(&r.parent, 5);
    put_u32(&r.parent, 0); /* schemes */
    say();
}

static void say_gate(uint64_t ask)
{
    put_stats(ask, PROC_GATE_SIGNING, 0);
    for (uint32_t i = 1; i <= 3; i++)
        put_u32(&r.parent, i);
    for (uint64_t i = 4; i <= 7; i++)
        put_u64(&r.parent, i);
    say();
}

/* With so many of its words; all others are said to follow. */
static void say_custodian(uint64_t ask, uint32_t words)
{
    put_stats(ask, PROC_CUSTODIAN, 0);
    for (uint32_t i = 21; i <= 23; i++)
        put_u32(&r.parent, i);
    put_str(&r.parent, "label");
    put_str(&r.parent, "maker");
    put_str(&r.parent, "model");
    put_str(&r.parent, "serial");
    put_str(&r.parent, "module");
    put_u32(&r.parent, 3);
    for (uint32_t i = 0; i < words; i++)
        put_str(&r.parent, i ? "rsa-2048" : "ec-p256");
    if (words == 3) {
        put_u32(&r.parent, 1);
        put_str(&r.parent, "a note");
    }
    say();
}

/* ---- all say something */

static void check_custodian(const Keyd__V1__StatusReply *s)
{
    assert_int_equal(s->tenants, 21);
    assert_int_equal(s->keys, 22);
    assert_int_equal(s->keys_missing, 23);
    assert_string_equal(s->token->label, "label");
    assert_string_equal(s->token->manufacturer, "maker");
    assert_string_equal(s->token->model, "model");
    assert_string_equal(s->token->serial, "serial");
    assert_string_equal(s->token->module, "module");
    assert_int_equal(s->token->n_key_types, 3);
    assert_string_equal(s->token->key_types[0], "ec-p256");
    assert_string_equal(s->token->key_types[2], "rsa-2048");
    assert_int_equal(s->token->n_notes, 1);
    assert_string_equal(s->token->notes[0], "a note");
}

static void check_processes(const Keyd__V1__StatusReply *s)
{
    assert_int_equal(s->uptime_ms, 5000);
    assert_int_equal(s->n_processes, 5);
    assert_string_equal(s->processes[0]->name, "parent");
    assert_int_equal(s->processes[1]->pid, 11);
    assert_string_equal(s->processes[2]->state, "starting");
    assert_int_equal(s->processes[2]->restarts, 3);
    assert_string_equal(s->processes[2]->last_exit, "killed by signal 9");
    assert_int_equal(s->processes[3]->uptime_ms, 3000);
}

static void a_status_is_put_together(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    ask_status(c, 9, 0);
    uint64_t ask = asked();
    say_processes(ask, 4);
    say_custodian(ask, 3);
    say_signer(ask, 1, 77);
    say_gate(ask);
    client_alive(c); /* it is not answered before the last has spoken */
    say_signer(ask, 0, 55);
    const Keyd__V1__StatusReply *s = reply(c, 9);
    assert_string_equal(s->version, KEYD_VERSION);
    check_processes(s);
    assert_int_equal(s->processes[1]->signatures, 55);
    assert_int_equal(s->processes[2]->signatures, 77);
    assert_int_equal(s->queue->waiting, 1);
    assert_int_equal(s->queue->at_signers, 2);
    assert_int_equal(s->queue->connections, 3);
    assert_int_equal(s->queue->signed_total, 4);
    assert_int_equal(s->queue->refused_total, 5);
    assert_int_equal(s->queue->busy_total, 6);
    assert_int_equal(s->queue->retried_total, 7);
    check_custodian(s);
}

static void nobody_but_the_parent_is_there(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    ask_status(c, 1, 0);
    say_processes(asked(), 0);
    check_processes(reply(c, 1));
}

static void two_ask_at_once(void **state)
{
    (void)state;
    up();
    struct client *a = rig_client(&r), *b = rig_client(&r);
    ask_status(a, 1, 0);
    uint64_t ask_a = asked();
    ask_status(b, 1, 0);
    uint64_t ask_b = asked();
    assert_int_not_equal(ask_a, ask_b);
    say_processes(ask_b, 1);
    say_processes(ask_a, 1);
    say_signer(ask_b, 0, 2);
    say_signer(ask_a, 0, 1);
    assert_int_equal(reply(a, 1)->processes[1]->signatures, 1);
    assert_int_equal(reply(b, 1)->processes[1]->signatures, 2);
}

/* ---- some say nothing */

static void what_is_missing_after_a_second_is_left_out(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *early = rig_client(&r);
    uint64_t begun = clock_us();
    ask_status(c, 1, 0);
    uint64_t ask = asked();
    say_processes(ask, 3);
    say_signer(ask, 0, 55);
    ask_status(early, 2, 100); /* whose client does not want to wait so long */
    asked();
    const Keyd__V1__StatusReply *s = reply(early, 2);
    assert_true(clock_us() - begun >= 100000);
    assert_true(clock_us() - begun < 1000000);
    assert_int_equal(s->n_processes, 0);
    s = reply(c, 1);
    assert_true(clock_us() - begun >= 1000000);
    check_processes(s);
    assert_int_equal(s->processes[1]->signatures, 55);
    assert_string_equal(s->token->label, "");
    say_custodian(ask, 3); /* too late: nobody asks any more */
    client_alive(c);
}

static void who_left_is_not_told(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *stays = rig_client(&r);
    ask_status(c, 1, 0);
    uint64_t gone = asked();
    client_close(c);
    client_alive(stays);
    say_processes(gone, 2);
    ask_status(stays, 2, 0); /* perhaps with the same record */
    uint64_t ask = asked();
    say_signer(gone, 0, 1);
    say_processes(ask, 1);
    say_signer(gone, 0, 2);
    say_signer(ask, 0, 3);
    assert_int_equal(reply(stays, 2)->processes[1]->signatures, 3);
}

/* ---- some say nonsense: they are not the parent, who passes it on unread */

static void nonsense_is_left_out(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    ask_status(c, 1, 0);
    uint64_t ask = asked();
    say_processes(ask, 6);
    say_custodian(ask, 2);  /* three words are said to follow */
    say_signer(ask, 99, 1); /* a signer that there is not */
    put_stats(ask, PROC_SIGNER, 0);
    say(); /* no figures at all */
    put_stats(ask, PROC_GATE_SIGNING, 0);
    put_u32(&r.parent, 8);
    say(); /* too few */
    put_stats(ask, 200, 0);
    put_u32(&r.parent, 1);
    say(); /* of no kind of process */
    put_stats(ask, PROC_CUSTODIAN, 0);
    for (int i = 0; i < 3; i++)
        put_u32(&r.parent, 1);
    for (int i = 0; i < 5; i++)
        put_str(&r.parent, "");
    put_u32(&r.parent, 5000);
    say(); /* more words than there may be */
    const Keyd__V1__StatusReply *s = reply(c, 1);
    check_processes(s);
    assert_int_equal(s->processes[1]->signatures, 0);
    assert_int_equal(s->queue->waiting, 8);
    assert_int_equal(s->queue->busy_total, 0);
    assert_int_equal(rig_logged(&r, "make no sense"), 6);
}

static void nonsense_of_the_parent_ends_the_gate(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    ask_status(c, 1, 0);
    uint64_t ask = asked();
    chan_put(&r.parent, MSG_PROCESSES);
    put_u64(&r.parent, ask);
    put_u32(&r.parent, 1);
    put_u32(&r.parent, 2);
    put_process("parent", 10, 5000, 0, "");
    say();
    assert_int_equal(rig_wait(&r), EXIT_BROKEN);
}

/* ---- how many may ask */

static void not_everybody_may_ask_at_once(void **state)
{
    enum { MOST = 64 };
    uint64_t asks[MOST];

    (void)state;
    up();
    struct client *c = rig_client(&r), *other = rig_client(&r);
    for (unsigned i = 0; i < MOST; i++) {
        ask_status(c, i, 0);
        asks[i] = asked();
    }
    ask_status(other, 1, 0);
    assert_true(client_refused(other, 1, ERR_BUSY, "64 wait")->retry_after_ms > 0);
    for (unsigned i = 0; i < MOST; i++) {
        say_processes(asks[i], 0);
        reply(c, i);
    }
    ask_status(other, 2, 0);
    say_processes(asked(), 0);
    reply(other, 2);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_status_is_put_together),
        T(nobody_but_the_parent_is_there),
        T(two_ask_at_once),
        T(what_is_missing_after_a_second_is_left_out),
        T(who_left_is_not_told),
        T(nonsense_is_left_out),
        T(nonsense_of_the_parent_ends_the_gate),
        T(not_everybody_may_ask_at_once),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
