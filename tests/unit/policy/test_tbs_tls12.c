/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/tbs_tls12.h"
#include "samples.h"

static bool judge(const struct sample *s, struct err *err)
{
    *err = (struct err){.code = ERR_NONE};
    return tbs_tls12_server(s->bytes, s->len, err);
}

static void all_curves(void **state)
{
    static const struct {
        uint16_t code;
        const char *point;
        size_t len; /* as measured: facts, frontends.md section 2 */
    } yes[] = {
        {0x0017, POINT_P256, 133},   {0x0018, POINT_P384, 165}, {0x0019, POINT_P521, 201},
        {0x001d, POINT_X25519, 100}, {0x001e, POINT_X448, 124},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct sample point = sample_of_hex(yes[i].point);
        struct sample s = sample_tls12(yes[i].code, &point);
        assert_int_equal(s.len, yes[i].len);
        assert_true(judge(&s, &err));

        s.bytes[s.len++] = 0;
        assert_false(judge(&s, &err));
        assert_string_equal(err.text, "a TLS 1.2 ECDHE key exchange with 1 bytes after its point");
        for (size_t n = s.len - 2; n > 0; n--) {
            s.len = n;
            assert_false(judge(&s, &err));
            assert_non_null(strstr(err.text, "cut short"));
        }
    }
}

static void fields_that_do_not_fit(void **state)
{
    static const struct {
        size_t at;
        uint8_t value;
        const char *why;
    } no[] = {
        {64, 1, "curve type 1"},        {64, 2, "curve type 2"},
        {65, 1, "unknown curve"},       {66, 0x18, "a point of secp384r1 has 97"},
        {66, 0x1c, "unknown curve"},    {67, 64, "1 bytes after its point"},
        {67, 66, "cut short"},          {68, 2, "not uncompressed"},
        {132, 0xff, "does not lie on"},
    };
    struct sample point = sample_of_hex(POINT_P256);
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        struct sample s = sample_tls12(0x0017, &point);
        s.bytes[no[i].at] = no[i].value;
        assert_false(judge(&s, &err));
        assert_int_equal(err.code, ERR_BAD_SHAPE);
        assert_non_null(strstr(err.text, no[i].why));
    }
}

static void the_message_with_two_meanings(void **state)
{
    struct sample s = sample_of_hex(TLS12_AND_CSR);
    struct err err;

    (void)state;
    assert_int_equal(s.len, 201);
    assert_false(judge(&s, &err));
    assert_int_equal(err.code, ERR_BAD_SHAPE);
}

/* X25519 takes any 32 bytes as a point, so there the DER check is the only wall. */
static void der_behind_a_free_point(void **state)
{
    /* the outer header of a request of 100 bytes, its version and the header of its subject */
    static const uint8_t der[] = {0x30, 98, 2, 1, 0, 0x30, 10};
    static const uint8_t ber[] = {0x30, 0x82, 0, 96, 2, 1, 0, 0x30, 10};
    struct sample point = sample_of_hex(POINT_X25519);
    struct sample s = sample_tls12(0x001d, &point);
    struct err err;

    (void)state;
    memcpy(s.bytes, der, sizeof(der));
    assert_false(judge(&s, &err));
    assert_non_null(strstr(err.text, "a whole DER value at the same time"));
    s.bytes[1] = 97; /* it does not span the message: no DER value */
    assert_true(judge(&s, &err));
    memcpy(s.bytes, ber, sizeof(ber));
    assert_false(judge(&s, &err));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_curves),
        cmocka_unit_test(fields_that_do_not_fit),
        cmocka_unit_test(the_message_with_two_meanings),
        cmocka_unit_test(der_behind_a_free_point),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
