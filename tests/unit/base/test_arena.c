/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/arena.h"
#include "tests/unit/test.h"

static void gives_zeroed_aligned_memory(void **state)
{
    struct arena a = arena_of(1 << 20);

    (void)state;
    for (size_t n = 0; n < 5000; n += 37) {
        uint8_t *p = arena_alloc(&a, n);

        assert_non_null(p);
        assert_int_equal((uintptr_t)p % _Alignof(max_align_t), 0);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(p[i], 0);
        memset(p, 0xff, n);
    }
    arena_free(&a);
}

static void keeps_to_its_cap(void **state)
{
    struct arena a = arena_of(1000);

    (void)state;
    assert_null(arena_alloc(&a, 1001));
    assert_non_null(arena_alloc(&a, 600));
    assert_null(arena_alloc(&a, 600));
    assert_non_null(arena_alloc(&a, 300));
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_dup(&a, "x", SIZE_MAX));
    arena_free(&a);
}

static void reset_gives_the_same_memory_again_zeroed(void **state)
{
    struct arena a = arena_of(1 << 20);
    char *first = arena_alloc(&a, 100);

    (void)state;
    memset(first, 0xff, 100);
    assert_non_null(arena_alloc(&a, 100000));
    arena_reset(&a);
    char *again = arena_alloc(&a, 100);
    assert_ptr_equal(first, again);
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(again[i], 0);
    assert_non_null(arena_alloc(&a, (1 << 20) - 200));
    arena_free(&a);
}

static void copies_end_with_a_zero(void **state)
{
    struct arena a = arena_of(1000);

    (void)state;
    assert_string_equal(arena_dup(&a, "abcdef", 3), "abc");
    assert_string_equal(arena_printf(&a, "%d-%s", 7, "x"), "7-x");
    arena_free(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_zeroed_aligned_memory),
        cmocka_unit_test(keeps_to_its_cap),
        cmocka_unit_test(reset_gives_the_same_memory_again_zeroed),
        cmocka_unit_test(copies_end_with_a_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
