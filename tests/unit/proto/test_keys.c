/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/keys.h"
#include "tests/unit/test.h"

static void names_of_types_go_both_ways(void **state)
{
    static const struct {
        enum key_type type;
        const char *name;
        enum key_kind kind;
        int bits;
    } rows[] = {
        {KEY_TYPE_RSA_2048, "rsa-2048", KEY_KIND_RSA, 2048},
        {KEY_TYPE_RSA_3072, "rsa-3072", KEY_KIND_RSA, 3072},
        {KEY_TYPE_RSA_4096, "rsa-4096", KEY_KIND_RSA, 4096},
        {KEY_TYPE_EC_P256, "ec-p256", KEY_KIND_EC, 256},
        {KEY_TYPE_EC_P384, "ec-p384", KEY_KIND_EC, 384},
        {KEY_TYPE_ED25519, "ed25519", KEY_KIND_ED25519, 255},
    };

    (void)state;
    assert_int_equal(COUNT(rows) + 1, KEY_TYPE_COUNT);
    for (size_t i = 0; i < COUNT(rows); i++) {
        const struct key_type_info *info = key_type_info(rows[i].type);

        assert_string_equal(info->name, rows[i].name);
        assert_int_equal(info->kind, rows[i].kind);
        assert_int_equal(info->bits, rows[i].bits);
        assert_int_equal(key_type_by_name(rows[i].name), rows[i].type);
    }
    assert_null(key_type_info(KEY_TYPE_NONE));
    assert_null(key_type_info(KEY_TYPE_COUNT));
    assert_int_equal(key_type_by_name("rsa-1024"), KEY_TYPE_NONE);
    assert_int_equal(key_type_by_name(""), KEY_TYPE_NONE);
    assert_int_equal(key_type_by_name("EC-P256"), KEY_TYPE_NONE);
}

static void purposes_have_names(void **state)
{
    char buf[128];

    (void)state;
    for (unsigned bit = 1; bit <= PURPOSES_ALL; bit <<= 1)
        assert_int_equal(purpose_by_name(purpose_name((enum purpose)bit)), bit);
    assert_int_equal(purpose_by_name("tls"), 0);
    assert_string_equal(purpose_name((enum purpose)3), "none");
    assert_string_equal(purposes_text(PURPOSES_DEFAULT, buf, sizeof(buf)),
                        "tls13-server, tls12-server, csr");
    assert_string_equal(purposes_text(0, buf, sizeof(buf)), "");
    assert_int_equal(strlen(purposes_text(PURPOSES_ALL, buf, 10)), 9);
}

static void hex_goes_both_ways(void **state)
{
    uint8_t bytes[3];
    char text[7];

    (void)state;
    assert_true(hex_decode("00aBfF", bytes, 3));
    assert_string_equal(hex_encode(bytes, 3, text), "00abff");
    assert_false(hex_decode("00aBf", bytes, 3));
    assert_false(hex_decode("00aBfF0", bytes, 3));
    assert_false(hex_decode("00aBfg", bytes, 3));
    assert_false(hex_decode("", bytes, 3));
}

static void an_id_is_the_sha256(void **state)
{
    uint8_t id[KEY_ID_LEN];
    char hex[KEY_ID_HEX_LEN + 1];

    (void)state;
    assert_true(key_id_of((const uint8_t *)"abc", 3, id)); /* FIPS 180-2, B.1 */
    assert_string_equal(hex_encode(id, KEY_ID_LEN, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void names_are_checked(void **state)
{
    static const char *const good[] = {
        "a", "0", "acme", "www.example-1_x",
        "a23456789012345678901234567890123456789012345678901234567890123"};
    static const char *const bad[] = {
        "",         ".a",
        "-a",       "_a",
        "A",        "a b",
        "a/b",      "a\n",
        "\xc3\xa4", "a234567890123456789012345678901234567890123456789012345678901234"};
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(good); i++)
        assert_true(name_check(good[i], "tenant", &err));
    for (size_t i = 0; i < COUNT(bad); i++) {
        assert_false(name_check(bad[i], "tenant", &err));
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        assert_contains(err.text, "tenant");
        assert_contains(err.hint, "1 to 63");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_of_types_go_both_ways), cmocka_unit_test(purposes_have_names),
        cmocka_unit_test(hex_goes_both_ways),          cmocka_unit_test(an_id_is_the_sha256),
        cmocka_unit_test(names_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
