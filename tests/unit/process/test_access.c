/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/access.h"

#include <sys/mman.h>
#include <unistd.h>

#include "keyd/process/sealed.h"
#include "proto/base/mem.h"
#include "tests/unit/test.h"

#define GRANTS 300
#define TOKENS 40

static void name(char buf[TABLE_NAME_MAX + 1], char letter, size_t len)
{
    memset(buf, letter, len);
    buf[len] = '\0';
}

static struct access sample(struct access_grant *grants, struct access_token *tokens)
{
    for (size_t i = 0; i < GRANTS; i++) {
        grants[i] = (struct access_grant){.id = UINT64_MAX - i, .purposes = (uint32_t)i};
        name(i % 2 ? grants[i].principal : grants[i].group, 'p', i % (TABLE_NAME_MAX + 1));
        name(grants[i].tenant, 't', i % 3 ? 0 : TABLE_NAME_MAX);
        memset(grants[i].key, (int)i, sizeof(grants[i].key));
    }
    for (size_t i = 0; i < TOKENS; i++) {
        tokens[i] = (struct access_token){.role = (uint32_t)i, .expires = UINT64_MAX - i};
        memset(tokens[i].hash, (int)i, sizeof(tokens[i].hash));
        name(tokens[i].name, 'n', TABLE_NAME_MAX);
    }
    return (struct access){.version = 77,
                           .grants = grants,
                           .grant_count = GRANTS,
                           .tokens = tokens,
                           .token_count = TOKENS};
}

static void there_and_back(void **state)
{
    static struct access_grant grants[GRANTS];
    static struct access_token tokens[TOKENS];
    const struct access a = sample(grants, tokens);
    struct access b = {0};
    struct err err;
    int fd;

    (void)state;
    assert_true(access_to_fd(&a, &fd, &err));
    assert_true(access_from_fd(&b, fd, &err));
    assert_true(b.version == 77);
    assert_int_equal(b.grant_count, GRANTS);
    assert_int_equal(b.token_count, TOKENS);
    for (size_t i = 0; i < GRANTS; i++)
        assert_memory_equal(&b.grants[i], &grants[i], sizeof(grants[i]));
    for (size_t i = 0; i < TOKENS; i++)
        assert_memory_equal(&b.tokens[i], &tokens[i], sizeof(tokens[i]));
    access_free(&b);
    assert_int_equal(b.grant_count, 0);
    assert_null(b.grants);
    close(fd);
}

static void nothing_is_a_table_too(void **state)
{
    const struct access none = {.version = 1};
    struct access b = {0};
    struct err err;
    int fd;

    (void)state;
    assert_true(access_to_fd(&none, &fd, &err));
    assert_true(access_from_fd(&b, fd, &err));
    assert_true(b.version == 1);
    assert_int_equal(b.grant_count + b.token_count, 0);
    access_free(&b);
    close(fd);
}

static bool reads(const uint8_t *bytes, size_t len)
{
    struct access b = {.version = 3};
    struct err err;
    int fd;

    assert_true(sealed_make("a table", bytes, len, &fd, &err));
    bool ok = access_from_fd(&b, fd, &err);
    if (!ok)
        assert_true(b.version == 3 && !b.grants && !b.tokens); /* untouched */
    access_free(&b);
    close(fd);
    return ok;
}

/* Cut anywhere, longer by a byte, another magic, counts beyond what is there. */
static void damaged(void **state)
{
    static struct access_grant grants[GRANTS];
    static struct access_token tokens[TOKENS];
    struct access a = sample(grants, tokens);
    uint8_t bytes[4096];
    const uint8_t *p;
    struct err err;
    size_t len;
    int fd;

    (void)state;
    a.grant_count = 2;
    a.token_count = 1;
    assert_true(access_to_fd(&a, &fd, &err));
    assert_true(sealed_map("a table", fd, &p, &len, &err));
    assert_true(len < sizeof(bytes));
    memcpy(bytes, p, len);
    munmap((void *)(uintptr_t)p, len);
    close(fd);
    assert_true(reads(bytes, len));
    for (size_t cut = 1; cut < len; cut++)
        assert_false(reads(bytes, cut));
    bytes[len] = 0;
    assert_false(reads(bytes, len + 1));
    for (size_t i = 0; i < 8; i++) {
        bytes[i] ^= 1;
        assert_false(reads(bytes, len));
        bytes[i] ^= 1;
    }
    for (size_t i = 16; i < 24; i++) { /* the two counts */
        bytes[i] ^= 0x40;
        assert_false(reads(bytes, len));
        bytes[i] ^= 0x40;
    }
    assert_true(reads(bytes, len));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(nothing_is_a_table_too),
        cmocka_unit_test(damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
