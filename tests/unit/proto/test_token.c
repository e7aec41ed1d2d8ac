/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/token.h"

#include "tests/unit/test.h"

static void a_token_is_new_each_time(void **state)
{
    char a[API_TOKEN_LEN + 1], b[API_TOKEN_LEN + 1];
    uint8_t of_a[API_TOKEN_HASH_LEN], of_b[API_TOKEN_HASH_LEN];

    (void)state;
    assert_true(api_token_make(a));
    assert_true(api_token_make(b));
    assert_int_equal(strlen(a), API_TOKEN_LEN);
    assert_memory_equal(a, "keyd_", 5);
    assert_string_not_equal(a, b);
    assert_true(api_token_hash(a, of_a));
    assert_true(api_token_hash(b, of_b));
    assert_memory_not_equal(of_a, of_b, sizeof(of_a));
    assert_true(api_token_hash(a, of_b));
    assert_memory_equal(of_a, of_b, sizeof(of_a));
}

/* All 64 digits come at all places that carry six bits: 256 random bits are in it. */
static void all_its_bits_are_random(void **state)
{
    char seen[API_TOKEN_LEN][128] = {0}, t[API_TOKEN_LEN + 1];

    (void)state;
    for (int i = 0; i < 4000; i++) {
        assert_true(api_token_make(t));
        for (size_t at = 5; at < API_TOKEN_LEN; at++)
            seen[at][(unsigned char)t[at]] = 1;
    }
    for (size_t at = 5; at < API_TOKEN_LEN; at++) {
        size_t n = 0;

        for (size_t c = 0; c < 128; c++)
            n += (size_t)seen[at][c];
        assert_int_equal(n, at == API_TOKEN_LEN - 1 ? 16 : 64); /* the last has the last four */
    }
}

/* SHA-256 over the text, RFC 6234: printf keyd_AAA... | sha256sum */
static void a_known_hash(void **state)
{
    static const uint8_t head[] = {0xc2, 0xb6, 0xe2, 0x79, 0x4f, 0xb4, 0x6f, 0xb3};
    uint8_t hash[API_TOKEN_HASH_LEN];

    (void)state;
    assert_true(api_token_hash("keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", hash));
    assert_memory_equal(hash, head, sizeof(head));
}

static void what_is_no_token(void **state)
{
    static const char *const bad[] = {
        "",
        "keyd_",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "Keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "keyd-AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA+",
        "keyd_AAAAAAAAAAAAAAAAAAAA AAAAAAAAAAAAAAAAAAAAAA",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",
        "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\xc3",
    };
    uint8_t hash[API_TOKEN_HASH_LEN];

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++)
        if (api_token_hash(bad[i], hash))
            fail_msg("\"%s\" is a token", bad[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_is_new_each_time),
        cmocka_unit_test(all_its_bits_are_random),
        cmocka_unit_test(a_known_hash),
        cmocka_unit_test(what_is_no_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
