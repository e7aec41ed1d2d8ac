/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "keyd/process/table.h"
#include "tests/unit/test.h"

static struct table_key key(uint32_t n, uint64_t version)
{
    struct table_key k = {.version = version,
                          .type = 4,
                          .state = KEY_ENABLED,
                          .purposes = n,
                          .cka_id = {1, 2, 3},
                          .cka_id_len = 3,
                          .spki_len = n % TABLE_SPKI_MAX};

    for (size_t i = 0; i < TABLE_ID_LEN; i++)
        k.id[i] = (uint8_t)(n >> (i % 4 * 8));
    memset(k.spki, (int)n, k.spki_len);
    return k;
}

static void is_same(const struct table_key *a, const struct table_key *b)
{
    assert_memory_equal(a->id, b->id, TABLE_ID_LEN);
    assert_true(a->version == b->version);
    assert_int_equal(a->type, b->type);
    assert_int_equal(a->state, b->state);
    assert_int_equal(a->purposes, b->purposes);
    assert_int_equal(a->cka_id_len, b->cka_id_len);
    assert_memory_equal(a->cka_id, b->cka_id, a->cka_id_len);
    assert_int_equal(a->spki_len, b->spki_len);
    assert_memory_equal(a->spki, b->spki, a->spki_len);
}

static void finds_what_was_put(void **state)
{
    struct table t = {0};

    (void)state;
    assert_null(table_find(&t, key(1, 1).id));
    for (uint32_t n = 0; n < 3000; n++) {
        struct table_key k = key(n, n);

        assert_non_null(table_put(&t, &k));
    }
    assert_int_equal(t.count, 3000);
    assert_true(t.version == 2999);
    for (uint32_t n = 0; n < 3000; n++) {
        struct table_key k = key(n, n);

        is_same(table_find(&t, k.id), &k);
    }
    assert_null(table_find(&t, key(3000, 1).id));
    table_free(&t);
    assert_null(table_find(&t, key(1, 1).id));
}

static void the_newer_entry_wins_and_keeps_its_owner_s_part(void **state)
{
    struct table t = {0};
    struct table_key old = key(5, 10), newer = key(5, 11);
    int mine;

    (void)state;
    newer.state = KEY_MISSING;
    table_put(&t, &old)->user = &mine;
    struct table_key *k = table_put(&t, &newer);
    assert_int_equal(k->state, KEY_MISSING);
    assert_ptr_equal(k->user, &mine);
    assert_ptr_equal(table_put(&t, &old), k); /* too late */
    assert_int_equal(k->state, KEY_MISSING);
    assert_int_equal(t.count, 1);
    table_free(&t);
}

static void goes_through_a_sealed_file(void **state)
{
    struct table t = {0}, back = {0};
    struct err err;
    int fd;

    (void)state;
    for (uint32_t n = 0; n < 300; n++) {
        struct table_key k = key(n, 300 - n);

        assert_non_null(table_put(&t, &k));
    }
    t.version = 4711;
    assert_true(table_to_fd(&t, &fd, &err));
    assert_int_equal(write(fd, "x", 1), -1);
    assert_int_equal(ftruncate(fd, 0), -1);
    assert_true(table_from_fd(&back, fd, &err));
    close(fd);
    assert_int_equal(back.count, 300);
    assert_true(back.version == 4711);
    for (uint32_t n = 0; n < 300; n++)
        is_same(table_find(&back, key(n, 0).id), table_find(&t, key(n, 0).id));
    table_free(&t);
    table_free(&back);
}

static void an_empty_table_goes_through_too(void **state)
{
    struct table t = {.version = 3}, back = {0};
    struct err err;
    int fd;

    (void)state;
    assert_true(table_to_fd(&t, &fd, &err));
    assert_true(table_from_fd(&back, fd, &err));
    assert_int_equal(back.count, 0);
    assert_true(back.version == 3);
    close(fd);
}

static void unsealed_and_damaged_files_are_refused(void **state)
{
    struct table t = {0}, back = {0};
    struct table_key k = key(200, 1);
    uint8_t bytes[2048];
    struct err err;
    int fd;

    (void)state;
    assert_non_null(table_put(&t, &k));
    assert_true(table_to_fd(&t, &fd, &err));
    ssize_t len = pread(fd, bytes, sizeof(bytes), 0);
    close(fd);
    for (ssize_t cut = 1; cut <= len; cut += 13) {
        int damaged = memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING);

        assert_int_equal(write(damaged, bytes, (size_t)(len - cut)), len - cut);
        assert_false(table_from_fd(&back, damaged, &err)); /* not sealed */
        fcntl(damaged, F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE);
        assert_false(table_from_fd(&back, damaged, &err)); /* cut short */
        close(damaged);
    }
    table_free(&t);
    table_free(&back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put),
        cmocka_unit_test(the_newer_entry_wins_and_keeps_its_owner_s_part),
        cmocka_unit_test(goes_through_a_sealed_file),
        cmocka_unit_test(an_empty_table_goes_through_too),
        cmocka_unit_test(unsealed_and_damaged_files_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
