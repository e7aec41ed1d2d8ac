/* SPDX-License-Identifier: Apache-2.0
 *
 * A PIN file in a folder of its own, for the tests of pin.c and pin_change.c.
 */
#ifndef KEYD_TESTS_PARENT_PINS_H
#define KEYD_TESTS_PARENT_PINS_H

#include "tests/unit/test.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "keyd/pin.h"

static char folder[64], file[80];

static const char *beside(const char *suffix)
{
    static char name[100];

    snprintf(name, sizeof(name), "%s%s", file, suffix);
    return name;
}

static void put_file(const char *suffix, const char *text, mode_t mode)
{
    int fd = open(beside(suffix), O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, mode), 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    close(fd);
}

/* What stands in a file; NULL: it is not there. */
static const char *in_file(const char *suffix)
{
    static char text[300];
    int fd = open(beside(suffix), O_RDONLY);

    if (fd < 0)
        return NULL;
    ssize_t n = read(fd, text, sizeof(text) - 1);
    assert_true(n >= 0);
    close(fd);
    text[n] = 0;
    text[strcspn(text, "\n")] = 0;
    return text;
}

static bool is(const struct secret *s, const char *text)
{
    return s->len == strlen(text) && memcmp(s->bytes, text, s->len) == 0;
}

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/keyd-pin.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/user.pin", folder);
    put_file("", "old\n", 0600);
    const struct timespec long_ago[2] = {{.tv_sec = 1000000000}, {.tv_sec = 1000000000}};
    return utimensat(AT_FDCWD, file, long_ago, 0);
}

static int tear_down(void **state)
{
    static const char *const names[] = {"", ".new", ".next", ".token", ".away"};

    (void)state;
    for (size_t i = 0; i < COUNT(names); i++)
        remove(beside(names[i]));
    return rmdir(folder);
}

#define T(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

#endif
