/* SPDX-License-Identifier: Apache-2.0
 *
 * What a server may say, and what nobody should believe it.
 */
#include <string.h>
#include <unistd.h>

#include "tests/unit/libkeyd/fixture.h"

/* Nonsense is a fault at once: repeating would only ask for more of it. */
static void test_nonsense(void **state)
{
    static const struct {
        struct server_knobs knobs;
        int code;
    } rows[] = {
        {{.nonsense = NONSENSE_NONE}, KEYD_OK},
        {{.nonsense = NONSENSE_GARBAGE}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_NO_BODY}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_OVERSIZE}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_WRONG_ID}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_WRONG_KIND}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_NO_CODE}, KEYD_INTERNAL},
        {{.nonsense = NONSENSE_EMPTY}, KEYD_INTERNAL},
        {{.hello = HELLO_SILENT}, KEYD_INTERNAL},
        {{.hello = HELLO_VERSION}, KEYD_UNSUPPORTED},
        {{.hello = HELLO_REFUSED}, KEYD_UNSUPPORTED},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct server *s = new_server(&rows[i].knobs);
        struct keyd_client *c = new_client(10 * LATE_MS);
        struct keyd_error error = {0};
        uint64_t begun = now_ms();

        if (sign_once(c, &error) != rows[i].code)
            fail_msg("row %zu: %d %s", i, error.code, error.message);
        if (rows[i].code != KEYD_OK)
            assert_string_not_equal(error.message, "");
        assert_in_range(now_ms() - begun, 0, LATE_MS);
        assert_in_range(server_seen(s).requests, 0, 1);
        /* The next call gets a fresh connection and works. */
        server_set(s, &(struct server_knobs){0});
        assert_int_equal(sign_once(c, &error), KEYD_OK);
        keyd_client_free(c);
        server_stop(s, true);
    }
}

/* What comes behind the last answer must not be taken for part of the next. */
static void test_answered_twice(void **state)
{
    struct server *s = new_server(&(struct server_knobs){.nonsense = NONSENSE_TWICE});
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    for (uint32_t i = 1; i <= 4; i++) {
        server_set(s, &(struct server_knobs){.nonsense = NONSENSE_TWICE, .bytewise = i % 2});
        assert_int_equal(sign_once(c, &error), KEYD_OK);
        usleep(20000); /* by bytes, the second answer comes later */
        assert_int_equal(server_seen(s).connections, i);
    }
    keyd_client_free(c);
    server_stop(s, true);
}

static void test_one_byte_at_a_time(void **state)
{
    struct server *s = new_server(&(struct server_knobs){.bytewise = true});
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(sign_once(c, &error), KEYD_OK);
    assert_int_equal(server_seen(s).connections, 1);
    keyd_client_free(c);
    server_stop(s, true);
}

/* The connection breaks after each number of bytes, in the hello and in the answer. */
static void test_cut_anywhere(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_error error;

    (void)state;
    for (uint32_t n = 0; n < 130; n++) {
        struct keyd_client *c = new_client(LATE_MS);

        server_set(s, &(struct server_knobs){.close_armed = true, .close_at = n});
        if (sign_once(c, &error) != KEYD_OK)
            fail_msg("cut after %u bytes: %s", n, error.message);
        keyd_client_free(c);
    }
    keyd_client_free(NULL);
    server_stop(s, true);
}

/* keyd ends the connection with a reason: one that passes is waited for, another is the answer. */
static void test_goodbye(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;

    (void)state;
    server_set(s, &(struct server_knobs){.goodbye = 2, .fail_code = ERR_UNAVAILABLE});
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    server_set(s, &(struct server_knobs){.goodbye = 1, .fail_code = ERR_TOO_LARGE});
    assert_int_equal(sign_once(c, &error), KEYD_TOO_LARGE);
    server_set(s, &(struct server_knobs){.goodbye = 1, .fail_code = ERR_UNAVAILABLE});
    assert_int_equal(keyd_tenants_add(c, "acme", &error), KEYD_UNAVAILABLE);
    assert_int_equal(server_seen(s).changes, 1);
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    keyd_client_free(c);
    server_stop(s, true);
}

/* A request over keyd's limit is not sent; one over the protocol's not even on a fresh connection.
 */
static void test_large_requests(void **state)
{
    static uint8_t message[2u << 20];
    struct server *s = new_server(&(struct server_knobs){.max_frame = 4096});
    struct keyd_client *c = new_client(LATE_MS);
    struct keyd_error error;
    uint8_t sig[KEYD_SIGNATURE_MAX];
    size_t len = sizeof(sig);

    (void)state;
    assert_int_equal(
        keyd_sign(c, server_key_id(), 0x0403, message, sizeof(message), sig, &len, &error),
        KEYD_TOO_LARGE);
    assert_int_equal(sign_once(c, &error), KEYD_OK);
    assert_int_equal(keyd_sign(c, server_key_id(), 0x0403, message, 5000, sig, &len, &error),
                     KEYD_TOO_LARGE);
    assert_non_null(strstr(error.message, "4096"));
    assert_int_equal(keyd_sign(c, server_key_id(), 0x0403, message, 4000, sig, &len, &error),
                     KEYD_OK);
    assert_int_equal(server_seen(s).requests, 2);
    keyd_client_free(c);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nonsense),     cmocka_unit_test(test_one_byte_at_a_time),
        cmocka_unit_test(test_cut_anywhere), cmocka_unit_test(test_answered_twice),
        cmocka_unit_test(test_goodbye),      cmocka_unit_test(test_large_requests),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
