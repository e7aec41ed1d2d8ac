/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/sealed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/unit/test.h"

#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static const uint8_t bytes[] = {1, 2, 3, 4, 5};

static void there_and_back(void **state)
{
    const uint8_t *p;
    struct err err;
    size_t len;
    int fd;

    (void)state;
    assert_true(sealed_make("x", bytes, sizeof(bytes), &fd, &err));
    assert_true(sealed_map("x", fd, &p, &len, &err));
    assert_int_equal(len, sizeof(bytes));
    assert_memory_equal(p, bytes, len);
    munmap((void *)(uintptr_t)p, len);
    close(fd);
}

static void nobody_changes_it(void **state)
{
    struct err err;
    int fd;

    (void)state;
    assert_true(sealed_make("x", bytes, sizeof(bytes), &fd, &err));
    assert_int_equal(pwrite(fd, "x", 1, 0), -1);
    assert_int_equal(ftruncate(fd, 1), -1);
    assert_int_equal(ftruncate(fd, 100), -1);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), -1);
    assert_ptr_equal(mmap(NULL, 5, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0), MAP_FAILED);
    close(fd);
}

static bool maps(int fd)
{
    const uint8_t *p = bytes;
    struct err err;
    size_t len = 99;
    bool ok = sealed_map("the table", fd, &p, &len, &err);

    if (ok) {
        munmap((void *)(uintptr_t)p, len);
        return true;
    }
    assert_contains(err.text, "the table");
    assert_ptr_equal(p, bytes);
    assert_int_equal(len, 99);
    return false;
}

static int memory_file(int seals, size_t len)
{
    int fd = memfd_create("x", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fcntl(fd, F_ADD_SEALS, seals), 0);
    return fd;
}

/* Whatever the writer could still change, or no memory file at all. */
static void only_what_is_sealed_is_mapped(void **state)
{
    static const int missing[] = {F_SEAL_SEAL, F_SEAL_SHRINK, F_SEAL_GROW, F_SEAL_WRITE};
    char path[] = "/tmp/keyd-sealed-XXXXXX";
    int ends[2];

    (void)state;
    for (size_t i = 0; i < COUNT(missing); i++) {
        int fd = memory_file(SEALS & ~missing[i], 5);

        assert_false(maps(fd));
        close(fd);
    }
    int empty = memory_file(SEALS, 0), full = memory_file(SEALS, 5), file = mkstemp(path);
    assert_false(maps(empty));
    assert_true(maps(full));
    assert_int_equal(write(file, bytes, 5), 5);
    assert_false(maps(file));
    assert_int_equal(pipe(ends), 0);
    assert_false(maps(ends[0]));
    assert_false(maps(-1));
    unlink(path);
    for (int i = 0; i < 2; i++)
        close(ends[i]);
    close(empty);
    close(full);
    close(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(nobody_changes_it),
        cmocka_unit_test(only_what_is_sealed_is_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
