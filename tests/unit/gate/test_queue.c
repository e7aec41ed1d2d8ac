/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/queue.h"

#include <stdio.h>

#include "proto/base/mem.h"
#include "tests/unit/test.h"

#define CALLS 64

static struct queue q;
static struct call calls[CALLS];

static int set_up(void **state)
{
    (void)state;
    q = (struct queue){0};
    memset(calls, 0, sizeof(calls));
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    while (q.lines) {
        struct line *p = q.lines;

        q.lines = p->next;
        mem_free(p);
    }
    return 0;
}

static struct line *line_of(enum role role, unsigned number)
{
    struct principal who = {.role = role};

    snprintf(who.name, sizeof(who.name), "fe-%u", number);
    return queue_line(&q, &who);
}

static struct call *of(size_t i, unsigned number)
{
    calls[i].line = line_of(ROLE_FRONTEND, number);
    calls[i].cost_us = 10;
    assert_non_null(calls[i].line);
    return &calls[i];
}

static void one_principal_is_served_in_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < 10; i++)
        queue_push(&q, of(i, 1));
    assert_int_equal(q.count, 10);
    assert_int_equal(q.lines->waiting_us, 100);
    for (size_t i = 0; i < 10; i++)
        assert_ptr_equal(queue_pop(&q), &calls[i]);
    assert_null(queue_pop(&q));
    assert_int_equal(q.lines->waiting_us, 0);
}

/* The flood of one does not delay the other by more than one call. */
static void principals_are_served_in_turn(void **state)
{
    (void)state;
    for (size_t i = 0; i < 30; i++)
        queue_push(&q, of(i, 1));
    for (size_t i = 30; i < 33; i++)
        queue_push(&q, of(i, 2));
    queue_push(&q, of(33, 3));
    static const size_t want[] = {0, 30, 33, 1, 31, 2, 32, 3, 4, 5};
    for (size_t i = 0; i < COUNT(want); i++)
        assert_ptr_equal(queue_pop(&q), &calls[want[i]]);
}

/* Slow calls pay for their time: who asks for fast ones gets as much of it, many calls for one. */
static void slow_calls_do_not_starve_fast_ones(void **state)
{
    uint64_t slow_us = 0, fast_us = 0;
    size_t fast = 0;

    (void)state;
    for (size_t i = 0; i < 10; i++) {
        queue_push(&q, of(i, 1));
        queue_remove(&q, &calls[i]);
        calls[i].cost_us = 700;
        queue_push(&q, &calls[i]);
    }
    for (size_t i = 10; i < 40; i++)
        queue_push(&q, of(i, 2));
    while (fast < 30) {
        const struct call *call = queue_pop(&q);

        assert_non_null(call);
        fast += call->cost_us == 10;
        *(call->cost_us == 10 ? &fast_us : &slow_us) += call->cost_us;
        assert_true(slow_us <= fast_us + 700); /* never more than one slow one ahead */
    }
    while (queue_pop(&q))
        ;
    assert_null(q.ring_last);
}

/* Whoever pays little a turn is still served: slow ones alone, and of different costs. */
static void slow_calls_are_served_too(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct call *call = of(i, (unsigned)i % 3);

        call->cost_us = (uint32_t)(1000 * (i + 1));
        queue_push(&q, call);
    }
    for (size_t i = 0; i < 6; i++)
        assert_non_null(queue_pop(&q));
    assert_null(queue_pop(&q));
    assert_int_equal(q.count, 0);
}

static void a_returning_principal_waits_for_its_turn(void **state)
{
    (void)state;
    queue_push(&q, of(0, 1));
    queue_push(&q, of(1, 2));
    queue_push(&q, of(2, 2));
    assert_ptr_equal(queue_pop(&q), &calls[0]);
    queue_push(&q, of(3, 1));
    assert_ptr_equal(queue_pop(&q), &calls[1]);
    assert_ptr_equal(queue_pop(&q), &calls[3]);
    assert_ptr_equal(queue_pop(&q), &calls[2]);
    assert_null(queue_pop(&q));
}

