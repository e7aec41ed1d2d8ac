/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proto/x509/subject.h"

#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "proto/base/mem.h"
#include "proto/x509/dns.h"

/* The name as OpenSSL prints it in the order of the DER: "O=Acme, CN=www". */
static void print(const struct subject *s, char *buf, size_t size)
{
    const unsigned char *at = s->der;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)s->der_len);
    BIO *bio = BIO_new(BIO_s_mem());

    assert_non_null(name);
    assert_non_null(bio);
    assert_ptr_equal(at, s->der + s->der_len);
    X509_NAME_print_ex(bio, name, 0, (XN_FLAG_ONELINE & ~XN_FLAG_SPC_EQ) & ~ASN1_STRFLGS_ESC_MSB);
    int n = BIO_read(bio, buf, (int)size - 1);
    buf[n > 0 ? n : 0] = '\0';
    BIO_free(bio);
    X509_NAME_free(name);
}

static void both_forms(void **state)
{
    static const struct {
        const char *text, *printed, *cn;
    } yes[] = {
        {"CN=www.example.com", "CN=www.example.com", "www.example.com"},
        {"CN=www.example.com,O=Acme", "O=Acme, CN=www.example.com", "www.example.com"},
        {"/O=Acme/CN=www.example.com", "O=Acme, CN=www.example.com", "www.example.com"},
        {"cn=a, o = Acme Inc , c=DE", "C=DE, O=Acme Inc, CN=a", "a"},
        {"commonName=a,countryName=DE", "C=DE, CN=a", "a"},
        {"/C=DE/ST=Bavaria/L=Munich/O=Acme/OU=Web/CN=a",
         "C=DE, ST=Bavaria, L=Munich, O=Acme, OU=Web, CN=a", "a"},
        {"CN=a,O=Acme\\, Inc.", "O=\"Acme, Inc.\", CN=a", "a"},
        {"CN=a,O=Acme\\2C Inc.", "O=\"Acme, Inc.\", CN=a", "a"},
        {"CN=\\#a", "CN=\"#a\"", "#a"},
        {"CN=\\ a\\ ", "CN=\" a \"", " a "},
        {"CN=a=b", "CN=a=b", "a=b"},
        {"CN=a/b", "CN=a/b", "a/b"},
        {"/CN=a\\/b", "CN=a/b", "a/b"},
        {"/CN=a,b", "CN=\"a,b\"", "a,b"},
        {"/CN=a\\+b", "CN=\"a+b\"", "a+b"},
        {"CN=a+UID=7,O=x", "O=x, CN=a + UID=7", "a"},
        {"/O=x/CN=a+UID=7", "O=x, CN=a + UID=7", "a"},
        {"CN=\\C3\\BC", "CN=ü", "ü"},
        {"CN=Müller,DC=example,DC=com", "DC=com, DC=example, CN=Müller", "Müller"},
        {"CN=bücher.example", "CN=xn--bcher-kva.example", "xn--bcher-kva.example"},
        {"CN=*.Example.com", "CN=*.example.com", "*.example.com"},
        {"CN=first,CN=second", "CN=second, CN=first", "first"},
        {"emailAddress=a@b.example,CN=x", "CN=x, emailAddress=a@b.example", "x"},
        {"O=Acme", "O=Acme", ""},
        {"", "", ""},
        {"  ", "", ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        struct subject s;
        struct err err = {.text = ""};
        char printed[256];
        if (!subject_parse(yes[i].text, &s, &err))
            fail_msg("%s: %s", yes[i].text, err.text);
        print(&s, printed, sizeof(printed));
        assert_string_equal(printed, yes[i].printed);
        assert_string_equal(s.cn, yes[i].cn);
        subject_free(&s);
        assert_null(s.der);
    }
}

static void what_is_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } no[] = {
        {"www.example.com", "without \"=\""},
        {"CN=a,", "without \"=\""},
        {",CN=a", "without \"=\""},
        {"CN=a,,O=b", "without \"=\""},
        {"/", "without \"=\""},
        {"/CN=a/", "without \"=\""},
        {"CN", "without \"=\""},
        {"CN=", "CN is empty"},
        {"CN=,O=a", "CN is empty"},
        {"CN= ", "CN is empty"},
        {"FOO=a", "unknown attribute \"FOO\""},
        {"=a", "unknown attribute \"\""},
        {"2.5.4.3=a", "unknown attribute \"2.5.4.3\""},
        {"CN=#0c0161", "values in hex"},
        {"CN=\"a\"", "write \"\\\" before"},
        {"CN=a;O=b", "write \"\\\" before"},
        {"CN=a<b", "write \"\\\" before"},
        {"CN=a\\", "nothing behind"},
        {"/CN=a\\", "nothing behind"},
        {"CN=a\\x", "stands before one of"},
        {"CN=a\\00b", "zero byte"},
        {"CN=a\\0ab", "control characters"},
        {"CN=a\nb", "control characters"},
        {"CN=\xff", "no UTF-8"},
        {"CN=\\C3", "no UTF-8"},
        {"C=Germany", "two letters"},
        {"C=D", "two letters"},
        {"C=\xc3\xbc\xc3\xbc", "characters that C cannot have"},
        {"emailAddress=\xc3\xbc@b", "characters that emailAddress cannot have"},
        {"CN=12345678901234567890123456789012345678901234567890123456789012345",
         "CN has 65 characters; 64 may be"},
        {"a,b=c", "without \"=\""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++) {
        struct subject s = {.der_len = 77};
        struct err err = {.text = ""};
        if (subject_parse(no[i].text, &s, &err))
            fail_msg("taken: %s", no[i].text);
        assert_int_equal(s.der_len, 77);
        assert_int_equal(err.code, ERR_BAD_REQUEST);
        if (!strstr(err.text, no[i].why))
            fail_msg("%s: %s", no[i].text, err.text);
    }
}

