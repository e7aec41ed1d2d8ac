/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/scheme.h"
#include "tests/unit/test.h"

/* Every pair that fits, written out; all others must not. */
static const struct {
    uint32_t code;
    enum key_type type;
    bool tls13;
} fitting[] = {
    {0x0401, KEY_TYPE_RSA_2048, false}, {0x0501, KEY_TYPE_RSA_2048, false},
    {0x0601, KEY_TYPE_RSA_2048, false}, {0x0804, KEY_TYPE_RSA_2048, true},
    {0x0805, KEY_TYPE_RSA_2048, true},  {0x0806, KEY_TYPE_RSA_2048, true},
    {0x0401, KEY_TYPE_RSA_3072, false}, {0x0501, KEY_TYPE_RSA_3072, false},
    {0x0601, KEY_TYPE_RSA_3072, false}, {0x0804, KEY_TYPE_RSA_3072, true},
    {0x0805, KEY_TYPE_RSA_3072, true},  {0x0806, KEY_TYPE_RSA_3072, true},
    {0x0401, KEY_TYPE_RSA_4096, false}, {0x0501, KEY_TYPE_RSA_4096, false},
    {0x0601, KEY_TYPE_RSA_4096, false}, {0x0804, KEY_TYPE_RSA_4096, true},
    {0x0805, KEY_TYPE_RSA_4096, true},  {0x0806, KEY_TYPE_RSA_4096, true},
    {0x0403, KEY_TYPE_EC_P256, true},   {0x0503, KEY_TYPE_EC_P256, false},
    {0x0603, KEY_TYPE_EC_P256, false},  {0x0403, KEY_TYPE_EC_P384, false},
    {0x0503, KEY_TYPE_EC_P384, true},   {0x0603, KEY_TYPE_EC_P384, false},
    {0x0807, KEY_TYPE_ED25519, true},
};

static bool listed(uint32_t code, enum key_type type, bool tls13)
{
    for (size_t i = 0; i < COUNT(fitting); i++) {
        if (fitting[i].code == code && fitting[i].type == type)
            return fitting[i].tls13 || !tls13;
    }
    return false;
}

static void only_these_schemes_exist(void **state)
{
    size_t known = 0;

    (void)state;
    for (uint32_t code = 0; code <= 0x10000; code++) {
        const struct scheme *s = scheme_by_code(code);

        if (s) {
            assert_int_equal(s->code, code);
            known++;
        }
    }
    assert_int_equal(known, SCHEME_COUNT);
    for (size_t i = 0; i < SCHEME_COUNT; i++)
        assert_int_equal(scheme_index(scheme_at(i)), i);
    assert_non_null(scheme_at(known - 1));
    assert_null(scheme_at(known));
    assert_null(scheme_by_code(0x0201)); /* rsa_pkcs1_sha1 */
    assert_null(scheme_by_code(0x0203)); /* ecdsa_sha1 */
}

static void only_listed_pairs_fit(void **state)
{
    static const enum purpose purposes[] = {PURPOSE_TLS13_SERVER, PURPOSE_TLS13_CLIENT,
                                            PURPOSE_TLS12_SERVER, PURPOSE_CSR, PURPOSE_RAW};
    const struct scheme *s;

    (void)state;
    for (size_t i = 0; (s = scheme_at(i)); i++) {
        for (enum key_type type = KEY_TYPE_RSA_2048; type < KEY_TYPE_COUNT; type++) {
            for (size_t p = 0; p < COUNT(purposes); p++) {
                struct err err;
                bool tls13 = p < 2, fits = scheme_fits(s, type, purposes[p], &err);

                assert_int_equal(fits, listed(s->code, type, tls13));
                if (!fits) {
                    assert_int_equal(err.code, ERR_BAD_SCHEME);
                    assert_contains(err.text, s->name);
                    assert_contains(err.text, key_type_info(type)->name);
                    assert_contains(err.hint, "0x0");
                }
            }
        }
    }
}

/* Every number that a request can carry, with every type and purpose. */
static void every_number(void **state)
{
    unsigned fit = 0;

    (void)state;
    for (uint32_t code = 0; code <= 0xffff; code++) {
        const struct scheme *s = scheme_by_code(code);
        for (enum key_type type = KEY_TYPE_RSA_2048; type < KEY_TYPE_COUNT; type++) {
            for (uint32_t purpose = 1; purpose <= PURPOSE_RAW; purpose <<= 1) {
                bool tls13 = purpose == PURPOSE_TLS13_SERVER || purpose == PURPOSE_TLS13_CLIENT;
                struct err err;
                bool fits = s && scheme_fits(s, type, (enum purpose)purpose, &err);
                if (fits != listed(code, type, tls13))
                    fail_msg("0x%04x, type %d, purpose %u", code, (int)type, purpose);
                fit += fits;
            }
        }
    }
    assert_int_equal(fit, 2 * 12 + 5 * 25); /* rows above that fit TLS 1.3; all of them */
}

static void an_unknown_type_is_a_defect(void **state)
{
    struct err err;

    (void)state;
    assert_false(scheme_fits(scheme_at(0), KEY_TYPE_NONE, PURPOSE_CSR, &err));
    assert_int_equal(err.code, ERR_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_these_schemes_exist),
        cmocka_unit_test(only_listed_pairs_fit),
        cmocka_unit_test(every_number),
        cmocka_unit_test(an_unknown_type_is_a_defect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
