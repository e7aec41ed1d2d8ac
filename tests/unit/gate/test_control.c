/* SPDX-License-Identifier: Apache-2.0
 *
 * The control gate and its custodian: a request goes there whole and once, and its answer comes
 * back; what was begun and cut off is never begun again behind the client's back.
 */
#include "tests/unit/gate/rig.h"

#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "keyd/policy/verbs.h"

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

/* Without a custodian; the limits are known to be in force when this returns. */
static void up_alone(const struct limits *limits)
{
    rig_start(&r, PROC_GATE_CONTROL, limits);
    rig_table(&r);
}

static void answered(struct client *c, uint64_t id, const char *tenant)
{
    const envelope *e = client_expect(c, id, BODY(TENANTS_ADD_REPLY));

    assert_string_equal(e->tenants_add_reply->tenant->name, tenant);
}

/* ---- there and back */

static void a_request_goes_round(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_tenant(c, 300, 5000, "acme");
    struct rig_request q = rig_requested(&r);
    assert_int_equal(q.role, ROLE_OPERATOR);
    assert_string_equal(q.name, "ops");
    assert_in_range(q.deadline_ms, 3000, 5000); /* what is left of it */
    assert_int_equal(q.e->id, 300);
    assert_int_equal(q.e->deadline_ms, 5000);
    assert_int_equal(q.e->body_case, BODY(TENANTS_ADD));
    assert_string_equal(q.e->tenants_add->tenant, "acme");
    rig_answers(&r, &q, "acme");
    answered(c, 300, "acme");
}

/* One after another, so that a custodian which goes has begun one at most. */
static void requests_go_one_by_one(void **state)
{
    struct rig_request q;
    char name[16];

    (void)state;
    up();
    struct client *c = rig_client(&r);
    for (unsigned i = 0; i < 10; i++) {
        snprintf(name, sizeof(name), "t%u", i);
        client_tenant(c, i, 0, name);
    }
    for (unsigned i = 0; i < 10; i++) {
        q = rig_requested(&r);
        assert_true(rig_quiet(&r, &r.custodian));
        snprintf(name, sizeof(name), "t%u", i);
        assert_string_equal(q.e->tenants_add->tenant, name);
        rig_answers(&r, &q, name);
        answered(c, i, name);
    }
}

static void ask_to_disable(struct client *c, uint64_t id, const char *key)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__KeysDisable body = KEYD__V1__KEYS_DISABLE__INIT;

    body.key = (char *)key;
    e.id = id;
    e.body_case = BODY(KEYS_DISABLE);
    e.keys_disable = &body;
    client_send(c, &e);
}

/* But what takes away goes there at once; only not before what its own connection has asked for. */
static void what_takes_away_does_not_wait(void **state)
{
    struct rig_request first, urgent, q;

    (void)state;
    up();
    struct client *a = rig_client(&r), *b = rig_client(&r);
    client_tenant(a, 1, 0, "first");
    first = rig_requested(&r);
    envelope kept = *first.e; /* the next request takes its memory */
    first.e = &kept;
    client_tenant(a, 2, 0, "second");
    ask_to_disable(a, 3, "acme/behind");
    assert_true(rig_quiet(&r, &r.custodian));
    ask_to_disable(b, 4, "acme/www");
    urgent = rig_requested(&r);
    assert_int_equal(urgent.e->body_case, BODY(KEYS_DISABLE));
    assert_string_equal(urgent.e->keys_disable->key, "acme/www");
    rig_answers(&r, &urgent, "urgent"); /* before the first */
    answered(b, 4, "urgent");
    assert_true(rig_quiet(&r, &r.custodian));
    rig_answers(&r, &first, "first");
    answered(a, 1, "first");
    q = rig_requested(&r);
    assert_string_equal(q.e->tenants_add->tenant, "second");
    rig_answers(&r, &q, "second");
    answered(a, 2, "second");
    q = rig_requested(&r);
    assert_string_equal(q.e->keys_disable->key, "acme/behind");
    rig_answers(&r, &q, "behind");
    answered(a, 3, "behind");
}

