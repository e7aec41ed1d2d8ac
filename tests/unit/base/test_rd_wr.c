/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/base/rd.h"
#include "proto/base/wr.h"
#include "tests/unit/test.h"

static void reads_what_was_written(void **state)
{
    uint8_t bytes[64];
    struct wr w = wr_of(bytes, sizeof(bytes));

    (void)state;
    wr_u8(&w, 0x01);
    wr_u16(&w, 0x0203);
    wr_u32(&w, 0x04050607);
    wr_u64(&w, UINT64_C(0x08090a0b0c0d0e0f));
    wr_bytes(&w, "abc", 3);
    assert_true(wr_ok(&w));
    for (uint8_t i = 0; i < 15; i++)
        assert_int_equal(bytes[i], i + 1); /* big-endian throughout */
    struct rd r = rd_of(bytes, w.len);
    assert_int_equal(rd_u8(&r), 0x01);
    assert_int_equal(rd_u16(&r), 0x0203);
    assert_int_equal(rd_u32(&r), 0x04050607);
    assert_true(rd_u64(&r) == UINT64_C(0x08090a0b0c0d0e0f));
    assert_int_equal(rd_left(&r), 3);
    rd_expect(&r, "abc", 3);
    assert_true(rd_end(&r));
}

static void a_failed_reader_stays_failed(void **state)
{
    uint8_t out[4] = {1, 1, 1, 1};
    struct rd r = rd_of("ab", 2);

    (void)state;
    assert_int_equal(rd_u32(&r), 0);
    assert_int_equal(rd_u8(&r), 0); /* though there are two bytes */
    assert_null(rd_bytes(&r, 1));
    rd_copy(&r, out, 4);
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_int_equal(rd_left(&r), 0);
    assert_false(rd_end(&r));
    assert_true(rd_sub(&r, 0).failed);
}

static void left_over_bytes_are_no_end(void **state)
{
    struct rd r = rd_of("abc", 3);

    (void)state;
    rd_u16(&r);
    assert_false(rd_end(&r));
    rd_u8(&r);
    assert_true(rd_end(&r));
}

static void a_sub_reader_cannot_leave_its_range(void **state)
{
    struct rd r = rd_of("abcdef", 6);
    struct rd sub = rd_sub(&r, 2);

    (void)state;
    assert_null(rd_bytes(&sub, 3));
    assert_int_equal(rd_left(&r), 4);
    assert_true(rd_sub(&r, 5).failed);
}

static void expecting_something_else_fails(void **state)
{
    struct rd r = rd_of("abc", 3);

    (void)state;
    rd_expect(&r, "abd", 3);
    assert_false(rd_end(&r));
}

static void the_empty_range_works(void **state)
{
    struct rd r = rd_of(NULL, 0);

    (void)state;
    assert_true(rd_end(&r));
    rd_bytes(&r, 0);
    assert_true(rd_end(&r));
    assert_int_equal(rd_u8(&r), 0);
    assert_false(rd_end(&r));
}

static void a_full_writer_fails_whole(void **state)
{
    uint8_t bytes[4] = {0};
    struct wr w = wr_of(bytes, 3);

    (void)state;
    wr_u16(&w, 0xffff);
    wr_u16(&w, 0xffff); /* does not fit: not one byte of it is written */
    assert_false(wr_ok(&w));
    assert_int_equal(w.len, 2);
    assert_int_equal(bytes[2], 0);
    wr_u8(&w, 1); /* would fit, but failure is sticky */
    assert_int_equal(w.len, 2);
    assert_null(wr_room(&w, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_was_written),
        cmocka_unit_test(a_failed_reader_stays_failed),
        cmocka_unit_test(left_over_bytes_are_no_end),
        cmocka_unit_test(a_sub_reader_cannot_leave_its_range),
        cmocka_unit_test(expecting_something_else_fails),
        cmocka_unit_test(the_empty_range_works),
        cmocka_unit_test(a_full_writer_fails_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
