/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "clients/keydctl/options.h"

static const struct option_row eat_options[] = {
    {"dish", "DISH", "what", OPTION_REQUIRED | OPTION_OPERAND},
    {"guest", "NAME", "who", OPTION_REPEAT},
    {"hot", NULL, "not cold", 0},
    {"table", "N", "where", OPTION_REQUIRED},
    {0},
};
static const struct command meals[] = {
    {.name = "meals-eat", .options = eat_options}, {.name = "meals-list"}, {0}};
static const struct command forks[] = {{.name = "forks-wash"}, {0}};
static const struct command *const nouns[] = {meals, forks, NULL};

#define WORDS_MAX 12

static int count_words(char *const *argv)
{
    int n = 0;

    while (n < WORDS_MAX && argv[n])
        n++;
    return n;
}

/* Lines that can be read; `want` is what was understood, as "option=value " in order. */
static void test_accepted(void **state)
{
    static const struct {
        const char *argv[WORDS_MAX];
        const char *command;
        const char *want;
    } rows[] = {
        {{"x"}, NULL, ""},
        {{"x", "--help"}, NULL, "help= "},
        {{"x", "-h"}, NULL, "help= "},
        {{"x", "help"}, NULL, "help= "},
        {{"x", "help", "meals-eat"}, "meals-eat", "help= "},
        {{"x", "meals-eat", "--help"}, "meals-eat", "help= "},
        {{"x", "meals-list"}, "meals-list", ""},
        {{"x", "forks-wash", "--json"}, "forks-wash", "json= "},
        {{"x", "--json", "--socket", "/s", "meals-list"}, "meals-list", "json= socket=/s "},
        {{"x", "meals-eat", "soup", "--table", "3"}, "meals-eat", "dish=soup table=3 "},
        {{"x", "meals-eat", "--dish", "soup", "--table=3"}, "meals-eat", "dish=soup table=3 "},
        {{"x", "meals-eat", "--dish=", "--table=="}, "meals-eat", "dish= table== "},
        {{"x", "meals-eat", "--guest", "a", "--hot", "--guest=b"},
         "meals-eat",
         "guest=a hot= guest=b "},
        {{"x", "meals-eat", "--guest", "--hot"}, "meals-eat", "guest=--hot "},
        {{"x", "meals-eat", "--", "--hot"}, "meals-eat", "dish=--hot "},
        {{"x", "meals-eat", "-"}, "meals-eat", "dish=- "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char **argv = (char **)(uintptr_t)rows[i].argv;
        struct args args;
        struct err err;
        char got[256] = "";
        size_t n = 0;

        if (!args_parse(&args, count_words(argv), argv, nouns, &err))
            fail_msg("row %zu: %s", i, err.text);
        for (size_t g = 0; g < args.count; g++)
            n += (size_t)snprintf(got + n, sizeof(got) - n, "%s=%s ", args.given[g].row->name,
                                  args.given[g].value);
        assert_string_equal(got, rows[i].want);
        if (rows[i].command)
            assert_string_equal(args.command->name, rows[i].command);
        else
            assert_null(args.command);
        args_free(&args);
    }
}

/* Lines that cannot be read, and what is said about them. */
static void test_refused(void **state)
{
    static const struct {
        const char *argv[WORDS_MAX];
        const char *text, *hint;
    } rows[] = {
        {{"x", "meals-lits"}, "no command 'meals-lits'", "'meals-list'"},
        {{"x", "forks"}, "no command 'forks'", "'forks-wash'"},
        {{"x", "qqqqqq"}, "no command 'qqqqqq'", "'keydctl --help' lists"},
        {{"x", ""}, "no command ''", "'keydctl --help' lists"},
        {{"x", "--jsno", "meals-list"}, "no option '--jsno'", "'--json'"},
        {{"x", "meals-eat", "--tabel", "3"}, "no option '--tabel'", "'--table'"},
        {{"x", "meals-eat", "--guset=3"}, "no option '--guset'", "'--guest'"},
        {{"x", "meals-eat",
          "--"
          "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"},
         "no option",
         "'keydctl meals-eat --help' lists"},
        {{"x", "--table", "3", "meals-eat"},
         "no option '--table'",
         ""}, /* not before the command */
        {{"x", "meals-eat", "-t"}, "no option '--t'", ""},
        {{"x", "meals-eat", "--table"}, "--table needs a value", "--table N"},
        {{"x", "meals-eat", "--hot=yes"}, "--hot takes no value", ""},
        {{"x", "meals-eat", "a", "b"}, "'b' is one word too many", "usage: keydctl meals-eat"},
        {{"x", "meals-eat", "a", "--dish", "b"}, "--dish is given twice", ""},
        {{"x", "meals-eat", "--table=1", "--table=1"}, "--table is given twice", ""},
        {{"x", "meals-list", "--hot"}, "no option '--hot'", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char **argv = (char **)(uintptr_t)rows[i].argv;
        struct args args;
        struct err err;

        if (args_parse(&args, count_words(argv), argv, nouns, &err))
            fail_msg("row %zu was read", i);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        if (!strstr(err.text, rows[i].text) || !strstr(err.hint, rows[i].hint))
            fail_msg("row %zu: %s; %s", i, err.text, err.hint);
    }
}

static void test_complete(void **state)
{
    static const struct {
        const char *argv[WORDS_MAX];
        const char *text; /* NULL: complete */
    } rows[] = {
        {{"x", "meals-list"}, NULL},
        {{"x", "meals-eat", "soup", "--table=1"}, NULL},
        {{"x", "meals-eat", "--table=1"}, "meals-eat needs DISH"},
        {{"x", "meals-eat", "", "--table=1"}, "meals-eat needs DISH"},
        {{"x", "meals-eat", "soup"}, "meals-eat needs --table N"},
        {{"x", "meals-eat", "soup", "--table="}, "meals-eat needs --table N"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        char **argv = (char **)(uintptr_t)rows[i].argv;
        struct args args;
        struct err err = {0};

        assert_true(args_parse(&args, count_words(argv), argv, nouns, &err));
        assert_int_equal(args_complete(&args, &err), rows[i].text == NULL);
        if (rows[i].text)
            assert_string_equal(err.text, rows[i].text);
        args_free(&args);
    }
}

static void test_values(void **state)
{
    char *argv[] = {(char *)"x",         (char *)"meals-eat", (char *)"--guest=a",
                    (char *)"--guest=b", (char *)"--hot",     NULL};
    struct args args;
    struct err err;

    (void)state;
    assert_true(args_parse(&args, 5, argv, nouns, &err));
    assert_string_equal(args_get(&args, "guest"), "a");
    assert_string_equal(args_nth(&args, "guest", 1), "b");
    assert_null(args_nth(&args, "guest", 2));
    assert_string_equal(args_get(&args, "hot"), "");
    assert_null(args_get(&args, "table"));
    args_free(&args);
}

static void test_seconds(void **state)
{
    static const struct {
        const char *text;
        unsigned want; /* 0: refused */
    } rows[] = {
        {"1", 1},   {"60", 60}, {"3600", 3600}, {"3601", 0},
        {"0", 0},   {"", 0},    {"-1", 0},      {"+1", 0},
        {" 1", 0},  {"1s", 0},  {"1.5", 0},     {"99999999999999999999", 0},
        {"ten", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        unsigned got = 7;
        struct err err = {0};

        if (args_seconds(rows[i].text, "--timeout", &got, &err) != (rows[i].want != 0))
            fail_msg("'%s'", rows[i].text);
        assert_int_equal(got, rows[i].want ? rows[i].want : 7);
        if (!rows[i].want)
            assert_non_null(strstr(err.text, "--timeout"));
    }
}

static void test_nearest(void **state)
{
    static const char *const list[] = {"tenants-add", "tenants-list", "keys-list", "csr", NULL};
    static const struct {
        const char *word, *want;
    } rows[] = {
        {"keys-list", "keys-list"},
        {"key-list", "keys-list"},
        {"keyslist", "keys-list"},
        {"tenants-lits", "tenants-list"},
        {"tenants-lst", "tenants-list"},
        {"cst", "csr"},
        {"scr", "csr"},
        {"cs", "csr"},
        {"tenants-ad", "tenants-add"},
        {"xyz", NULL},
        {"", NULL},
        {"status", NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        const char *got = nearest(rows[i].word, list);

        if ((got == NULL) != (rows[i].want == NULL) || (got && strcmp(got, rows[i].want) != 0))
            fail_msg("'%s': %s", rows[i].word, got ? got : "none");
    }
}

static void test_usage(void **state)
{
    char buf[256], small[12];

    (void)state;
    assert_string_equal(usage_line(&meals[0], buf, sizeof(buf)),
                        "keydctl meals-eat DISH [--guest NAME]... [--hot] --table N");
    assert_string_equal(usage_line(&meals[1], buf, sizeof(buf)), "keydctl meals-list");
    assert_string_equal(usage_line(&meals[0], small, sizeof(small)), "keydctl mea");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_accepted), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_complete), cmocka_unit_test(test_values),
        cmocka_unit_test(test_seconds),  cmocka_unit_test(test_nearest),
        cmocka_unit_test(test_usage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