/* As long as a frame can be: nothing on the way is shorter. */
static void the_longest_request_goes_through(void **state)
{
    static char subject[FRAME_CAP_CONTROL + 1];
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__CreateCsr csr = KEYD__V1__CREATE_CSR__INIT;
    size_t len = sizeof(subject) - 1;

    (void)state;
    up();
    struct client *c = rig_client(&r);
    memset(subject, 'x', sizeof(subject) - 1);
    csr.subject = subject;
    e.body_case = BODY(CREATE_CSR);
    e.create_csr = &csr;
    do
        subject[--len] = 0;
    while (frame_size(&e) > FRAME_HEAD + FRAME_CAP_CONTROL);
    assert_int_equal(frame_size(&e), FRAME_HEAD + FRAME_CAP_CONTROL);
    client_send(c, &e);
    struct rig_request q = rig_requested(&r);
    assert_string_equal(q.e->create_csr->subject, subject);
    rig_answers(&r, &q, "done");
    answered(c, 0, "done");
}

/* Sign is the custodian's here: what it may sign is his to judge. */
static void sign_goes_to_the_custodian(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_sign(c, 1, KEY_UNKNOWN, 0, "a CSR");
    struct rig_request q = rig_requested(&r);
    assert_int_equal(q.e->body_case, BODY(SIGN));
    assert_int_equal(q.e->sign->message.len, 5);
    rig_answers(&r, &q, "whatever");
    answered(c, 1, "whatever");
}

/* ---- the custodian is away */

static void a_request_waits_for_the_custodian(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    up_alone(&limits);
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 0, "acme");
    client_alive(c);
    rig_custodian(&r, 1);
    struct rig_request q = rig_requested(&r);
    rig_answers(&r, &q, "acme");
    answered(c, 1, "acme");
}

static void what_was_cut_off_is_not_repeated(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 0, "begun");
    client_tenant(c, 2, 0, "waits");
    struct rig_request q = rig_requested(&r);
    assert_string_equal(q.e->tenants_add->tenant, "begun");
    chan_close(&r.custodian);
    client_refused(c, 1, ERR_UNAVAILABLE, "look before you repeat");
    rig_custodian(&r, 2);
    q = rig_requested(&r);
    assert_string_equal(q.e->tenants_add->tenant, "waits");
    rig_answers(&r, &q, "waits");
    answered(c, 2, "waits");
    assert_true(rig_quiet(&r, &r.custodian));
}

/* It did it, said so, and ended: as after an import. The answer is longer than one read, and the
 * gate has something to tell, which it finds cannot be sent, before it has read all. */
static void last_answers_count(void **state)
{
    static char name[120000];
    struct table_key key = rig_key(7);
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__CreateCsrReply reply = KEYD__V1__CREATE_CSR_REPLY__INIT;
    static uint8_t frame[sizeof(name) + 64];

    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 0, "acme");
    struct rig_request q = rig_requested(&r);
    memset(name, 'x', sizeof(name) - 1);
    reply.pem = name;
    e.id = 1;
    e.body_case = BODY(CREATE_CSR_REPLY);
    e.create_csr_reply = &reply;
    size_t len = client_frame(&e, frame, sizeof(frame));
    kill(r.pid, SIGSTOP);
    chan_put(&r.custodian, MSG_KEY);
    put_u64(&r.custodian, 7);
    table_put_msg(&r.custodian, &key);
    chan_end(&r.custodian);
    chan_put(&r.custodian, MSG_ANSWER);
    put_u64(&r.custodian, q.call);
    put_bytes(&r.custodian, frame + FRAME_HEAD, len - FRAME_HEAD);
    rig_send(&r.custodian);
    assert_int_equal(chan_pending(&r.custodian), 0);
    chan_close(&r.custodian);
    kill(r.pid, SIGCONT);
    assert_string_equal(client_expect(c, 1, BODY(CREATE_CSR_REPLY))->create_csr_reply->pem, name);
}

