/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/pins.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/test.h"

static char dir[96];

static const char *path(const char *name)
{
    static char p[256];

    snprintf(p, sizeof(p), "%s/%s", dir, name);
    return p;
}

static void write_file(const char *text)
{
    FILE *f = fopen(path("keydctl/import-keys"), "w");

    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    assert_int_equal(fclose(f), 0);
}

static const char *read_file(void)
{
    static char text[4096];
    FILE *f = fopen(path("keydctl/import-keys"), "r");

    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    return text;
}

static void clean(void)
{
    unlink(path("keydctl/import-keys"));
    rmdir(path("keydctl"));
    setenv("XDG_CONFIG_HOME", dir, 1);
}

static void check(const char *socket, int first_byte) /* -1: none */
{
    uint8_t pin[PIN_LEN] = {0};
    struct err err = {0};
    bool found;

    if (!pins_get(socket, pin, &found, &err))
        fail_msg("%s: %s", socket, err.text);
    assert_int_equal(found, first_byte >= 0);
    if (found)
        assert_int_equal(pin[0], first_byte);
}

static void set(const char *socket, uint8_t first_byte)
{
    uint8_t pin[PIN_LEN] = {first_byte};
    struct err err = {0};

    if (!pins_set(socket, pin, &err))
        fail_msg("%s: %s", socket, err.text);
}