static void unknown_names_the_known(void **state)
{
    struct subject s;
    struct err err;

    (void)state;
    assert_false(subject_parse("CN=a,FOO=b", &s, &err));
    assert_string_equal(err.hint, "known are CN, O, OU, C, ST, L, STREET, DC, UID, serialNumber, "
                                  "emailAddress");
}

static void caps(void **state)
{
    char text[4096];
    struct subject s;
    struct err err;

    (void)state;
    /* 64 characters of two bytes each are 64 characters */
    char *at = text + snprintf(text, sizeof(text), "CN=");
    for (int i = 0; i < 64; i++)
        at += snprintf(at, 3, "ü");
    assert_true(subject_parse(text, &s, &err));
    subject_free(&s);
    /* parts without end */
    at = text + snprintf(text, sizeof(text), "CN=a");
    for (int i = 0; i < 300; i++)
        at += snprintf(at, 8, ",OU=%c", 'a' + i % 26);
    assert_false(subject_parse(text, &s, &err));
    assert_non_null(strstr(err.text, "too many parts"));
    /* a value without end */
    memset(text, 'a', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    memcpy(text, "O=", 2);
    assert_false(subject_parse(text, &s, &err));
    assert_non_null(strstr(err.text, "too long"));
    /* a type without end */
    text[0] = 'a';
    text[1] = 'b';
    assert_false(subject_parse(text, &s, &err));
}

static void hosts(void **state)
{
    char host[DNS_NAME_MAX + 1];

    (void)state;
    assert_true(subject_cn_is_host("www.Example.com", host));
    assert_string_equal(host, "www.example.com");
    assert_true(subject_cn_is_host("*.example.com", host));
    assert_false(subject_cn_is_host("Müller", host));
    assert_false(subject_cn_is_host("Acme Inc.", host));
    assert_false(subject_cn_is_host("localhost", host));
    assert_false(subject_cn_is_host("", host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_forms),
        cmocka_unit_test(what_is_refused),
        cmocka_unit_test(unknown_names_the_known),
        cmocka_unit_test(caps),
        cmocka_unit_test(hosts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