/* It says so before it ends: what it has is finished, what comes is its successor's. */
static void who_is_leaving_gets_nothing_more(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 0, "begun");
    client_tenant(c, 2, 0, "waits");
    struct rig_request q = rig_requested(&r);
    chan_put(&r.custodian, MSG_LEAVE);
    rig_send(&r.custodian);
    struct msg m = rig_expect(&r.custodian, MSG_LEFT);
    msg_end(&m, &r.custodian);
    rig_answers(&r, &q, "begun");
    answered(c, 1, "begun");
    client_tenant(c, 3, 0, "waits too");
    assert_true(rig_quiet(&r, &r.custodian));
    rig_custodian(&r, 2);
    for (uint64_t id = 2; id < 4; id++) {
        q = rig_requested(&r);
        assert_int_equal(q.e->id, id);
        rig_answers(&r, &q, "done");
        answered(c, id, "done");
    }
}

static void who_left_is_not_told(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r), *stays = rig_client(&r);
    client_tenant(c, 1, 0, "gone");
    struct rig_request q = rig_requested(&r);
    client_tenant(c, 2, 0, "never begun");
    client_alive(c);
    client_close(c);
    client_tenant(stays, 3, 0, "next");
    client_alive(stays);
    rig_answers(&r, &q, "gone");
    q = rig_requested(&r); /* what was begun was finished; what waited is forgotten */
    assert_string_equal(q.e->tenants_add->tenant, "next");
    rig_answers(&r, &q, "next");
    answered(stays, 3, "next");
}

/* ---- deadlines */

static void a_deadline_passes_before_it_was_begun(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    up_alone(&limits);
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 40, "acme");
    client_refused(c, 1, ERR_DEADLINE, "it was not begun");
    rig_custodian(&r, 1);
    assert_true(rig_quiet(&r, &r.custodian));
}

static void a_deadline_passes_while_it_works(void **state)
{
    (void)state;
    up();
    struct client *c = rig_client(&r);
    client_tenant(c, 1, 40, "acme");
    struct rig_request q = rig_requested(&r);
    assert_in_range(q.deadline_ms, 0, 40);
    client_refused(c, 1, ERR_DEADLINE, "may still happen");
    client_tenant(c, 2, 0, "next");
    assert_true(rig_quiet(&r, &r.custodian)); /* it is still at work */
    rig_answers(&r, &q, "late");
    q = rig_requested(&r);
    rig_answers(&r, &q, "next");
    answered(c, 2, "next"); /* and the late answer was dropped */
}

static void a_full_queue_is_busy(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.queue = 2;
    up_alone(&limits);
    struct client *c = rig_client(&r);
    for (unsigned i = 0; i < 3; i++)
        client_tenant(c, i, 0, "acme");
    client_refused(c, 2, ERR_BUSY, "2 calls wait");
}

/* ---- a custodian that lies */

static void an_answer_out_of_nothing_ends_the_gate(void **state)
{
    envelope nothing = KEYD__V1__ENVELOPE__INIT;
    struct rig_request q = {.call = 0x100000000, .e = &nothing};

    (void)state;
    up();
    rig_answers(&r, &q, "x");
    assert_int_equal(rig_wait(&r), EXIT_BROKEN);
    assert_int_equal(rig_logged(&r, "was not asked"), 1);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(a_request_goes_round),
        T(requests_go_one_by_one),
        T(what_takes_away_does_not_wait),
        T(the_longest_request_goes_through),
        T(sign_goes_to_the_custodian),
        T(a_request_waits_for_the_custodian),
        T(what_was_cut_off_is_not_repeated),
        T(last_answers_count),
        T(who_is_leaving_gets_nothing_more),
        T(who_left_is_not_told),
        T(a_deadline_passes_before_it_was_begun),
        T(a_deadline_passes_while_it_works),
        T(a_full_queue_is_busy),
        T(an_answer_out_of_nothing_ends_the_gate),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
