/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/buf.h"
#include "tests/unit/test.h"

static void push(struct buf *b, const char *s)
{
    uint8_t *room = buf_room(b, strlen(s), 1 << 20);

    assert_non_null(room);
    memcpy(room, s, strlen(s));
    buf_fill(b, strlen(s));
}

static void is_first_in_first_out(void **state)
{
    struct buf b = {0};

    (void)state;
    push(&b, "hello ");
    push(&b, "world");
    assert_int_equal(b.len, 11);
    buf_use(&b, 6);
    assert_memory_equal(buf_head(&b), "world", 5);
    push(&b, "!");
    assert_memory_equal(buf_head(&b), "world!", 6);
    buf_use(&b, 6);
    assert_int_equal(b.len, 0);
    assert_int_equal(b.start, 0);
    buf_free(&b);
}

static void moves_and_grows_without_losing_a_byte(void **state)
{
    struct buf b = {0};
    uint8_t next_in = 0, next_out = 0;

    (void)state;
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)(round * 7) % 100;
        uint8_t *room = buf_room(&b, n, 1 << 20);

        assert_non_null(room);
        for (size_t i = 0; i < n; i++)
            room[i] = next_in++;
        buf_fill(&b, n);
        size_t use = b.len / 2;
        for (size_t i = 0; i < use; i++)
            assert_int_equal(buf_head(&b)[i], next_out++);
        buf_use(&b, use);
    }
    buf_free(&b);
}

static void keeps_to_its_cap(void **state)
{
    struct buf b = {0};

    (void)state;
    assert_null(buf_room(&b, 101, 100));
    assert_non_null(buf_room(&b, 100, 100));
    buf_fill(&b, 100);
    assert_null(buf_room(&b, 100000, 100));
    assert_null(buf_room(&b, SIZE_MAX, SIZE_MAX - 50));
    assert_int_equal(b.len, 100);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_first_in_first_out),
        cmocka_unit_test(moves_and_grows_without_losing_a_byte),
        cmocka_unit_test(keeps_to_its_cap),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
