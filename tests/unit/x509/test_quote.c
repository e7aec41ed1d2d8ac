/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/quote.h"

#include <string.h>

static void short_texts_stay(void **state)
{
    char buf[QUOTE_SIZE], text[QUOTE_MAX + 1];

    (void)state;
    assert_string_equal(quote("", buf), "");
    assert_string_equal(quote("www", buf), "www");
    memset(text, 'a', QUOTE_MAX);
    text[QUOTE_MAX] = '\0';
    assert_string_equal(quote(text, buf), text);
}

static void long_texts_end_in_dots(void **state)
{
    char buf[QUOTE_SIZE], text[300];

    (void)state;
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    quote(text, buf);
    assert_int_equal(strlen(buf), QUOTE_MAX + 3);
    assert_string_equal(buf + QUOTE_MAX, "...");
    memcpy(text + QUOTE_MAX - 1, "\xc3\xbc", 2); /* a character across the cut goes whole */
    quote(text, buf);
    assert_string_equal(buf + QUOTE_MAX - 1, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_texts_stay),
        cmocka_unit_test(long_texts_end_in_dots),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
