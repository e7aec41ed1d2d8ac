/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/tbs_tls13.h"
#include "samples.h"

static enum purpose judge(const struct sample *s, struct err *err)
{
    *err = (struct err){.code = ERR_NONE};
    return tbs_tls13(s->bytes, s->len, err);
}

static void both_roles_and_hashes(void **state)
{
    static const struct {
        const char *context;
        size_t hash_len, len;
        enum purpose purpose;
    } yes[] = {
        {SERVER_CONTEXT, 32, 130, PURPOSE_TLS13_SERVER},
        {SERVER_CONTEXT, 48, 146, PURPOSE_TLS13_SERVER},
        {CLIENT_CONTEXT, 32, 130, PURPOSE_TLS13_CLIENT},
        {CLIENT_CONTEXT, 48, 146, PURPOSE_TLS13_CLIENT},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct sample s = sample_tls13(yes[i].context, yes[i].hash_len);
        assert_int_equal(s.len, yes[i].len);
        assert_int_equal(judge(&s, &err), yes[i].purpose);
        assert_true(tbs_tls13_begins(s.bytes, s.len));
    }
}

static void other_hash_lengths(void **state)
{
    struct err err;

    (void)state;
    for (size_t n = 0; n <= 66; n++) {
        struct sample s = sample_tls13(SERVER_CONTEXT, n);
        if (n == 32 || n == 48)
            continue;
        assert_int_equal(judge(&s, &err), 0);
        assert_int_equal(err.code, ERR_BAD_SHAPE);
        assert_non_null(strstr(err.text, "it has 32 or 48"));
    }
}

static void other_contexts(void **state)
{
    /* RFC 9345 4 (as long as ours), a post-quantum sibling, other case, shorter, longer */
    static const char *const no[] = {
        "TLS, server delegated credentials",  "TLS 1.3, server CertificateVerifx",
        "TLS 1.3, Server CertificateVerify",  "TLS 1.3, server CertificateVerif",
        "TLS 1.3, server CertificateVerify ", "",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        struct sample s = sample_tls13(no[i], 48);
        assert_int_equal(judge(&s, &err), 0);
        assert_int_equal(err.code, ERR_BAD_SHAPE);
    }
}

/* No byte before the hash may differ, none may be missing. */
static void each_fixed_byte_counts(void **state)
{
    struct sample good = sample_tls13(CLIENT_CONTEXT, 32);
    struct err err;

    (void)state;
    for (size_t i = 0; i < 98; i++) {
        struct sample s = good;
        s.bytes[i] ^= 1;
        assert_int_equal(judge(&s, &err), 0);
        assert_int_equal(tbs_tls13_begins(s.bytes, s.len), i >= 64);
    }
    for (size_t n = 0; n < good.len; n++) {
        struct sample s = {.len = n};
        memcpy(s.bytes, good.bytes, n);
        assert_int_equal(judge(&s, &err), 0);
        assert_int_equal(err.code, ERR_BAD_SHAPE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_roles_and_hashes),
        cmocka_unit_test(other_hash_lengths),
        cmocka_unit_test(other_contexts),
        cmocka_unit_test(each_fixed_byte_counts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
