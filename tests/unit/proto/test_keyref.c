/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "proto/keyref.h"
#include "tests/unit/test.h"

/* A P-256 SubjectPublicKeyInfo (RFC 5480); its point need not be on the curve here. */
static uint8_t spki[91] = {0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce,
                           0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d,
                           0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 1,    2,    3};

static size_t encode(uint8_t *der)
{
    struct err err;
    size_t len;

    assert_true(keyref_encode(spki, sizeof(spki), der, &len, &err));
    return len;
}

static void goes_both_ways_as_pem(void **state)
{
    char pem[KEYREF_PEM_MAX];
    uint8_t der[KEYREF_DER_MAX], id[KEY_ID_LEN];
    struct keyref ref;
    struct err err;

    (void)state;
    assert_true(keyref_to_pem(spki, sizeof(spki), pem, &err));
    assert_ptr_equal(strstr(pem, "-----BEGIN KEYD KEY REFERENCE-----\n"), pem);
    assert_contains(pem, "\n-----END KEYD KEY REFERENCE-----\n");
    for (const char *line = pem; *line; line += strcspn(line, "\n") + 1)
        assert_true(strcspn(line, "\n") <= 64);
    assert_true(keyref_from_pem(pem, strlen(pem), der, &ref, &err));
    assert_int_equal(ref.spki_len, sizeof(spki));
    assert_memory_equal(ref.spki, spki, sizeof(spki));
    assert_true(key_id_of(spki, sizeof(spki), id));
    assert_memory_equal(ref.id, id, KEY_ID_LEN);
}

static void is_found_behind_other_text(void **state)
{
    char pem[KEYREF_PEM_MAX], text[KEYREF_PEM_MAX + 200];
    uint8_t der[KEYREF_DER_MAX];
    struct keyref ref;
    struct err err;

    (void)state;
    assert_true(keyref_to_pem(spki, sizeof(spki), pem, &err));
    int n = snprintf(text, sizeof(text),
                     "# a comment\n-----BEGIN X-----\nAAAA\n-----END X-----\r\n%s\ntail", pem);
    assert_true(keyref_from_pem(text, (size_t)n, der, &ref, &err));
}

static void every_cut_and_every_trailing_byte_is_refused(void **state)
{
    uint8_t der[KEYREF_DER_MAX + 1];
    size_t len = encode(der);
    struct keyref ref;
    struct err err;

    (void)state;
    for (size_t n = 0; n < len; n++)
        assert_false(keyref_decode(der, n, &ref, &err));
    der[len] = 0;
    assert_false(keyref_decode(der, len + 1, &ref, &err));
    assert_true(keyref_decode(der, len, &ref, &err));
}

/* No byte can change: structure, version, id and key hold each other. */
static void every_changed_byte_is_refused(void **state)
{
    uint8_t der[KEYREF_DER_MAX];
    size_t len = encode(der);
    struct keyref ref;
    struct err err;

    (void)state;
    for (size_t i = 0; i < len; i++) {
        der[i] ^= 1;
        assert_false(keyref_decode(der, len, &ref, &err));
        der[i] ^= 1;
    }
    assert_true(keyref_decode(der, len, &ref, &err));
}

static void another_version_is_told_apart(void **state)
{
    uint8_t der[KEYREF_DER_MAX];
    size_t len = encode(der);
    uint8_t *version = memmem(der, len, "keyd-ref-v1", 11);
    struct keyref ref;
    struct err err;

    (void)state;
    version[10] = '2';
    assert_false(keyref_decode(der, len, &ref, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_contains(err.hint, "keys-ref");
}

static void text_that_is_no_reference_is_refused(void **state)
{
    static const char *const texts[] = {
        "",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        "-----BEGIN KEYD KEY REFERENCE-----\nAAAA\n",
        "-----BEGIN KEYD KEY REFERENCE-----\n-----END KEYD KEY REFERENCE-----\n",
        "-----BEGIN KEYD KEY REFERENCE-----\nAAA\n-----END KEYD KEY REFERENCE-----\n",
        "-----BEGIN KEYD KEY REFERENCE-----\nA=AA\n-----END KEYD KEY REFERENCE-----\n",
        "-----BEGIN KEYD KEY REFERENCE-----\n????\n-----END KEYD KEY REFERENCE-----\n",
        "-----BEGIN KEYD KEY REFERENCE-----\n====\n-----END KEYD KEY REFERENCE-----\n",
    };
    uint8_t der[KEYREF_DER_MAX];
    struct keyref ref;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        assert_false(keyref_from_pem(texts[i], strlen(texts[i]), der, &ref, &err));
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
}

static void keys_of_impossible_size_are_refused(void **state)
{
    static uint8_t big[SPKI_MAX_LEN + 1];
    uint8_t der[KEYREF_DER_MAX];
    char pem[KEYREF_PEM_MAX];
    struct err err;
    size_t len;

    (void)state;
    assert_false(keyref_encode(big, 0, der, &len, &err));
    assert_false(keyref_encode(big, sizeof(big), der, &len, &err));
    assert_true(keyref_to_pem(big, SPKI_MAX_LEN, pem, &err)); /* the largest fits its buffers */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(goes_both_ways_as_pem),
        cmocka_unit_test(is_found_behind_other_text),
        cmocka_unit_test(every_cut_and_every_trailing_byte_is_refused),
        cmocka_unit_test(every_changed_byte_is_refused),
        cmocka_unit_test(another_version_is_told_apart),
        cmocka_unit_test(text_that_is_no_reference_is_refused),
        cmocka_unit_test(keys_of_impossible_size_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
