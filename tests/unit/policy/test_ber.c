/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "keyd/policy/ber.h"
#include "samples.h"

static struct rd cursor(const struct sample *s)
{
    return rd_of(s->bytes, s->len);
}

static void der_headers(void **state)
{
    static const struct {
        const char *hex;
        uint8_t tag; /* 0: refused */
    } cases[] = {
        {"020100", 0x02}, {"3000", 0x30},    {"a000", 0xa0}, {"0400", 0x04},  {"0201", 0},
        {"02", 0},        {"", 0},           {"0000", 0},    {"02810100", 0}, {"3080", 0},
        {"30800000", 0},  {"04820001ff", 0}, {"3f1000", 0},  {"1f0100", 0},   {"0484000000010f", 0},
        {"04810f", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = sample_of_hex(cases[i].hex);
        struct rd r = cursor(&s);
        assert_int_equal(der_skip(&r), cases[i].tag);
        assert_int_equal(rd_end(&r), cases[i].tag != 0);
    }
}

static void der_long_lengths(void **state)
{
    struct sample s = {.bytes = {0x04, 0x81, 0x80}, .len = 3 + 128};
    struct rd r = cursor(&s);

    (void)state;
    struct rd body = der_enter(&r, DER_OCTETS);
    assert_int_equal(rd_left(&body), 128);
    assert_true(rd_end(&r));
    s.bytes[2] = 0x7f; /* fits in the short form */
    r = cursor(&s);
    assert_int_equal(der_skip(&r), 0);
    struct sample two = {.bytes = {0x04, 0x82, 0x01, 0x00}, .len = 4 + 256};
    r = cursor(&two);
    assert_int_equal(der_skip(&r), 0x04);
    assert_true(rd_end(&r));
}

static void enter_wants_its_tag(void **state)
{
    struct sample s = sample_of_hex("3003020107");
    struct rd r = cursor(&s), wrong = cursor(&s);

    (void)state;
    struct rd body = der_enter(&r, DER_SEQUENCE);
    assert_int_equal(rd_left(&body), 3);
    assert_true(rd_end(&r));
    assert_true(der_enter(&wrong, DER_SET).failed);
    assert_true(wrong.failed);
}

static void well_formed(void **state)
{
    static const struct {
        const char *hex;
        unsigned depth;
        bool yes;
    } cases[] = {
        {"", 0, true},         {"020100", 0, true},      {"0201000500", 0, true},
        {"3000", 0, false},    {"3000", 1, true},        {"30023000", 1, false},
        {"30023000", 2, true}, {"3003020500", 2, false}, {"30030201", 2, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct sample s = sample_of_hex(cases[i].hex);
        assert_int_equal(der_well_formed(cursor(&s), cases[i].depth), cases[i].yes);
    }
}

static void what_might_be_signed(void **state)
{
    static const char *const yes[] = {
        TLS12_AND_CSR,
        "3005020100a000", /* SEQUENCE { 0, [0] } */
        "310430003000",   /* SET { {}, {} } */
        "3003020100",     /* one member */
        "3081050201003000",
        "30820005020100a000", /* a length with leading zeroes, as OpenSSL takes */
        "3084000000050201000500",
        "3080020100a0000000", /* an indefinite length */
        "3f1005020100a000",   /* tag 16 in its long form */
        "3f801005020100a000",
        "3009020100a00030ffffff", /* two members, then what Go would not look at */
        "300902010030047fffffff", /* a broken inside of a member that is taken as ANY */
        "3007020100a0800000",     /* an indefinite length inside */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct sample s = sample_of_hex(yes[i]);
        if (!ber_is_signable(s.bytes, s.len))
            fail_msg("not taken: %s", yes[i]);
    }
}

static void what_is_not(void **state)
{
    static const char *const no[] = {
        "",
        "30",
        "3000",             /* no member */
        "3005020100a0",     /* cut short */
        "3005020100a00000", /* a byte more */
        "3003020500",       /* the member is longer than all */
        "3005020100a001",   /* the second member is */
        "0403020100",       /* a bare OCTET STRING */
        "a005020100a000",   /* a bare [0] */
        "7005020100a000",   /* an application's own */
        "1005020100a000",   /* tag 16, primitive */
        "3004410043ff",     /* members of classes that no such structure has */
        "30ffffffffffffffff",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        struct sample s = sample_of_hex(no[i]);
        if (ber_is_signable(s.bytes, s.len))
            fail_msg("taken: %s", no[i]);
    }
}

/* An X25519 key exchange with random first bytes must nearly never be taken for DER. With the outer
 * header forced to fit (2 bytes: once in 2^15) fewer than 1 in 40 may pass on. */
static void honest_messages_pass(void **state)
{
    uint8_t message[100] = {0};
    uint32_t x = 1;
    unsigned taken = 0;

    (void)state;
    for (unsigned round = 0; round < 20000; round++) {
        for (size_t i = 0; i < sizeof(message); i++) {
            x = x * 1664525u + 1013904223u;
            message[i] = (uint8_t)(x >> 24);
        }
        taken += ber_is_signable(message, sizeof(message));
        memcpy(message, (uint8_t[]){0x30, 98}, 2);
        taken += ber_is_signable(message, sizeof(message));
    }
    print_message("[ taken   ] %u of 20000\n", taken);
    assert_true(taken < 20000 / 40);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(der_headers),          cmocka_unit_test(der_long_lengths),
        cmocka_unit_test(enter_wants_its_tag),  cmocka_unit_test(well_formed),
        cmocka_unit_test(what_might_be_signed), cmocka_unit_test(what_is_not),
        cmocka_unit_test(honest_messages_pass),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