/* A crowd are two who have more than a little in hand, be it not at the same moment: not a call or
 * two, however slow. It is one for ten seconds. */
static void a_crowd_has_much_in_hand(void **state)
{
    (void)state;
    for (size_t i = 0; i < 6; i++) {
        struct call *call = of(i, 1 + (unsigned)i % 2);

        call->cost_us = i < 2 ? 700 : 10;
        queue_push(&q, call);
        if (i < 2) { /* it is taken, done, and the next one comes after that */
            queue_remove(&q, call);
            queue_at_server(&q, call);
            queue_from_server(&q, call);
        }
        assert_false(queue_crowded(&q, 0));
    }
    calls[0].line->at_servers_us = 480;
    calls[6].received = 1000;
    queue_push(&q, of(6, 1)); /* 500 in hand before it; and nobody else */
    assert_false(queue_crowded(&q, 0));
    calls[0].line->at_servers_us = 0;
    calls[1].line->at_servers_us = 500;
    calls[7].received = 2000;
    queue_push(&q, of(7, 2));
    assert_true(queue_crowded(&q, 2000 + 9999999));
    assert_false(queue_crowded(&q, 2000 + 10000000));
    calls[8].received = 5000; /* the same again is no news */
    queue_push(&q, of(8, 2));
    assert_false(queue_crowded(&q, 2000 + 10000000));
}

static void who_is_busy(void **state)
{
    (void)state;
    assert_int_equal(q.busy, 0);
    queue_push(&q, of(0, 1));
    queue_push(&q, of(1, 1));
    assert_int_equal(q.busy, 1);
    queue_push(&q, of(2, 2));
    assert_int_equal(q.busy, 2);
    queue_remove(&q, &calls[2]);
    assert_int_equal(q.busy, 1);
    queue_at_server(&q, &calls[2]);
    assert_int_equal(q.busy, 2);
    queue_from_server(&q, &calls[2]);
    assert_int_equal(q.busy, 1);
    assert_non_null(queue_pop(&q));
    assert_non_null(queue_pop(&q));
    assert_int_equal(q.busy, 0);
}

/* How much of a second may go ahead for each of so many that ask all the time, in 10 us calls. */
static uint64_t ahead_in_a_second(unsigned lines, uint32_t servers)
{
    struct call *first = NULL;
    uint64_t us = 0;

    for (unsigned i = 0; i < lines; i++) {
        struct call *call = of(i, 100 + i);

        queue_push(&q, call);
        first = first ? first : call;
    }
    for (uint64_t now = 5000000; now < 6000000; now += 7)
        if (queue_may_go_ahead(&q, first->line, servers, now)) {
            queue_went_ahead(first);
            us += first->cost_us;
        }
    while (queue_pop(&q))
        ;
    return us;
}

/* All of them together get three quarters of what the servers do, and what each had left over. */
static void most_of_it_goes_ahead(void **state)
{
    static const struct {
        unsigned lines, servers;
    } rows[] = {{2, 1}, {2, 2}, {5, 2}, {50, 4}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint64_t share = 750000ull * rows[i].servers / rows[i].lines;

        assert_in_range(ahead_in_a_second(rows[i].lines, rows[i].servers), share,
                        share + QUEUE_LITTLE_US + 10);
    }
}

