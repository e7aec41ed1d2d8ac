/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/histogram.h"
#include "tests/unit/test.h"

/* What the histogram makes of one value. */
static uint32_t alone(uint32_t us)
{
    struct histogram h = {0};

    histogram_add(&h, us);
    assert_true(h.total == 1);
    return histogram_percentile(&h, 500);
}

static void a_value_is_off_by_a_sixteenth_at_most(void **state)
{
    uint32_t last = 0;

    (void)state;
    for (uint32_t v = 0; v < 16; v++)
        assert_int_equal(alone(v), v);
    for (unsigned bit = 4; bit < 32; bit++) {
        for (uint64_t step = 0; step < 64; step++) { /* also both edges of every bucket */
            uint32_t v = (uint32_t)((1ull << bit) + (step << bit) / 64), got = alone(v);
            uint32_t off = got > v ? got - v : v - got;

            if (off > v / 16 + 1)
                fail_msg("%u reads as %u", v, got);
            assert_true(got >= last);
            last = got;
        }
    }
    assert_true(alone(UINT32_MAX) > UINT32_MAX / 16 * 15);
}

static const struct {
    uint32_t from, to; /* one of each value, both included */
    unsigned per_mille;
    uint32_t wanted; /* give or take a sixteenth */
} ranks[] = {
    {1, 1000, 500, 500},
    {1, 1000, 900, 900},
    {1, 1000, 990, 990},
    {1, 1000, 1000, 1000},
    {1, 1000, 1, 1},
    {1, 10, 500, 5},
    {1, 10, 900, 9},
    {1, 10, 990, 10},
    {1, 4, 500, 2},
    {1, 3, 500, 2},
    {0, 0, 990, 0},
    {7, 7, 1, 7},
    {5000, 15000, 500, 10000},
};

static void percentiles_are_nearest_ranks(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(ranks); i++) {
        struct histogram h = {0};

        for (uint32_t v = ranks[i].from; v <= ranks[i].to; v++)
            histogram_add(&h, v);
        uint32_t got = histogram_percentile(&h, ranks[i].per_mille), wanted = ranks[i].wanted;
        if (got + wanted / 16 < wanted || got > wanted + wanted / 16)
            fail_msg("row %zu: %u, not %u", i, got, wanted);
    }
}

/* 999 quick ones and a slow one: only the very last share sees it. */
static void a_rare_value_is_not_lost(void **state)
{
    struct histogram h = {0};

    (void)state;
    for (int i = 0; i < 999; i++)
        histogram_add(&h, 10);
    histogram_add(&h, 1000000);
    assert_int_equal(histogram_percentile(&h, 999), 10);
    assert_in_range(histogram_percentile(&h, 1000), 940000, 1060000);
}

static void histograms_add_up(void **state)
{
    struct histogram a = {0}, b = {0}, both = {0};

    (void)state;
    for (uint32_t v = 1; v <= 100; v++) {
        histogram_add(v % 3 ? &a : &b, v * v);
        histogram_add(&both, v * v);
    }
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        histogram_add_bucket(&a, i, b.buckets[i]);
    assert_memory_equal(&a, &both, sizeof(a));
}

static void empty_and_full(void **state)
{
    struct histogram h = {0};

    (void)state;
    assert_int_equal(histogram_percentile(&h, 1), 0);
    assert_int_equal(histogram_percentile(&h, 1000), 0);
    histogram_add_bucket(&h, 3, UINT64_MAX);
    histogram_add_bucket(&h, 3, 2);
    histogram_add_bucket(&h, HISTOGRAM_BUCKETS - 1, 5);
    assert_true(h.total == UINT64_MAX);
    assert_true(h.buckets[3] == UINT64_MAX);
    assert_int_equal(histogram_percentile(&h, 1000), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_value_is_off_by_a_sixteenth_at_most),
        cmocka_unit_test(percentiles_are_nearest_ranks),
        cmocka_unit_test(a_rare_value_is_not_lost),
        cmocka_unit_test(histograms_add_up),
        cmocka_unit_test(empty_and_full),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
