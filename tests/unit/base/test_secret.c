/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/secret.h"
#include "tests/unit/test.h"

static char *file_with(const char *text, mode_t mode)
{
    static char path[64];

    snprintf(path, sizeof(path), "/tmp/keyd-secret.XXXXXX");
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    return path;
}

static void reads_a_file_and_strips_one_newline(void **state)
{
    static const struct {
        const char *text, *want;
    } rows[] = {{"1234\n", "1234"}, {"1234", "1234"}, {"12\n\n", "12\n"}, {"", ""}, {"\n", ""}};

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        struct secret s;
        struct err err;
        char *path = file_with(rows[i].text, 0600);

        assert_true(secret_read_file(&s, path, 16, &err));
        assert_int_equal(s.len, strlen(rows[i].want));
        assert_memory_equal(s.bytes, rows[i].want, s.len);
        secret_free(&s);
        unlink(path);
    }
}

static void refuses_a_file_that_others_can_read_or_change(void **state)
{
    static const mode_t modes[] = {0644, 0604, 0620, 0602};

    (void)state;
    for (size_t i = 0; i < COUNT(modes); i++) {
        struct secret s;
        struct err err;
        char *path = file_with("1234\n", modes[i]);

        assert_false(secret_read_file(&s, path, 16, &err));
        assert_int_equal(err.code, ERR_DENIED);
        assert_contains(err.text, path);
        assert_contains(err.hint, "chmod 0600");
        unlink(path);
    }
}

static void refuses_what_is_missing_or_too_long(void **state)
{
    struct secret s;
    struct err err;
    char *path = file_with("0123456789", 0600);

    (void)state;
    assert_true(secret_read_file(&s, path, 10, &err));
    secret_free(&s);
    assert_false(secret_read_file(&s, path, 9, &err));
    assert_int_equal(err.code, ERR_TOO_LARGE);
    assert_null(strstr(err.text, "0123")); /* never the secret itself */
    unlink(path);
    assert_false(secret_read_file(&s, path, 9, &err));
    assert_int_equal(err.code, ERR_STORAGE);
}

static void random_ones_are_hex_and_differ(void **state)
{
    struct secret a, b;
    struct err err;

    (void)state;
    assert_true(secret_random_hex(&a, 32, &err));
    assert_true(secret_random_hex(&b, 32, &err));
    assert_int_equal(a.len, 32);
    for (size_t i = 0; i < a.len; i++)
        assert_non_null(memchr("0123456789abcdef", a.bytes[i], 16));
    assert_memory_not_equal(a.bytes, b.bytes, 32);
    secret_free(&a);
    secret_free(&b);
    secret_free(&b); /* an empty one is fine */
}

static void random_digits_are_digits(void **state)
{
    struct secret a, b;
    struct err err;
    unsigned seen[10] = {0};

    (void)state;
    assert_true(secret_random_digits(&a, 200, &err));
    assert_true(secret_random_digits(&b, 200, &err));
    assert_int_equal(a.len, 200);
    for (size_t i = 0; i < a.len; i++) {
        assert_true(a.bytes[i] >= '0' && a.bytes[i] <= '9');
        seen[a.bytes[i] - '0']++;
    }
    for (size_t i = 0; i < 10; i++)
        assert_true(seen[i] > 0); /* fails once in 140 million runs */
    assert_memory_not_equal(a.bytes, b.bytes, 200);
    assert_false(secret_equal(&a, &b));
    secret_free(&a);
    secret_free(&b);
}

static void equal_ones_are_equal(void **state)
{
    static const struct {
        const char *a, *b;
        bool equal;
    } rows[] = {
        {"", "", true},          {"1234", "1234", true}, {"1234", "1235", false},
        {"0234", "1234", false}, {"123", "1234", false}, {"", "1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct secret a = {.bytes = (uint8_t *)(uintptr_t)rows[i].a, .len = strlen(rows[i].a)};
        struct secret b = {.bytes = (uint8_t *)(uintptr_t)rows[i].b, .len = strlen(rows[i].b)};

        assert_int_equal(secret_equal(&a, &b), rows[i].equal);
        assert_int_equal(secret_equal(&b, &a), rows[i].equal);
    }
}

static void a_forked_child_sees_zeros(void **state)
{
    struct secret s;
    struct err err;
    int status;

    (void)state;
    assert_true(secret_random_hex(&s, 32, &err));
    pid_t pid = fork();
    if (pid == 0) {
        for (size_t i = 0; i < 32; i++)
            if (s.bytes[i] != 0)
                _exit(1);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_not_equal(s.bytes[0], 0);
    secret_free(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_a_file_and_strips_one_newline),
        cmocka_unit_test(refuses_a_file_that_others_can_read_or_change),
        cmocka_unit_test(refuses_what_is_missing_or_too_long),
        cmocka_unit_test(random_ones_are_hex_and_differ),
        cmocka_unit_test(random_digits_are_digits),
        cmocka_unit_test(equal_ones_are_equal),
        cmocka_unit_test(a_forked_child_sees_zeros),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