/* Nobody saves up more than a little; and who has more than that at the servers waits. */
static void little_goes_ahead_at_once(void **state)
{
    unsigned n = 0;

    (void)state;
    struct call *call = of(0, 1);
    queue_push(&q, call);
    for (; queue_may_go_ahead(&q, call->line, 2, 60000000); n++)
        queue_went_ahead(call);
    assert_int_equal(n, QUEUE_LITTLE_US / 10);
    assert_true(queue_may_go_ahead(&q, call->line, 2, 60000002));
    call->line->at_servers_us = QUEUE_LITTLE_US;
    assert_false(queue_may_go_ahead(&q, call->line, 2, 90000000));
    call->cost_us = 700; /* dearer than a little: once, and then not for a while */
    call->line->at_servers_us = 0;
    assert_true(queue_may_go_ahead(&q, call->line, 2, 90000000));
    queue_went_ahead(call);
    assert_false(queue_may_go_ahead(&q, call->line, 2, 90000133)); /* 1.5 a microsecond */
    assert_true(queue_may_go_ahead(&q, call->line, 2, 90000134));
}

/* Whose turn it is not, may be next for having little at the servers. */
static void who_goes_ahead_is_found(void **state)
{
    (void)state;
    assert_null(queue_next_ahead(&q, 1, 9000000));
    for (size_t i = 0; i < 6; i++)
        queue_push(&q, of(i, (unsigned)i % 3));
    for (struct line *p = q.lines; p; p = p->next)
        p->at_servers_us = QUEUE_LITTLE_US;
    assert_null(queue_next_ahead(&q, 1, 9000000));
    calls[1].line->at_servers_us--;
    assert_ptr_equal(queue_next(&q), &calls[0]);
    assert_ptr_equal(queue_next_ahead(&q, 1, 9000000), &calls[1]);
    queue_remove(&q, &calls[1]);
    assert_ptr_equal(queue_next_ahead(&q, 1, 9000000), &calls[4]);
    queue_remove(&q, &calls[4]);
    assert_null(queue_next_ahead(&q, 1, 9000000));
    assert_ptr_equal(queue_pop(&q), &calls[0]);
    assert_ptr_equal(queue_pop(&q), &calls[2]);
}

static void what_comes_back_is_served_first(void **state)
{
    (void)state;
    queue_push(&q, of(0, 1));
    queue_push(&q, of(1, 1));
    struct call *first = queue_pop(&q);
    queue_push_back(&q, first);
    assert_ptr_equal(queue_pop(&q), first);
    assert_ptr_equal(queue_pop(&q), &calls[1]);
}

static void any_call_can_be_taken_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < 5; i++)
        queue_push(&q, of(i, i % 2 + 1));
    queue_remove(&q, &calls[1]);
    queue_remove(&q, &calls[3]); /* principal 2 leaves the ring */
    queue_remove(&q, &calls[2]);
    assert_int_equal(q.count, 2);
    assert_ptr_equal(queue_pop(&q), &calls[0]);
    assert_ptr_equal(queue_pop(&q), &calls[4]);
    assert_null(queue_pop(&q));
    assert_null(q.ring_last);
}

/* A name in another role, of another tenant or in another group is somebody else: what one of them
 * was granted is not the other's. */
static void a_principal_is_role_name_and_tenant(void **state)
{
    struct principal who = {ROLE_TENANT, "ci", "acme", ""};

    (void)state;
    assert_ptr_equal(line_of(ROLE_FRONTEND, 7), line_of(ROLE_FRONTEND, 7));
    assert_ptr_not_equal(line_of(ROLE_FRONTEND, 7), line_of(ROLE_OPERATOR, 7));
    assert_ptr_not_equal(line_of(ROLE_FRONTEND, 7), line_of(ROLE_FRONTEND, 8));
    struct line *acme = queue_line(&q, &who);
    snprintf(who.group, sizeof(who.group), "edge");
    assert_ptr_not_equal(queue_line(&q, &who), acme);
    assert_ptr_equal(queue_line(&q, &who), queue_line(&q, &who));
    assert_string_equal(acme->who.group, "");
    snprintf(who.tenant, sizeof(who.tenant), "globex");
    assert_ptr_not_equal(queue_line(&q, &who), acme);
}

