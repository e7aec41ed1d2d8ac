/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/load.h"

#include "tests/unit/test.h"

#define SECOND 1000000ull

static uint64_t now = 5 * SECOND;

/* How many fit in at this moment. */
static unsigned fill(struct load *l, uint32_t rate, uint32_t most)
{
    uint32_t wait_ms;
    unsigned n = 0;

    for (; n < 100000 && load_fits(l, rate, most, now, &wait_ms); n++)
        load_more(l, rate, now);
    return n;
}

static void without_limits_everything_fits(void **state)
{
    struct load l = {0};

    (void)state;
    assert_int_equal(fill(&l, 0, 0), 100000);
    assert_int_equal(l.in_flight, 100000);
}

static void a_burst_of_a_second_then_the_rate(void **state)
{
    static const uint32_t rates[] = {1, 7, 100, 30000};

    (void)state;
    for (size_t i = 0; i < COUNT(rates); i++) {
        struct load l = {0};
        uint32_t rate = rates[i];

        assert_int_equal(fill(&l, rate, 0), rate);
        now += SECOND / 2;
        assert_in_range(fill(&l, rate, 0), rate / 2, rate / 2 + 1);
        now += 20 * SECOND; /* rest is not saved up */
        assert_int_equal(fill(&l, rate, 0), rate);
    }
}

static void it_says_when_to_come_again(void **state)
{
    struct load l = {0};
    uint32_t wait_ms = 0;

    (void)state;
    assert_int_equal(fill(&l, 10, 0), 10);
    assert_false(load_fits(&l, 10, 0, now, &wait_ms));
    assert_in_range(wait_ms, 100, 101);
    now += wait_ms * 1000ull;
    assert_true(load_fits(&l, 10, 0, now, &wait_ms));
}

static void so_many_at_once(void **state)
{
    struct load l = {0};
    uint32_t wait_ms = 0;

    (void)state;
    assert_int_equal(fill(&l, 0, 3), 3);
    assert_false(load_fits(&l, 0, 3, now, &wait_ms));
    assert_true(wait_ms > 0);
    load_less(&l);
    assert_int_equal(fill(&l, 0, 3), 1);
    for (int i = 0; i < 9; i++)
        load_less(&l); /* never below none */
    assert_int_equal(l.in_flight, 0);
}

static struct gate gate;

static void both_limits_hold(void **state)
{
    struct load of_key = {0};
    struct table_key key = {.user = &of_key};
    struct line lines[2] = {0};
    struct call calls[3] = {{.line = &lines[0], .key = &key},
                            {.line = &lines[0], .key = &key},
                            {.line = &lines[1], .key = &key}};
    struct err err;

    (void)state;
    gate.limits = (struct limits){.principal_in_flight = 1, .key_in_flight = 2};
    assert_true(load_admit(&gate, &calls[0], &err));
    load_call_begins(&gate, &calls[0]);
    assert_false(load_admit(&gate, &calls[1], &err));
    assert_int_equal(err.code, ERR_BUSY);
    assert_true(err.retry_after_ms > 0);
    assert_contains(err.text, "principal");
    assert_true(load_admit(&gate, &calls[2], &err));
    gate.limits.key_in_flight = 1;
    assert_false(load_admit(&gate, &calls[2], &err));
    assert_contains(err.text, "key");
    assert_contains(err.hint, "key-in-flight");
    load_call_ends(&calls[1]); /* was never counted */
    assert_int_equal(lines[0].load.in_flight, 1);
    load_call_ends(&calls[0]);
    load_call_ends(&calls[0]);
    assert_int_equal(lines[0].load.in_flight + of_key.in_flight, 0);
    assert_true(load_admit(&gate, &calls[1], &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_limits_everything_fits),
        cmocka_unit_test(a_burst_of_a_second_then_the_rate),
        cmocka_unit_test(it_says_when_to_come_again),
        cmocka_unit_test(so_many_at_once),
        cmocka_unit_test(both_limits_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
