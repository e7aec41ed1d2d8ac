/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/import.h"

#include <openssl/evp.h>

#include "keyd/policy/tbs.h"
#include "tests/unit/test.h"

static const uint8_t nonce[IMPORT_NONCE_LEN] = {1}, import_key[KEY_ID_LEN] = {2},
                     key[KEY_ID_LEN] = {3};
static const uint8_t kek_blob[] = "wrapped kek", key_blob[] = "wrapped key";

static struct import_claim a_claim(void)
{
    return (struct import_claim){.nonce = nonce,
                                 .import_key = import_key,
                                 .key = key,
                                 .tenant = "acme",
                                 .name = "www",
                                 .purposes = 13,
                                 .wrapped_kek = kek_blob,
                                 .wrapped_kek_len = 11,
                                 .wrapped_key = key_blob,
                                 .wrapped_key_len = 11};
}

/* As README.md has it, byte by byte. */
static void the_message_is_the_documented_one(void **state)
{
    static const uint8_t hashed[] = "\0\0\0\x0bwrapped kek\0\0\0\x0bwrapped key";
    const struct import_claim claim = a_claim();
    uint8_t m[IMPORT_MESSAGE_MAX], hash[32];
    struct err err;
    size_t len;

    (void)state;
    assert_true(import_message(&claim, m, &len, &err));
    assert_int_equal(len, 72 + 34 + 34 + 34 + 6 + 5 + 4 + 34);
    assert_memory_equal(m, "keyd-import-v1", 15);
    for (size_t i = 14; i < 72; i++)
        assert_int_equal(m[i], 0);
    assert_memory_equal(m + 72, "\0\x20\x01", 3);
    assert_memory_equal(m + 106, "\0\x20\x02", 3);
    assert_memory_equal(m + 140, "\0\x20\x03", 3);
    assert_memory_equal(m + 174,
                        "\0\x04"
                        "acme\0\x03www\0\0\0\x0d\0\x20",
                        17);
    assert_int_equal(EVP_Digest(hashed, sizeof(hashed) - 1, hash, NULL, EVP_sha256(), NULL), 1);
    assert_memory_equal(m + 191, hash, 32);
}

/* Whatever is changed in a claim changes the message; no two claims have one message. */
static void each_part_counts(void **state)
{
    struct import_claim claims[12];
    uint8_t m[COUNT(claims)][IMPORT_MESSAGE_MAX];
    size_t len[COUNT(claims)];
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(claims); i++)
        claims[i] = a_claim();
    claims[1].nonce = key;
    claims[2].import_key = key;
    claims[3].key = nonce;
    claims[4].tenant = "acmf";
    claims[5].name = "wwx";
    claims[6].purposes = 12;
    claims[7].wrapped_kek = key_blob;
    claims[8].wrapped_key = kek_blob;
    claims[9].wrapped_kek_len = 10;
    claims[10].wrapped_key_len = 10;
    claims[11].tenant = "acm";
    claims[11].name = "ewww"; /* the same letters, cut elsewhere */
    for (size_t i = 0; i < COUNT(claims); i++) {
        assert_true(import_message(&claims[i], m[i], &len[i], &err));
        for (size_t j = 0; j < i; j++)
            assert_true(len[i] != len[j] || memcmp(m[i], m[j], len[i]) != 0);
    }
    /* bytes that move from one blob to the other */
    uint8_t both[22], a[IMPORT_MESSAGE_MAX], b[IMPORT_MESSAGE_MAX];
    struct import_claim x = a_claim();
    size_t a_len, b_len;
    memset(both, 7, sizeof(both));
    x.wrapped_kek = both;
    x.wrapped_key = both + 11;
    assert_true(import_message(&x, a, &a_len, &err));
    x.wrapped_kek_len = 12;
    x.wrapped_key = both + 12;
    x.wrapped_key_len = 10;
    assert_true(import_message(&x, b, &b_len, &err));
    assert_memory_not_equal(a, b, a_len);
}

static void names_have_an_end(void **state)
{
    char name[400];
    struct import_claim claim = a_claim();
    uint8_t m[IMPORT_MESSAGE_MAX];
    struct err err;
    size_t len = 77;

    (void)state;
    memset(name, 'a', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    claim.name = name;
    assert_false(import_message(&claim, m, &len, &err));
    assert_int_equal(err.code, ERR_BAD_REQUEST);
    assert_int_equal(len, 77);
    name[63] = '\0';
    claim.tenant = name;
    assert_true(import_message(&claim, m, &len, &err)); /* the longest of both */
}

/* No key in use signs a proof for anybody. */
static void it_is_no_handshake(void **state)
{
    const struct import_claim claim = a_claim();
    uint8_t m[IMPORT_MESSAGE_MAX];
    struct err err;
    size_t len;

    (void)state;
    assert_true(import_message(&claim, m, &len, &err));
    assert_int_equal(tbs_recognise(m, len, &err), 0);
}

static void each_type_has_a_scheme(void **state)
{
    (void)state;
    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++) {
        struct err err;

        assert_non_null(scheme_for_type((enum key_type)t));
        assert_true(
            scheme_fits(scheme_for_type((enum key_type)t), (enum key_type)t, PURPOSE_CSR, &err));
    }
    assert_null(scheme_for_type(KEY_TYPE_NONE));
    assert_string_equal(import_hash_name(IMPORT_HASH_SHA1), "SHA1");
    assert_string_equal(import_hash_name(IMPORT_HASH_SHA256), "SHA2-256");
    assert_null(import_hash_name(IMPORT_HASH_NONE));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_message_is_the_documented_one),
        cmocka_unit_test(each_part_counts),
        cmocka_unit_test(names_have_an_end),
        cmocka_unit_test(it_is_no_handshake),
        cmocka_unit_test(each_type_has_a_scheme),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
