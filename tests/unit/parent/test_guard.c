/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/guard.h"
#include "tests/unit/test.h"

static char folder[64], file[128];

static void write_file(const char *text)
{
    int fd = open(file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

static void holds(const char *text)
{
    char bytes[64] = {0};
    int fd = open(file, O_RDONLY);

    assert_true(fd >= 0);
    assert_true(read(fd, bytes, sizeof(bytes) - 1) >= 0);
    close(fd);
    assert_string_equal(bytes, text);
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/keyd-guard.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/token.object", folder);
    return 0;
}

static int tear_down(void **state)
{
    char command[96];

    (void)state;
    for (size_t i = 0; i < 4; i++) {
        static const char *const names[] = {"guard/copy", "guard/path", "token.object", "guard"};

        snprintf(command, sizeof(command), "%s/%s", folder, names[i]);
        remove(command);
    }
    return rmdir(folder);
}

static bool mend(struct guard *g)
{
    struct err err;
    bool mended;

    assert_true(guard_mend(g, &mended, &err));
    return mended;
}

static void puts_an_emptied_file_back(void **state)
{
    struct guard g;
    struct err err;
    struct stat st;

    (void)state;
    write_file("master keys");
    assert_true(guard_open(&g, folder, &err));
    assert_true(guard_learn(&g, file, &err));
    assert_false(mend(&g));
    write_file("");
    assert_true(mend(&g));
    holds("master keys");
    write_file("master");
    assert_true(mend(&g));
    holds("master keys");
    unlink(file);
    assert_true(mend(&g));
    holds("master keys");
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

/* After a restart of keyd: what was learnt is known. */
static void remembers(void **state)
{
    struct guard g, later;
    struct err err;

    (void)state;
    write_file("master keys");
    assert_true(guard_open(&g, folder, &err));
    assert_true(guard_learn(&g, file, &err));
    write_file("");
    assert_true(guard_open(&later, folder, &err));
    assert_string_equal(later.path, file);
    assert_true(mend(&later));
    holds("master keys");
}

static void a_changed_file_of_full_length_is_left_alone(void **state)
{
    struct guard g;
    struct err err;

    (void)state;
    write_file("master keys");
    assert_true(guard_open(&g, folder, &err));
    assert_true(guard_learn(&g, file, &err));
    write_file("MASTER KEYS");
    assert_false(mend(&g));
    holds("MASTER KEYS");
    assert_true(guard_learn(&g, file, &err));
    write_file("x");
    assert_true(mend(&g));
    holds("MASTER KEYS");
}

static void knows_nothing_at_first(void **state)
{
    struct guard g;
    struct err err;

    (void)state;
    assert_true(guard_open(&g, folder, &err));
    assert_string_equal(g.path, "");
    assert_false(mend(&g));
}

static void learns_no_empty_and_no_foreign_file(void **state)
{
    struct guard g;
    struct err err;
    char outside[200];

    (void)state;
    write_file("good");
    assert_true(guard_open(&g, folder, &err));
    assert_true(guard_learn(&g, file, &err));
    write_file("");
    assert_false(guard_learn(&g, file, &err));
    assert_true(mend(&g));
    holds("good");
    assert_false(guard_learn(&g, "/etc/passwd", &err));
    snprintf(outside, sizeof(outside), "%s/../passwd", folder);
    assert_false(guard_learn(&g, outside, &err));
    assert_string_equal(g.path, file);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(puts_an_emptied_file_back),
        T(remembers),
        T(a_changed_file_of_full_length_is_left_alone),
        T(knows_nothing_at_first),
        T(learns_no_empty_and_no_foreign_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
