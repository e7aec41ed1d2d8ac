/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/asn1.h"
#include "tests/unit/test.h"

struct row {
    const char *der;
    size_t n;
    bool ok;
};

#define ROW(der, ok)                                                                               \
    {                                                                                              \
        der, sizeof(der) - 1, ok                                                                   \
    }

static void test_lengths(void **state)
{
    static char long_ones[3][70000];
    static const struct row rows[] = {
        ROW("\x04\x00", true),
        ROW("\x04\x01x", true),
        ROW("\x04\x01", false),        /* breaks off */
        ROW("\x04", false),            /* without a length */
        ROW("", false),                /* without anything */
        ROW("\x30\x01x", false),       /* another tag */
        ROW("\x04\x80x\0\0", false),   /* indefinite */
        ROW("\x04\x81\x01x", false),   /* longer than needed */
        ROW("\x04\x82\0\x01x", false), /* longer than needed */
        ROW("\x04\x84\0\0\0\x01", false),
        ROW("\x04\xffx", false),
    };
    static const struct {
        const char *head;
        size_t head_len, len;
        bool ok;
    } longer[] = {
        {"\x04\x81\x80", 3, 0x80, true},
        {"\x04\x81\x7f", 3, 0x7f, false},
        {"\x04\x82\x01\x00", 4, 0x100, true},
        {"\x04\x82\x00\xff", 4, 0xff, false},
        {"\x04\x83\x01\x00\x00", 5, 0x10000, true},
        {"\x04\x83\x00\xff\xff", 5, 0xffff, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd r = rd_of(rows[i].der, rows[i].n);

        asn1_enter(&r, TAG_OCTETS);
        if (rd_end(&r) != rows[i].ok)
            fail_msg("row %zu", i);
    }
    for (size_t i = 0; i < COUNT(longer); i++) {
        memcpy(long_ones[0], longer[i].head, longer[i].head_len);
        struct rd r = rd_of(long_ones[0], longer[i].head_len + longer[i].len);
        struct rd inside = asn1_enter(&r, TAG_OCTETS);

        if (rd_end(&r) != longer[i].ok || (longer[i].ok && rd_left(&inside) != longer[i].len))
            fail_msg("long row %zu", i);
    }
}

static void test_natural(void **state)
{
    static const struct {
        const char *der;
        size_t n;
        int want; /* -1: refused; else the last byte, after the leading zero */
        size_t len;
    } rows[] = {
        {"\x02\x01\x00", 3, 0, 0},        {"\x02\x01\x7f", 3, 0x7f, 1},
        {"\x02\x02\x00\x80", 4, 0x80, 1}, {"\x02\x02\x01\x00", 4, 0, 2},
        {"\x02\x01\x80", 3, -1, 0},     /* negative */
        {"\x02\x02\x00\x7f", 4, -1, 0}, /* longer than needed */
        {"\x02\x00", 2, -1, 0},         /* empty */
        {"\x04\x01\x01", 3, -1, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd r = rd_of(rows[i].der, rows[i].n);
        struct rd v = asn1_natural(&r);

        if (v.failed != (rows[i].want < 0) || r.failed != v.failed)
            fail_msg("row %zu", i);
        assert_int_equal(rd_left(&v), rows[i].len);
        if (rows[i].len)
            assert_int_equal(v.end[-1], rows[i].want);
    }
}

static void test_small(void **state)
{
    static const struct {
        const char *der;
        size_t n;
        uint32_t want;
        bool ok;
    } rows[] = {
        {"\x02\x01\x00", 3, 0, true},
        {"\x02\x03\x01\x00\x01", 5, 65537, true},
        {"\x02\x05\x00\xff\xff\xff\xff", 7, UINT32_MAX, true},
        {"\x02\x05\x01\x00\x00\x00\x00", 7, 0, false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd r = rd_of(rows[i].der, rows[i].n);

        assert_int_equal(asn1_small(&r), rows[i].want);
        assert_int_equal(rd_end(&r), rows[i].ok);
    }
}

static void test_whole(void **state)
{
    struct rd r = rd_of("\x04\x01x\x05\x00", 5);
    struct rd first = asn1_whole(&r);

    (void)state;
    assert_int_equal(rd_left(&first), 3);
    assert_int_equal(asn1_peek(&r), TAG_NULL);
    asn1_whole(&r);
    assert_true(rd_end(&r));
    assert_int_equal(asn1_peek(&r), 0);
    r = rd_of("\x1f\x01x", 3); /* a tag of several bytes */
    first = asn1_whole(&r);
    assert_true(first.failed && r.failed);
}

static void test_claims(void **state)
{
    static const struct {
        const char *der;
        size_t n, want;
    } rows[] = {
        {"\x30\x05", 2, 7}, {"\x30\x82\x01\x00", 4, 260}, {"\x30\x80", 2, 0},
        {"\x30", 1, 0},     {"\x30\x82\x01", 3, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd r = rd_of(rows[i].der, rows[i].n);

        assert_int_equal(asn1_claims(&r), rows[i].want);
    }
}

static void test_oid_name(void **state)
{
    static const struct {
        const char *oid;
        size_t n;
        const char *want;
    } rows[] = {
        {"\x2b\x65\x71", 3, "ED448"},
        {"\x2a\x03\x04", 3, "1.2.3.4"},
        {"", 0, "an unknown algorithm"},
        {"\x2a\x80", 2, "an unknown algorithm"}, /* breaks off */
    };
    static const uint8_t endless[200] = {0x2a};
    char name[ASN1_OID_NAME];
    struct rd r;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        r = rd_of(rows[i].oid, rows[i].n);
        assert_string_equal(asn1_oid_name(&r, name), rows[i].want);
    }
    r = rd_of(endless, sizeof(endless));
    assert_string_equal(asn1_oid_name(&r, name), "an unknown algorithm");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lengths), cmocka_unit_test(test_natural),
        cmocka_unit_test(test_small),   cmocka_unit_test(test_whole),
        cmocka_unit_test(test_claims),  cmocka_unit_test(test_oid_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
