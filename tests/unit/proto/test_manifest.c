/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "proto/manifest.h"
#include "tests/unit/test.h"

static const struct manifest head = {
    .time = "2026-11-23T21:00:00Z",
    .keyd = "0.1.0",
    .token_label = "keyd",
    .token_serial = "5c1f3aa6d0e5b7f2",
    .token_model = "SoftHSM v2",
    .private_keys = 3,
    .keys = 2,
};

static const char *const names[] = {"registry.db", "tokens/6c10-2a/token.object"};

static void make(struct buf *b)
{
    struct err err;

    assert_true(manifest_begin(b, &head, &err));
    for (size_t i = 0; i < 2; i++) {
        struct manifest_file file = {.size = 40960 + i, .sum = {(uint8_t)i, 0xab}};

        snprintf(file.name, sizeof(file.name), "%s", names[i]);
        assert_true(manifest_add(b, &file, &err));
    }
    assert_true(manifest_end(b, &err));
}

static void what_was_written_is_read(void **state)
{
    struct buf b = {.bytes = NULL};
    struct manifest_file file;
    struct manifest m;
    struct err err;

    (void)state;
    make(&b);
    assert_true(manifest_read(buf_head(&b), b.len, &m, &err));
    assert_string_equal(m.time, head.time);
    assert_string_equal(m.keyd, head.keyd);
    assert_string_equal(m.token_label, "keyd");
    assert_string_equal(m.token_serial, head.token_serial);
    assert_string_equal(m.token_model, "SoftHSM v2");
    assert_int_equal(m.private_keys, 3);
    assert_int_equal(m.keys, 2);
    assert_int_equal(m.files, 2);
    assert_int_equal(m.bytes, 2 * 40960 + 1);
    assert_true(m.token_files);
    for (size_t i = 0; i < 2; i++) {
        assert_true(manifest_next(&m.lines, &file));
        assert_string_equal(file.name, names[i]);
        assert_int_equal(file.size, 40960 + i);
        assert_int_equal(file.sum[0], i);
        assert_int_equal(file.sum[1], 0xab);
    }
    assert_false(manifest_next(&m.lines, &file));
    buf_free(&b);
}

static void every_cut_and_every_changed_byte_is_refused(void **state)
{
    struct buf b = {.bytes = NULL};
    struct manifest m;
    struct err err;

    (void)state;
    make(&b);
    for (size_t n = 0; n < b.len; n++)
        assert_false(manifest_read(buf_head(&b), n, &m, &err));
    for (size_t i = 0; i < b.len; i++) {
        buf_head(&b)[i] ^= 1;
        assert_false(manifest_read(buf_head(&b), b.len, &m, &err));
        buf_head(&b)[i] ^= 1;
    }
    assert_true(manifest_read(buf_head(&b), b.len, &m, &err));
    buf_free(&b);
}

/* Another sum would not be right, but the version is looked at first: it says what to do. */
static void another_version_is_named(void **state)
{
    static const char text[] = "keyd-backup 2\nwhatever\n";
    struct manifest m;
    struct err err;

    (void)state;
    assert_false(manifest_read(text, sizeof(text) - 1, &m, &err));
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    assert_contains(err.text, "format version 2");
    assert_false(manifest_read("PK\3\4", 4, &m, &err));
    assert_contains(err.text, "is not of a backup of keyd");
}

/* A manifest with a right sum may still be somebody's trap: names lead nowhere else. */
static void names_that_lead_elsewhere_are_refused(void **state)
{
    static const char *const bad[] = {
        "",        "/etc/passwd", "../registry.db", "tokens/../../x", "tokens//x", "tokens/",
        ".hidden", "a b",         "a\nb",           "tokens/.x",      "a\\b",      "\xc3\xa9",
    };
    struct err err;

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf b = {.bytes = NULL};
        struct manifest_file file = {.size = 1};

        snprintf(file.name, sizeof(file.name), "%s", bad[i]);
        assert_false(manifest_add(&b, &file, &err));
        buf_free(&b);
    }
}

/* The same, written by hand with a sum that fits. */
static void bad_lines_are_refused_though_the_sum_fits(void **state)
{
    static const char zeros[] = "0000000000000000000000000000000000000000000000000000000000000000";
    static const struct {
        const char *line;
        bool ok;
    } rows[] = {
        {"file 1 %s registry.db\n", true},   {"file 1 %s ../registry.db\n", false},
        {"file -1 %s registry.db\n", false}, {"file 1234567890123456789 %s registry.db\n", false},
        {"file 1 x%s registry.db\n", false}, {"other 1 %s registry.db\n", false},
        {"file 1 %s registry.db", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct buf b = {.bytes = NULL};
        struct manifest m;
        struct err err;
        char line[200];

        assert_true(manifest_begin(&b, &head, &err));
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        int n = snprintf(line, sizeof(line), rows[i].line, zeros);
#pragma GCC diagnostic pop
        memcpy(buf_room(&b, (size_t)n, MANIFEST_MAX), line, (size_t)n);
        buf_fill(&b, (size_t)n);
        assert_true(manifest_end(&b, &err));
        assert_int_equal(manifest_read(buf_head(&b), b.len, &m, &err), rows[i].ok);
        buf_free(&b);
    }
}

/* A token may call itself what it likes. */
static void a_label_stays_in_its_line(void **state)
{
    struct buf b = {.bytes = NULL};
    struct manifest odd = head, m;
    struct err err;

    (void)state;
    snprintf(odd.token_label, sizeof(odd.token_label), "a\nkeys 7");
    assert_true(manifest_begin(&b, &odd, &err));
    assert_true(manifest_end(&b, &err));
    assert_true(manifest_read(buf_head(&b), b.len, &m, &err));
    assert_string_equal(m.token_label, "a?keys 7");
    assert_int_equal(m.keys, 2);
    assert_false(m.token_files);
    buf_free(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_read),
        cmocka_unit_test(every_cut_and_every_changed_byte_is_refused),
        cmocka_unit_test(another_version_is_named),
        cmocka_unit_test(names_that_lead_elsewhere_are_refused),
        cmocka_unit_test(bad_lines_are_refused_though_the_sum_fits),
        cmocka_unit_test(a_label_stays_in_its_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
