/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tests/unit/libkeyd/fixture.h"

#define MANY 500

static struct keyd_sign_item *new_items(size_t count, char (*messages)[32])
{
    struct keyd_sign_item *items = test_calloc(count, sizeof(*items));

    for (size_t i = 0; i < count; i++) {
        snprintf(messages[i], sizeof(messages[i]), "message %zu", i);
        memcpy(items[i].key_id, server_key_id(), KEYD_KEY_ID_LEN);
        items[i].scheme = 0x0403;
        items[i].message = (uint8_t *)messages[i];
        items[i].message_len = strlen(messages[i]);
    }
    return items;
}

static bool good(const struct keyd_sign_item *i)
{
    return i->code == KEYD_OK && server_verifies(i->message, i->message_len, i->sig, i->sig_len);
}

/* Each answer finds its item, in whatever order it comes, and keyd's window is respected. */
static void test_batches(void **state)
{
    static const struct {
        struct server_knobs knobs;
        size_t count;
        uint32_t most; /* in flight; 0: whatever */
    } rows[] = {
        {{0}, 0, 0},
        {{0}, 1, 1},
        {{.reverse = true}, 60, 64},
        {{.reverse = true, .max_in_flight = 7}, 30, 7},
        {{.max_in_flight = 1}, 20, 1},
        {{.max_in_flight = 4000}, MANY, 0},
        {{.max_in_flight = 64, .bytewise = true}, 20, 0},
        {{.fail = 3, .fail_code = ERR_BUSY, .fail_retry_ms = 5}, 20, 0},
        {{.drop = 2}, 20, 0},
        {{.close_armed = true, .close_at = 400}, 20, 0},
    };
    static char messages[MANY][32];

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(*rows); r++) {
        struct server *s = new_server(&rows[r].knobs);
        struct keyd_client *c = new_client(4 * LATE_MS);
        struct keyd_sign_item *items = new_items(rows[r].count, messages);
        struct keyd_error error = {0};

        if (keyd_sign_batch(c, items, rows[r].count, &error) != KEYD_OK)
            fail_msg("row %zu: %s", r, error.message);
        for (size_t i = 0; i < rows[r].count; i++)
            if (!good(&items[i]))
                fail_msg("row %zu, item %zu: code %d", r, i, items[i].code);
        if (rows[r].most)
            assert_in_range(server_seen(s).in_flight, 1, rows[r].most);
        if (rows[r].knobs.reverse)
            assert_in_range(server_seen(s).in_flight, 5, 64);
        test_free(items);
        keyd_client_free(c);
        server_stop(s, true);
    }
}

/* One bad item harms no other; the first bad one is the batch's error. */
static void test_mixed_batch(void **state)
{
    static char messages[6][32];
    struct server *s = new_server(&(struct server_knobs){.reverse = true});
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_sign_item *items = new_items(6, messages);
    struct keyd_error error;

    (void)state;
    items[2].scheme = 0x0804;
    items[4].key_id[0] ^= 1;
    assert_int_equal(keyd_sign_batch(c, items, 6, &error), KEYD_BAD_SCHEME);
    assert_int_equal(error.code, KEYD_BAD_SCHEME);
    for (size_t i = 0; i < 6; i++)
        if (i == 2)
            assert_int_equal(items[i].code, KEYD_BAD_SCHEME);
        else if (i == 4)
            assert_int_equal(items[i].code, KEYD_NOT_FOUND);
        else
            assert_true(good(&items[i]));
    test_free(items);
    keyd_client_free(c);
    server_stop(s, true);
}

/* What was answered before the deadline stays answered. */
static void test_late_batch(void **state)
{
    static char messages[4][32];
    struct server *s = new_server(&(struct server_knobs){.silent = true});
    struct keyd_client *c = new_client(200);
    struct keyd_sign_item *items = new_items(4, messages);
    struct keyd_error error;
    uint64_t begun = now_ms();

    (void)state;
    assert_int_equal(keyd_sign_batch(c, items, 4, &error), KEYD_DEADLINE);
    assert_in_range(now_ms() - begun, 190, 200 + LATE_MS);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(items[i].code, KEYD_DEADLINE);
    test_free(items);
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_no_room(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    uint8_t out[10] = "before";
    size_t len = sizeof(out);

    (void)state;
    assert_int_equal(keyd_sign(c, server_key_id(), 0x0403, out, 1, out, &len, &error),
                     KEYD_TOO_LARGE);
    assert_int_equal(keyd_get_public_key(c, server_key_id(), out, &len, &error), KEYD_TOO_LARGE);
    assert_int_equal(len, sizeof(out));
    assert_string_equal((char *)out, "before");
    /* An empty message is a message. */
    uint8_t sig[KEYD_SIGNATURE_MAX];
    len = sizeof(sig);
    assert_int_equal(keyd_sign(c, server_key_id(), 0x0403, NULL, 0, sig, &len, &error), KEYD_OK);
    assert_true(server_verifies(NULL, 0, sig, len));
    keyd_client_free(c);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_batches),
        cmocka_unit_test(test_mixed_batch),
        cmocka_unit_test(test_late_batch),
        cmocka_unit_test(test_no_room),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
