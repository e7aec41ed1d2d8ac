/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/der.h"

#include <string.h>

static void values_and_headers(void **state)
{
    static const uint8_t want[] = {0x30, 0x08, 0x02, 0x01, 0x07, 0x30, 0x03, 0x04, 0x01, 0xaa};
    uint8_t room[16];
    struct der_out o = der_out_of(room, sizeof(room));

    (void)state;
    const uint8_t *outer = der_mark(&o), *inner = der_mark(&o);
    der_value(&o, 0x04, "\xaa", 1);
    der_wrap(&o, 0x30, inner);
    der_value(&o, 0x02, "\x07", 1);
    der_wrap(&o, 0x30, outer);
    assert_false(o.failed);
    assert_int_equal(o.end - o.at, sizeof(want));
    assert_memory_equal(o.at, want, sizeof(want));
}

static void lengths_are_the_shortest(void **state)
{
    static const struct {
        size_t n;
        uint8_t head[DER_HEAD_MAX];
        size_t head_len;
    } cases[] = {
        {0, {0x04, 0x00}, 2},
        {127, {0x04, 0x7f}, 2},
        {128, {0x04, 0x81, 0x80}, 3},
        {255, {0x04, 0x81, 0xff}, 3},
        {256, {0x04, 0x82, 0x01, 0x00}, 4},
        {65535, {0x04, 0x82, 0xff, 0xff}, 4},
        {65536, {0x04, 0x83, 0x01, 0x00, 0x00}, 5},
    };
    static uint8_t contents[65536], room[65536 + DER_HEAD_MAX];

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct der_out o = der_out_of(room, sizeof(room));
        der_value(&o, 0x04, contents, cases[i].n);
        assert_false(o.failed);
        assert_int_equal(o.end - o.at, cases[i].n + cases[i].head_len);
        assert_memory_equal(o.at, cases[i].head, cases[i].head_len);
    }
}

static void too_little_room(void **state)
{
    uint8_t room[4];
    struct der_out o = der_out_of(room, sizeof(room));

    (void)state;
    der_value(&o, 0x04, "ab", 2);
    assert_false(o.failed);
    der_wrap(&o, 0x30, o.end); /* no room for its header */
    assert_true(o.failed);
    der_raw(&o, "", 0);
    assert_true(o.failed); /* sticky */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_headers),
        cmocka_unit_test(lengths_are_the_shortest),
        cmocka_unit_test(too_little_room),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
