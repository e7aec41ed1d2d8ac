/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/dns.h"

#include <stdio.h>
#include <string.h>

static void names_that_are(void **state)
{
    static const struct {
        const char *name, *normal;
    } yes[] = {
        {"www.example.com", "www.example.com"},
        {"WWW.Example.COM", "www.example.com"},
        {"localhost", "localhost"},
        {"a", "a"},
        {"1and1.example", "1and1.example"},
        {"3com.com", "3com.com"},
        {"a-b.c--d.example", "a-b.c--d.example"},
        {"*.example.com", "*.example.com"},
        {"*.EXAMPLE.com", "*.example.com"},
        {"bücher.example", "xn--bcher-kva.example"},
        {"BÜCHER.example", "xn--bcher-kva.example"},
        {"*.bücher.example", "*.xn--bcher-kva.example"},
        {"straße.de", "xn--strae-oqa.de"}, /* IDNA 2008: not strasse.de */
        {"xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"XN--BCHER-KVA.example", "xn--bcher-kva.example"},
        {"例え.テスト", "xn--r8jz45g.xn--zckzah"},
        {"bu\xcc\x88"
         "cher.example",
         "xn--bcher-kva.example"}, /* u and a combining diaeresis: NFC */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        char out[DNS_NAME_MAX + 1] = "";
        struct err err = {.text = ""};
        if (!dns_name_normalize(yes[i].name, out, &err))
            fail_msg("%s: %s", yes[i].name, err.text);
        assert_string_equal(out, yes[i].normal);
    }
}

static void names_that_are_not(void **state)
{
    static const struct {
        const char *name, *why;
    } no[] = {
        {"", "it is empty"},
        {"*.", "it is empty"},
        {".", ""},
        {"example.com.", "dot at the end"},
        {".example.com", ""},
        {"a..b", ""},
        {"a b.example", "a character other than"},
        {"under_score.example", ""},
        {"-a.example", ""},
        {"a-.example", ""},
        {"ab--c.example", ""},
        {"xn--a.example", ""},
        {"xn--.example", ""},
        {"*", "whole leftmost label"},
        {"*example.com", "whole leftmost label"},
        {"w*.example.com", "whole leftmost label"},
        {"www.*.com", "whole leftmost label"},
        {"*.*.example.com", "whole leftmost label"},
        {"*.com", "two labels"},
        {"*.com.", "dot at the end"},
        {"192.0.2.1", "is an IP address"},
        {"2001:db8::1", "is an IP address"},
        {"::1", "is an IP address"},
        {"1.2.3", "last label is no number"},
        {"https://www.example.com/", "URL"},
        {"www.example.com:443", "URL"},
        {"a@example.com", "URL"},
        {"a\nb.example", ""},
        {"\xff.example", ""},
        {"\xe2\x98\x83.\xc0\x80", ""},
        {"0123456789012345678901234567890123456789012345678901234567890123.example", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        char out[DNS_NAME_MAX + 1] = "untouched";
        struct err err = {.text = ""};
        if (dns_name_normalize(no[i].name, out, &err))
            fail_msg("taken: %s as %s", no[i].name, out);
        assert_string_equal(out, "untouched");
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        if (!strstr(err.text, no[i].why) && !strstr(err.hint, no[i].why))
            fail_msg("%s: %s", no[i].name, err.text);
    }
}

static void lengths(void **state)
{
    char name[512], out[DNS_NAME_MAX + 1];
    struct err err;

    (void)state;
    /* 63 + dot + 63 + dot + 63 + dot + 61 = 253 */
    for (int last = 57; last <= 63; last++) {
        snprintf(name, sizeof(name), "%063d.%063d.%063d.%0*da", 0, 0, 0, last - 1, 0);
        assert_int_equal(dns_name_normalize(name, out, &err), strlen(name) <= DNS_NAME_MAX);
        snprintf(name, sizeof(name), "*.%063d.%063d.%063d.%0*da", 0, 0, 0, last - 1, 0);
        assert_int_equal(dns_name_normalize(name, out, &err), strlen(name) <= DNS_NAME_MAX);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_that_are),
        cmocka_unit_test(names_that_are_not),
        cmocka_unit_test(lengths),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