static void test_parse(void **state)
{
    static const struct {
        const char *hex;
        bool ok;
    } rows[] = {
        {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", true},
        {"00112233445566778899AABBCCDDEEFF00112233445566778899AABBCCDDEEFF", true},
        {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeef", false},
        {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff0", false},
        {"00112233445566778899aabbccddeeff00112233445566778899aabbccddeefg", false},
        {"00:11:22:33", false},
        {"", false},
    };
    char hex[PIN_HEX_SIZE];

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        uint8_t pin[PIN_LEN] = {7};
        struct err err = {0};

        assert_int_equal(pin_parse(rows[i].hex, "--fingerprint", pin, &err), rows[i].ok);
        if (rows[i].ok)
            assert_int_equal(strcasecmp(pin_text(pin, hex), rows[i].hex), 0);
        else
            assert_contains(err.text, "--fingerprint is '");
        assert_int_equal(pin[0], rows[i].ok ? 0 : 7);
    }
}

static void test_set(void **state)
{
    struct stat st;
    struct err err;

    (void)state;
    clean();
    check("/run/a.sock", -1);
    assert_true(pins_set("/run/a.sock", NULL, &err)); /* nothing to remove */
    set("/run/a.sock", 1);
    set("/run/b with blanks.sock", 2);
    set("/run/a.sock2", 3);
    check("/run/a.sock", 1);
    check("/run/b with blanks.sock", 2);
    check("/run/a.sock2", 3);
    check("/run/a.soc", -1);
    set("/run/a.sock", 4);
    check("/run/a.sock", 4);
    check("/run/a.sock2", 3);
    assert_true(pins_set("/run/a.sock", NULL, &err));
    check("/run/a.sock", -1);
    check("/run/b with blanks.sock", 2);
    assert_int_equal(stat(path("keydctl/import-keys"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(stat(path("keydctl"), &st), 0);
    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(access(path("keydctl/import-keys.new"), F_OK), -1);
}

/* What a person wrote there stays. */
static void test_comments(void **state)
{
    char expected[512];

    (void)state;
    clean();
    set("/s", 1);
    snprintf(expected, sizeof(expected), "# mine\n\n%s/t\n",
             "0200000000000000000000000000000000000000000000000000000000000000 ");
    write_file(expected);
    check("/t", 2);
    set("/s", 3);
    assert_true(strncmp(read_file(), expected, strlen(expected)) == 0);
    check("/s", 3);
    /* without a newline at its end */
    write_file("0400000000000000000000000000000000000000000000000000000000000000 /t");
    check("/t", 4);
    set("/s", 5);
    check("/t", 4);
    check("/s", 5);
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"garbage\n", "is damaged: \"garbage\""},
        {"02000000000000000000000000000000000000000000000000000000000000 /t\n", "is damaged"},
        {"0200000000000000000000000000000000000000000000000000000000000000\n", "is damaged"},
        {"0200000000000000000000000000000000000000000000000000000000000000 \n", "is damaged"},
        {"0200000000000000000000000000000000000000000000000000000000000000 t\n", "is damaged"},
    };
    uint8_t pin[PIN_LEN] = {9};
    bool found = true;
    struct err err;

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        clean();
        set("/s", 1);
        write_file(rows[i].text);
        if (pins_get("/s", pin, &found, &err) || !strstr(err.text, rows[i].why))
            fail_msg("row %zu: %s", i, err.text);
        /* nor is such a file written over */
        assert_false(pins_set("/s", pin, &err));
        assert_string_equal(read_file(), rows[i].text);
    }
    clean();
    set("/s", 1);
    assert_int_equal(chmod(path("keydctl/import-keys"), 0620), 0);
    assert_false(pins_get("/s", pin, &found, &err));
    assert_int_equal(err.code, ERR_DENIED);
    assert_contains(err.text, "mode 0620: others can change it");
    assert_int_equal(chmod(path("keydctl/import-keys"), 0644), 0); /* who reads it learns nothing */
    assert_true(pins_get("/s", pin, &found, &err));
    assert_false(pins_set("/a\nb", pin, &err));
    assert_contains(err.text, "line break");
}

static void test_places(void **state)
{
    char home[128];
    struct err err;
    bool found;
    uint8_t pin[PIN_LEN];

    (void)state;
    clean();
    snprintf(home, sizeof(home), "%s/home", dir);
    assert_int_equal(mkdir(home, 0700), 0);
    setenv("HOME", home, 1);
    setenv("XDG_CONFIG_HOME", "relative", 1); /* which is to be ignored */
    set("/s", 6);
    check("/s", 6);
    assert_int_equal(access(path("home/.config/keydctl/import-keys"), R_OK), 0);
    unsetenv("XDG_CONFIG_HOME");
    check("/s", 6);
    unsetenv("HOME");
    assert_false(pins_get("/s", pin, &found, &err));
    assert_contains(err.text, "HOME is not set");
    assert_contains(err.hint, "--fingerprint");
    setenv("HOME", "/dev/null", 1);
    assert_false(pins_set("/s", pin, &err));
    assert_int_equal(err.code, ERR_STORAGE);
    assert_contains(err.hint, "--fingerprint");
    unlink(path("home/.config/keydctl/import-keys"));
    rmdir(path("home/.config/keydctl"));
    rmdir(path("home/.config"));
    rmdir(path("home"));
}

/* One socket has one pin, by whatever path it is called. */
static void test_links(void **state)
{
    char link[128], target[128], dotted[160];

    (void)state;
    clean();
    snprintf(target, sizeof(target), "%s/real.sock", dir);
    snprintf(link, sizeof(link), "%s/link.sock", dir);
    snprintf(dotted, sizeof(dotted), "%s/./real.sock", dir);
    close(open(target, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(symlink(target, link), 0);
    set(link, 1);
    check(target, 1);
    check(dotted, 1);
    unlink(link);
    unlink(target);
}

/* Several at once: none is lost. */
static void test_together(void **state)
{
    (void)state;
    clean();
    set("/first", 1);
    for (uint8_t i = 0; i < 8; i++)
        if (fork() == 0) {
            char socket[16];
            uint8_t pin[PIN_LEN] = {i};
            struct err err;

            snprintf(socket, sizeof(socket), "/s%u", i);
            _exit(pins_set(socket, pin, &err) ? 0 : 1);
        }
    for (int i = 0, status; i < 8; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    for (uint8_t i = 0; i < 8; i++) {
        char socket[16];

        snprintf(socket, sizeof(socket), "/s%u", i);
        check(socket, i);
    }
    check("/first", 1);
}

static int begin(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    snprintf(dir, sizeof(dir), "%s/pins.XXXXXX", tmp && tmp[0] ? tmp : "/tmp");
    return mkdtemp(dir) ? 0 : -1;
}

static int end(void **state)
{
    (void)state;
    clean();
    return rmdir(dir);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),    cmocka_unit_test(test_set),
        cmocka_unit_test(test_comments), cmocka_unit_test(test_refused),
        cmocka_unit_test(test_places),   cmocka_unit_test(test_links),
        cmocka_unit_test(test_together),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
