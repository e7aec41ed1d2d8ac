/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "clients/keydctl/output.h"

static const char *always_red(const char *text)
{
    (void)text;
    return "red";
}

static const struct column columns[] = {
    {.title = "NAME", .member = "name"},
    {.title = "NUMBER", .member = "number", .right = true},
    {.title = "LIST", .member = "list", .colour = always_red},
    {.title = "UP", .member = "up", .text = text_duration},
    {0},
};

/* To a file nothing is coloured, whatever the table asks for; what is not there is a dash. */
static void test_table(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    json_t *rows =
        json_pack("[{s:s, s:i, s:[s, s], s:i}, {s:s, s:n}]", "name", "a", "number", 12345, "list",
                  "x", "y", "up", 3600000, "name", "a\nb\x1b[31m", "number");

    (void)state;
    assert_true(out_table(f, columns, rows));
    fclose(f);
    assert_null(strchr(text, '\x1b'));
    assert_non_null(strstr(text, "NAME"));
    assert_non_null(strstr(text, "\na "));
    assert_non_null(strstr(text, "  12345 x, y 01:00:00\n"));
    assert_non_null(strstr(text, "a\\x0ab\\x1b[31m"));
    assert_non_null(strstr(text, "     - -    -\n"));
    json_decref(rows);
    free(text);
}

static void test_fields(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    json_t *object = json_pack("{s:s, s:i, s:[]}", "name", "a\nb", "number", 5, "list");

    (void)state;
    out_fields(f, columns, object, 2);
    fclose(f);
    assert_string_equal(text, "  NAME:   a\\x0ab\n  NUMBER: 5\n");
    json_decref(object);
    free(text);
}

static void check_string(json_t *got, const char *want)
{
    assert_non_null(got);
    assert_string_equal(json_string_value(got), want);
    json_decref(got);
}

static void test_values(void **state)
{
    (void)state;
    check_string(out_string("plain \xc3\xa4"), "plain \xc3\xa4");
    check_string(out_string("no \xff utf-8\n"), "no \\xff utf-8\\x0a");
    check_string(out_hex((const uint8_t *)"\x00\xff\x1a", 3), "00ff1a");
    check_string(out_hex(NULL, 0), "");
    check_string(out_base64((const uint8_t *)"", 0), ""); /* RFC 4648 10 */
    check_string(out_base64((const uint8_t *)"f", 1), "Zg==");
    check_string(out_base64((const uint8_t *)"fo", 2), "Zm8=");
    check_string(out_base64((const uint8_t *)"foo", 3), "Zm9v");
    check_string(out_base64((const uint8_t *)"foobar", 6), "Zm9vYmFy");
    check_string(out_base64((const uint8_t *)"\xfb\xff\xbf", 3), "+/+/");
    check_string(out_time(0), "1970-01-01T00:00:00Z");
    check_string(out_time(1769860800), "2026-01-31T12:00:00Z");
}

static void test_durations(void **state)
{
    static const struct {
        json_int_t ms;
        const char *want;
    } rows[] = {
        {0, "00:00:00"},
        {999, "00:00:00"},
        {61000, "00:01:01"},
        {86399999, "23:59:59"},
        {86400000, "1d 00:00:00"},
        {93784000, "1d 02:03:04"},
        {8640000000, "100d 00:00:00"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char buf[CELL_MAX];
        json_t *v = json_integer(rows[i].ms);

        text_duration(v, buf);
        assert_string_equal(buf, rows[i].want);
        json_decref(v);
    }
}

static void test_json(void **state)
{
    char *text = NULL;
    size_t len;
    FILE *f = open_memstream(&text, &len);
    json_t *v = json_pack("{s:s}", "a", "b");

    (void)state;
    assert_true(out_json(f, v));
    fclose(f);
    assert_string_equal(text, "{\n  \"a\": \"b\"\n}\n");
    json_decref(v);
    free(text);
}

static void test_rates(void **state)
{
    static const struct {
        double rate;
        const char *text, *json;
    } rows[] = {
        {0, "0.0", "[0.0]"},
        {0.05, "0.1", "[0.05]"},
        {36.666, "36.7", "[36.666]"}, /* and not 36.665999999999997 */
        {123456.789, "123456.8", "[123456.789]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char buf[CELL_MAX], *text = NULL;
        size_t size = 0;
        json_t *v = json_pack("[f]", rows[i].rate);
        FILE *f = open_memstream(&text, &size);

        text_rate(json_array_get(v, 0), buf);
        assert_string_equal(buf, rows[i].text);
        assert_true(out_json(f, v));
        fclose(f);
        text[strcspn(text, "]") + 1] = 0;
        for (char *at = text; *at; at++) /* without the indentation */
            while (*at == ' ' || *at == '\n')
                memmove(at, at + 1, strlen(at));
        assert_string_equal(text, rows[i].json);
        free(text);
        json_decref(v);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),  cmocka_unit_test(test_fields),
        cmocka_unit_test(test_values), cmocka_unit_test(test_durations),
        cmocka_unit_test(test_rates),  cmocka_unit_test(test_json),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
