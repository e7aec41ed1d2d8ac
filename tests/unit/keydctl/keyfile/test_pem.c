/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/keyfile/pem.h"

#include <stdio.h>

#include "tests/unit/test.h"

#define B(label) "-----BEGIN " label "-----"
#define E(label) "-----END " label "-----"

static bool next(const char *text, struct rd *at, struct pem_block *ret, enum pem_found want,
                 const char *say)
{
    struct err err = {0};
    enum pem_found found = pem_next(at, ret, &err);

    if (found != want || (want == PEM_BROKEN && !strstr(err.text, say)))
        fail_msg("'%s': %d '%s'", text, found, err.text);
    return found == PEM_BLOCK;
}

static void test_blocks(void **state)
{
    static const struct {
        const char *text;
        const char *labels; /* of the blocks, "a,b,"; then what is wrong */
        const char *wrong;
    } rows[] = {
        {"", "", NULL},
        {"no block at all\n", "", NULL},
        {B("A") "\nQQ==\n" E("A") "\n", "A,", NULL},
        {B("A") "\nQQ==\n" E("A"), "A,", NULL},
        {B("A") "QQ==" E("A"), "A,", NULL},
        {"text\n" B("A") "\nQQ==\n" E("A") "\ntext\n" B("B C") "\n" E("B C"), "A,B C,", NULL},
        {B("") "\n" E(""), ",", NULL},
        {B("A") "\nQQ==\n", "", "\"A\" has no whole END line"},
        {B("A") "\nQQ==\n-----END A----", "", "\"A\" has no whole END line"},
        {B("A") "\nQQ==\n" E("B"), "", "begins as \"A\" and ends as \"B\""},
        {B("A") "\n" B("B") "\n" E("B") E("A"), "", "begins as \"A\" and ends as \"B\""},
        {B("A") "\n" B("B") "\n" E("A"), "", "begins as \"A\""},
        {B("A") "\n" E("A") B("B") "\n", "A,", "\"B\" has no whole END line"},
        {"-----BEGIN A\n", "", "five hyphens"},
        {"-----BEGIN A\n-----\n" E("A"), "", "five hyphens"},
        {"-----BEGIN AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA-----", "",
         "five hyphens"},
        {"-----BEGIN \xc3\xa4-----\n", "", "five hyphens"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd text = rd_of(rows[i].text, strlen(rows[i].text));
        struct pem_block b;
        char labels[128] = "";
        size_t n = 0, blocks = 0;

        for (const char *at = rows[i].labels; (at = strchr(at, ',')); at++)
            blocks++;
        while (blocks-- > 0 && next(rows[i].text, &text, &b, PEM_BLOCK, ""))
            n += (size_t)snprintf(labels + n, sizeof(labels) - n, "%s,", b.label);
        assert_string_equal(labels, rows[i].labels);
        next(rows[i].text, &text, &b, rows[i].wrong ? PEM_BROKEN : PEM_NONE, rows[i].wrong);
    }
}

static void check_rd(const struct rd *r, const char *want)
{
    assert_int_equal(r->failed, want == NULL);
    if (!want)
        return;
    assert_int_equal(rd_left(r), strlen(want));
    assert_memory_equal(r->at, want, strlen(want));
}

static void test_headers(void **state)
{
    static const struct {
        const char *text;
        const char *proc, *dek; /* NULL: there is none */
        const char *body;
    } rows[] = {
        {B("A") "\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,00\n\nQQ==\n" E("A"), "4,ENCRYPTED", "X,00",
         "QQ==\n"},
        {B("A") "\r\nProc-Type:4,ENCRYPTED \r\nDEK-Info:\t X,00\t\r\n\r\nQQ==\r\n" E("A"),
         "4,ENCRYPTED", "X,00", "QQ==\r\n"},
        {B("A") "\nComment: x\n \nQQ==\n" E("A"), NULL, NULL, "QQ==\n"},
        {B("A") "\nDEK-Info:\nDEK-Info-2: y\n\nQQ==\n" E("A"), NULL, "", "QQ==\n"},
        {B("A") "\nQQ==\n" E("A"), NULL, NULL, "\nQQ==\n"},
        {B("A") "\nDEK-Info: x\nno end\n" E("A"), NULL, "x", ""},
        {B("A") "\n" E("A"), NULL, NULL, "\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct rd text = rd_of(rows[i].text, strlen(rows[i].text));
        struct pem_block b;

        assert_true(next(rows[i].text, &text, &b, PEM_BLOCK, ""));
        struct rd proc = pem_header(&b, "Proc-Type"), dek = pem_header(&b, "DEK-Info");
        check_rd(&proc, rows[i].proc);
        check_rd(&dek, rows[i].dek);
        check_rd(&b.body, rows[i].body);
    }
}

static void test_decode(void **state)
{
    static const struct {
        const char *text, *want; /* NULL: refused, and why */
        const char *why;
    } rows[] = {
        {"", "", NULL},
        {"QQ==", "A", NULL},
        {"QUI=", "AB", NULL},
        {"QUJD", "ABC", NULL},
        {" Q\tU\r\nJ\nD ", "ABC", NULL},
        {"QUJDRA==", "ABCD", NULL},
        {"++//", "\xfb\xef\xff", NULL},
        {"QUJ", NULL, "cut short"},
        {"Q", NULL, "cut short"},
        {"QQ=", NULL, "cut short"},
        {"QQ", NULL, "cut short"},
        {"Q===", NULL, "cut short"},
        {"====", NULL, "cut short"},
        {"QR==", NULL, "cut short or damaged"}, /* stray bits */
        {"QUJ=", NULL, "cut short or damaged"},
        {"QQ==QUJD", NULL, "goes on after the ="},
        {"QQ==========", NULL, "cut short"},
        {"QU*D", NULL, "holds a '*'"},
        {"QU-_", NULL, "holds a '-'"}, /* base64url is another one */
        {"QU\x01", NULL, "holds a byte 0x01"},
        {"QU\xc3\xa4", NULL, "holds a byte 0xc3"},
        {"\\nQUJD\\n", NULL, "written as \\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret s = {0};
        struct err err;
        bool ok = pem_decode(rd_of(rows[i].text, strlen(rows[i].text)), &s, &err);

        if (ok != (rows[i].want != NULL) || (!ok && !strstr(err.text, rows[i].why)))
            fail_msg("'%s': %s", rows[i].text, ok ? "decoded" : err.text);
        if (ok) {
            assert_int_equal(s.len, strlen(rows[i].want));
            assert_memory_equal(s.bytes, rows[i].want, s.len);
        } else {
            assert_null(s.bytes);
        }
        secret_free(&s);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_blocks),
        cmocka_unit_test(test_headers),
        cmocka_unit_test(test_decode),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
