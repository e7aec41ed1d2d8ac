/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/curve.h"
#include "samples.h"

static const struct {
    uint16_t code;
    const char *point;
    bool nist;
} curves[] = {
    {0x0017, POINT_P256, true},    {0x0018, POINT_P384, true},  {0x0019, POINT_P521, true},
    {0x001d, POINT_X25519, false}, {0x001e, POINT_X448, false},
};

#define CURVES (sizeof(curves) / sizeof(curves[0]))

static bool judge(uint16_t code, const struct sample *point, struct err *err)
{
    *err = (struct err){.code = ERR_NONE};
    return curve_point_check(code, point->bytes, point->len, err);
}

static void points_are_points(void **state)
{
    struct err err;

    (void)state;
    for (unsigned round = 0; round < 2; round++) /* the second time with a curve that is set up */
        for (size_t i = 0; i < CURVES; i++) {
            struct sample p = sample_of_hex(curves[i].point);
            assert_true(judge(curves[i].code, &p, &err));
        }
}

static void each_only_on_its_curve(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < CURVES; i++)
        for (size_t j = 0; j < CURVES; j++) {
            struct sample p = sample_of_hex(curves[j].point);
            assert_int_equal(judge(curves[i].code, &p, &err), i == j);
        }
}

static void off_the_curve(void **state)
{
    struct err err;

    (void)state;
    for (size_t i = 0; i < CURVES; i++) {
        struct sample p = sample_of_hex(curves[i].point);
        p.bytes[p.len - 1] ^= 1;
        assert_int_equal(judge(curves[i].code, &p, &err), !curves[i].nist);
        if (curves[i].nist)
            assert_non_null(strstr(err.text, "does not lie on secp"));
        p.bytes[p.len - 1] ^= 1;
        assert_true(judge(curves[i].code, &p, &err)); /* the failure left nothing behind */
    }
}

static void other_forms(void **state)
{
    static const uint8_t forms[] = {0x00, 0x02, 0x03, 0x06, 0x07, 0xff};
    struct err err;

    (void)state;
    for (size_t f = 0; f < sizeof(forms); f++) {
        struct sample p = sample_of_hex(POINT_P256);
        p.bytes[0] = forms[f];
        assert_false(judge(0x0017, &p, &err));
        assert_int_equal(err.code, ERR_BAD_SHAPE);
    }
    struct sample infinity = {.bytes = {0}, .len = 1};
    assert_false(judge(0x0017, &infinity, &err));
}

static void lengths_and_codes(void **state)
{
    static const uint16_t codes[] = {0, 0x0015, 0x001a, 0x001c, 0x0100, 0x11ec, 0xffff};
    struct sample p = sample_of_hex(POINT_P256);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
        assert_false(judge(codes[i], &p, &err));
        assert_non_null(strstr(err.text, "unknown curve"));
    }
    for (size_t i = 0; i < CURVES; i++)
        for (int off = -1; off <= 1; off += 2) {
            p = sample_of_hex(curves[i].point);
            p.len += (size_t)off;
            assert_false(judge(curves[i].code, &p, &err));
            assert_int_equal(err.code, ERR_BAD_SHAPE);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(points_are_points), cmocka_unit_test(each_only_on_its_curve),
        cmocka_unit_test(off_the_curve),     cmocka_unit_test(other_forms),
        cmocka_unit_test(lengths_and_codes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
