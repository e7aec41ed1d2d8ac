/* SPDX-License-Identifier: Apache-2.0
 *
 * words.c and ref.c: what needs no keyd.
 */
#include <openssl/pem.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/keys.h"
#include "tests/unit/libkeyd/fixture.h"

static void test_names(void **state)
{
    (void)state;
    assert_string_equal(keyd_code_name(KEYD_OK), "OK");
    assert_string_equal(keyd_code_name(KEYD_BUSY), "BUSY");
    assert_string_equal(keyd_code_name(KEYD_STORAGE), "STORAGE");
    assert_string_equal(keyd_code_name(1000), "UNKNOWN");
    for (int type = KEYD_KEY_RSA_2048; type <= KEYD_KEY_ED25519; type++)
        assert_int_equal(keyd_key_type_by_name(keyd_key_type_name(type)), type);
    assert_int_equal(keyd_key_type_by_name("ec-p256"), KEYD_KEY_EC_P256);
    assert_int_equal(keyd_key_type_by_name("ec-p512"), 0);
    assert_null(keyd_key_type_name(0));
    assert_null(keyd_key_type_name(77));
    assert_string_equal(keyd_purpose_name(0), "tls13-server");
    assert_string_equal(keyd_purpose_name(3), "csr");
    assert_string_equal(keyd_purpose_name(6), "raw");
    assert_null(keyd_purpose_name(7));
    assert_null(keyd_purpose_name(32));
}

static void test_reference(void **state)
{
    struct keyd_error error;
    size_t spki_len, back_len;
    const uint8_t *spki = server_spki(&spki_len), *back;
    uint8_t id[KEYD_KEY_ID_LEN];
    char *pem = NULL, *label, *header;
    unsigned char *der;
    long der_len;

    (void)state;
    assert_int_equal(keyd_ref_encode(spki, spki_len, &pem, &error), KEYD_OK);
    BIO *bio = BIO_new_mem_buf(pem, -1);
    assert_int_equal(PEM_read_bio(bio, &label, &header, &der, &der_len), 1);
    assert_string_equal(label, "KEYD KEY REFERENCE");
    assert_int_equal(keyd_ref_decode(der, (size_t)der_len, id, &back, &back_len, &error), KEYD_OK);
    assert_memory_equal(id, server_key_id(), KEYD_KEY_ID_LEN);
    assert_int_equal(back_len, spki_len);
    assert_memory_equal(back, spki, spki_len);
    assert_true(back > der && back < der + der_len);

    der[der_len - 1] ^= 1; /* the id does not fit any more */
    assert_int_not_equal(keyd_ref_decode(der, (size_t)der_len, id, &back, &back_len, &error), 0);
    assert_string_not_equal(error.message, "");
    der[der_len - 1] ^= 1;
    assert_int_not_equal(keyd_ref_decode(der, (size_t)der_len - 1, id, &back, &back_len, NULL), 0);
    assert_int_not_equal(keyd_ref_decode(der, 0, id, &back, &back_len, &error), 0);

    char *none = NULL;
    uint8_t *large = mem_new(KEYD_SPKI_MAX + 1);
    assert_int_not_equal(keyd_ref_encode(large, KEYD_SPKI_MAX + 1, &none, &error), KEYD_OK);
    assert_null(none);
    mem_free(large);
    OPENSSL_free(label);
    OPENSSL_free(header);
    OPENSSL_free(der);
    BIO_free(bio);
    keyd_free(pem);
    keyd_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_reference),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
