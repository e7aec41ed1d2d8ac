/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/tbs_csr.h"

#include "keyd/policy/ber.h"
#include "samples.h"

/* An Ed25519 SubjectPublicKeyInfo (RFC 8410 10.1) and pieces of a request for it. */
#define SPKI                                                                                       \
    "302a300506032b657003210019bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1"
#define VERSION "020100"
#define CN      "300c310a300806035504030c0161" /* CN=a */
#define SAN     "a01a301806092a864886f70d01090e310b3009300706035504110400"
#define EMPTY   "a000"

struct case_ {
    const char *members; /* of the outer SEQUENCE */
    const char *why;     /* NULL: fits */
};

static struct sample wrap(const char *members)
{
    struct sample inner = sample_of_hex(members);
    struct sample s = {.bytes = {DER_SEQUENCE, (uint8_t)inner.len}, .len = 2};

    assert_true(inner.len < 128);
    sample_add(&s, inner.bytes, inner.len);
    return s;
}

static bool judge(const struct sample *s, struct err *err)
{
    struct sample spki = sample_of_hex(SPKI);

    *err = (struct err){.code = ERR_NONE};
    return tbs_csr(s->bytes, s->len, spki.bytes, spki.len, err);
}

static void members(void **state)
{
    static const struct case_ cases[] = {
        {VERSION CN SPKI SAN, NULL},
        {VERSION CN SPKI EMPTY, NULL},
        {VERSION "3000" SPKI EMPTY, NULL}, /* the subject may be empty: names are in the SAN */
        {VERSION CN SPKI, "attributes"},
        {VERSION CN SPKI EMPTY EMPTY, "2 bytes too many"},
        {VERSION CN SPKI "a100", "attributes"},
        {VERSION CN SPKI "a0020500", "attributes"},
        {VERSION CN SPKI "a006300406013a3100", "attributes"},
        {VERSION CN SPKI "a0073005060129310030", "attributes"},
        {CN SPKI EMPTY, "version 0"},
        {"020101" CN SPKI EMPTY, "version 0"},
        {"02020000" CN SPKI EMPTY, "version 0"},
        {VERSION SPKI EMPTY, "subject"},
        {VERSION "310a300806035504030c0161" SPKI EMPTY, "subject"},
        {VERSION "30023100" SPKI EMPTY, "subject"},
        {VERSION "300e310c300a06035504030c01610500" SPKI EMPTY, "subject"},
        {VERSION CN EMPTY, "another public key"},
        {VERSION CN CN SPKI EMPTY, "another public key"},
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = wrap(cases[i].members);
        assert_int_equal(judge(&s, &err), cases[i].why == NULL);
        if (!cases[i].why)
            continue;
        assert_int_equal(err.code, ERR_BAD_SHAPE);
        if (!strstr(err.text, cases[i].why))
            fail_msg("case %zu: %s", i, err.text);
    }
}

static void one_whole_value(void **state)
{
    struct sample good = wrap(VERSION CN SPKI SAN), s = good;
    struct err err;

    (void)state;
    assert_true(judge(&good, &err));
    s.bytes[s.len++] = 0;
    assert_false(judge(&s, &err));
    assert_non_null(strstr(err.text, "not one whole DER CertificationRequestInfo"));
    for (size_t n = 0; n < good.len; n++) {
        assert_false(tbs_csr(good.bytes, n, good.bytes, 0, &err));
        assert_int_equal(err.code, ERR_BAD_SHAPE);
    }
    s = good;
    s.bytes[0] = DER_SET;
    assert_false(judge(&s, &err));
}

/* BER that is no DER: OpenSSL would take it, we sign only what has one reading. */
static void no_ber(void **state)
{
    struct sample inner = sample_of_hex(VERSION CN SPKI EMPTY);
    struct sample s = {.bytes = {0x30, 0x81, (uint8_t)inner.len}, .len = 3};
    struct sample indefinite = {.bytes = {0x30, 0x80}, .len = 2};
    struct err err;

    (void)state;
    sample_add(&s, inner.bytes, inner.len);
    assert_true(ber_is_signable(s.bytes, s.len));
    assert_false(judge(&s, &err));
    sample_add(&indefinite, inner.bytes, inner.len);
    sample_add(&indefinite, "\0\0", 2);
    assert_true(ber_is_signable(indefinite.bytes, indefinite.len));
    assert_false(judge(&indefinite, &err));
}

static void only_this_key(void **state)
{
    struct sample s = wrap(VERSION CN SPKI EMPTY), spki = sample_of_hex(SPKI);
    struct err err;

    (void)state;
    for (size_t i = 0; i < spki.len; i++) {
        struct sample other = spki;
        other.bytes[i] ^= 1;
        assert_false(tbs_csr(s.bytes, s.len, other.bytes, other.len, &err));
        assert_non_null(strstr(err.text, "another public key"));
    }
    assert_false(tbs_csr(s.bytes, s.len, spki.bytes, 0, &err));
}

/* The message with two meanings is a request all right: for its own key, and only here. */
static void the_message_with_two_meanings(void **state)
{
    struct sample s = sample_of_hex(TLS12_AND_CSR);
    const uint8_t *spki = s.bytes + 3 + 3 + 0x3d + 2;
    struct err err;

    (void)state;
    assert_true(tbs_csr(s.bytes, s.len, spki, 91, &err));
    assert_false(judge(&s, &err));
}

/* Values in values without end must not take the stack with them. */
static void deep_nesting(void **state)
{
    struct sample s = {.len = 0};
    struct sample head = sample_of_hex(VERSION "3000" SPKI);
    struct err err;

    (void)state;
    for (unsigned levels = 10; levels <= 24; levels += 14) {
        struct sample in = {.len = 0};
        uint8_t oid[] = {DER_OID, 1, 0x29};
        for (unsigned i = levels; i > 0; i--) {
            uint8_t wrapped[] = {DER_SEQUENCE, (uint8_t)(2 * (i - 1))};
            sample_add(&in, wrapped, 2);
        }
        uint8_t set[] = {DER_SET, (uint8_t)in.len}, pair[] = {DER_SEQUENCE, (uint8_t)(in.len + 5)};
        uint8_t attrs[] = {DER_CONTEXT_0, (uint8_t)(in.len + 7)};
        uint8_t outer[] = {DER_SEQUENCE, 0x81, (uint8_t)(head.len + in.len + 9)};
        bool is_long = head.len + in.len + 9 >= 128;
        outer[1] = is_long ? 0x81 : outer[2];
        s.len = 0;
        sample_add(&s, outer, is_long ? 3 : 2);
        sample_add(&s, head.bytes, head.len);
        sample_add(&s, attrs, 2);
        sample_add(&s, pair, 2);
        sample_add(&s, oid, 3);
        sample_add(&s, set, 2);
        sample_add(&s, in.bytes, in.len);
        assert_int_equal(judge(&s, &err), levels == 10);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members),
        cmocka_unit_test(one_whole_value),
        cmocka_unit_test(no_ber),
        cmocka_unit_test(only_this_key),
        cmocka_unit_test(the_message_with_two_meanings),
        cmocka_unit_test(deep_nesting),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