/* The estimate for a newcomer: all of his own line, of another's only what comes up in turn. */
static void work_before_a_newcomer(void **state)
{
    (void)state;
    struct line *a = line_of(ROLE_FRONTEND, 1);
    struct line *b = line_of(ROLE_FRONTEND, 2);
    assert_int_equal(queue_work_before(&q, a, 10), 0);
    for (size_t i = 0; i < 40; i++)
        queue_push(&q, of(i, 1));
    assert_int_equal(queue_work_before(&q, a, 10), 400);
    assert_int_equal(queue_work_before(&q, b, 10), 10);
    for (size_t i = 40; i < 45; i++)
        queue_push(&q, of(i, 2));
    assert_int_equal(queue_work_before(&q, a, 10), 450);
    assert_int_equal(queue_work_before(&q, b, 10), 110);
    struct call *back = queue_pop(&q);
    assert_ptr_equal(back, &calls[0]);
    assert_int_equal(queue_work_before(&q, a, 10), 440);
    queue_push_back(&q, back);
    queue_remove(&q, &calls[7]);
    assert_int_equal(queue_work_before(&q, a, 10), 440);
    while (queue_pop(&q))
        ;
    assert_int_equal(queue_work_before(&q, a, 10) + queue_work_before(&q, b, 10), 0);
}

/* What the estimate promises is what happens: the newcomer's call comes out behind that much. */
static void the_estimate_is_what_happens(void **state)
{
    uint64_t us = 0;

    (void)state;
    for (size_t i = 0; i < 30; i++)
        queue_push(&q, of(i, 1));
    for (size_t i = 30; i < 37; i++)
        queue_push(&q, of(i, 2));
    for (size_t i = 37; i < 40; i++)
        queue_push(&q, of(i, 3));
    struct call *newcomer = of(40, 2);
    uint64_t promised = queue_work_before(&q, newcomer->line, newcomer->cost_us);
    queue_push(&q, newcomer);
    for (const struct call *call; (call = queue_pop(&q)) != newcomer;)
        us += call->cost_us;
    assert_in_range(us, promised - 10, promised); /* but for whose turn it is first */
}

/* Who floods fills the queue for himself; others have their share of it. */
static void a_full_queue_has_room_for_others(void **state)
{
    (void)state;
    struct line *a = line_of(ROLE_FRONTEND, 1);
    struct line *b = line_of(ROLE_FRONTEND, 2);
    a->connections = 3;
    for (size_t i = 0; i < 10; i++) {
        assert_false(queue_full(&q, a, 10));
        queue_push(&q, of(i, 1));
    }
    assert_true(queue_full(&q, a, 10));
    b->connections = 1; /* now there are two: five calls are the share of each */
    assert_true(queue_full(&q, a, 10));
    for (size_t i = 10; i < 15; i++) {
        assert_false(queue_full(&q, b, 10));
        queue_push(&q, of(i, 2));
    }
    assert_true(queue_full(&q, b, 10));
    for (size_t i = 0; i < 5; i++) {
        queue_pop(&q);
        assert_true(queue_full(&q, a, 10)); /* there are more than ten still */
    }
    queue_pop(&q);
    assert_int_equal(q.count, 9);
    assert_false(queue_full(&q, a, 10));
    assert_false(queue_full(&q, b, 10));
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(one_principal_is_served_in_order),
        T(principals_are_served_in_turn),
        T(slow_calls_do_not_starve_fast_ones),
        T(slow_calls_are_served_too),
        T(a_returning_principal_waits_for_its_turn),
        T(a_crowd_has_much_in_hand),
        T(who_is_busy),
        T(most_of_it_goes_ahead),
        T(little_goes_ahead_at_once),
        T(who_goes_ahead_is_found),
        T(what_comes_back_is_served_first),
        T(any_call_can_be_taken_out),
        T(a_principal_is_role_name_and_tenant),
        T(work_before_a_newcomer),
        T(the_estimate_is_what_happens),
        T(a_full_queue_has_room_for_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
