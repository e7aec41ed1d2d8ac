/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/tbs.h"
#include "samples.h"

static enum purpose judge(const struct sample *s, struct err *err)
{
    *err = (struct err){.code = ERR_NONE};
    return tbs_recognise(s->bytes, s->len, err);
}

static void the_three_shapes(void **state)
{
    struct sample server = sample_tls13(SERVER_CONTEXT, 32);
    struct sample client = sample_tls13(CLIENT_CONTEXT, 48);
    struct sample point = sample_of_hex(POINT_P256);
    struct sample tls12 = sample_tls12(0x0017, &point);
    struct err err;

    (void)state;
    assert_int_equal(judge(&server, &err), PURPOSE_TLS13_SERVER);
    assert_int_equal(judge(&client, &err), PURPOSE_TLS13_CLIENT);
    assert_int_equal(judge(&tls12, &err), PURPOSE_TLS12_SERVER);
}

static void refused(struct sample s, const char *text, const char *hint)
{
    struct err err;

    assert_int_equal(judge(&s, &err), 0);
    assert_int_equal(err.code, ERR_BAD_SHAPE);
    assert_non_null(strstr(err.text, text));
    assert_non_null(strstr(err.hint, hint));
}

static void refusals_say_what_it_looks_like(void **state)
{
    static const size_t digests[] = {20, 28, 32, 48, 64};
    struct sample point = sample_of_hex(POINT_P256);
    struct sample s = {.len = 0};

    (void)state;
    refused(s, "the message is empty", "");
    for (size_t i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
        s.len = digests[i];
        refused(s, "looks like a bare digest; keyd signs whole messages", "send the message");
    }
    s.len = 77;
    refused(s, "a message of 77 bytes is no TLS 1.3 CertificateVerify and no TLS 1.2", "no DHE");
    refused(sample_tls13("TLS, server delegated credentials", 48),
            "not of a server's or client's CertificateVerify", "");
    refused(sample_tls13(SERVER_CONTEXT, 64), "it has 32 or 48", "");
    s = sample_tls12(0x0017, &point);
    s.bytes[100] ^= 1;
    refused(s, "does not lie on secp256r1", "");
    refused(sample_of_hex(TLS12_AND_CSR), "does not lie on secp521r1", "");
    refused(sample_of_hex("3006020100300106"), "looks like DER", "control.sock");
}

/* ServerDHParams (RFC 5246 7.4.3) with a prime of 2048 bits: Apache httpd offers such suites. */
static void a_dhe_key_exchange_is_named(void **state)
{
    struct sample s = {.len = 64};
    uint8_t number[256];

    (void)state;
    memset(s.bytes, 0x11, 64);
    memset(number, 0xab, sizeof(number));
    sample_add(&s, "\x01\x00", 2);
    sample_add(&s, number, 256);
    sample_add(&s, "\x00\x01\x02\x01\x00", 5);
    sample_add(&s, number, 256);
    refused(s, "a TLS 1.2 DHE key exchange", "leave DHE suites out");
    s.len--;
    refused(s, "no TLS 1.3 CertificateVerify and no TLS 1.2 ECDHE", "no DHE");
}

/* The message of the issue: 32 bytes. */
static void the_text_for_a_digest(void **state)
{
    struct sample s = {.len = 32};
    struct err err;

    (void)state;
    assert_int_equal(judge(&s, &err), 0);
    assert_string_equal(err.text, "a message of 32 bytes looks like a bare digest; keyd signs "
                                  "whole messages");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_shapes),
        cmocka_unit_test(refusals_say_what_it_looks_like),
        cmocka_unit_test(a_dhe_key_exchange_is_named),
        cmocka_unit_test(the_text_for_a_digest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
