/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>

#include "proto/frame.h"
#include "proto/keys.h"
#include "tests/unit/test.h"

static envelope *decode(struct arena *a, const uint8_t *frame, size_t len)
{
    struct err err = {0};
    size_t body;

    assert_int_equal(frame_peek(frame, len, FRAME_CAP_SIGNING, &body), FRAME_WHOLE);
    envelope *e = frame_decode(a, frame + FRAME_HEAD, body, &err);
    assert_non_null(e);
    assert_int_equal(err.code, ERR_NONE);
    return e;
}

static void a_request_goes_both_ways(void **state)
{
    uint8_t id[KEY_ID_LEN] = {1, 2, 3}, out[512];
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    struct arena a = arena_of(65536);

    (void)state;
    sign.key_id = (ProtobufCBinaryData){sizeof(id), id};
    sign.scheme = 0x0403;
    sign.message = (ProtobufCBinaryData){5, (uint8_t *)"hello"};
    e.id = 77;
    e.deadline_ms = 500;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    size_t len = frame_encode(&e, out);
    assert_int_equal(len, frame_size(&e));
    envelope *back = decode(&a, out, len);
    assert_int_equal(back->id, 77);
    assert_int_equal(back->deadline_ms, 500);
    assert_int_equal(back->body_case, KEYD__V1__ENVELOPE__BODY_SIGN);
    assert_int_equal(back->sign->scheme, 0x0403);
    assert_memory_equal(back->sign->message.data, "hello", 5);
    assert_memory_equal(back->sign->key_id.data, id, sizeof(id));
    arena_free(&a);
}

static void peek_waits_for_the_whole_frame_and_keeps_the_cap(void **state)
{
    static const uint8_t frame[] = {0, 0, 0, 3, 1, 2, 3, 4};
    static const uint8_t big[] = {0, 1, 0, 1};
    size_t len;

    (void)state;
    for (size_t n = 0; n < 7; n++)
        assert_int_equal(frame_peek(frame, n, 100, &len), FRAME_PART);
    assert_int_equal(frame_peek(frame, 7, 100, &len), FRAME_WHOLE);
    assert_int_equal(len, 3);
    assert_int_equal(frame_peek(frame, 8, 3, &len), FRAME_WHOLE);
    assert_int_equal(frame_peek(frame, 8, 2, &len), FRAME_OVERSIZE);
    assert_int_equal(frame_peek(big, 4, FRAME_CAP_SIGNING, &len), FRAME_OVERSIZE);
    assert_int_equal(len, 65537);
    assert_int_equal(frame_peek((const uint8_t *)"\xff\xff\xff\xff", 4, FRAME_CAP_CONTROL, &len),
                     FRAME_OVERSIZE);
}

static void garbage_is_refused(void **state)
{
    static const char *const garbage[] = {"\xff\xff\xff\xff", "GET / HTTP/1.1\r\n\r\n", "\x08",
                                          "\x12\x7f"};
    struct arena a = arena_of(65536);

    (void)state;
    for (size_t i = 0; i < COUNT(garbage); i++) {
        struct err err = {0};

        assert_null(frame_decode(&a, (const uint8_t *)garbage[i], strlen(garbage[i]), &err));
        assert_int_equal(err.code, ERR_BAD_REQUEST);
    }
    arena_free(&a);
}

/* A newer peer's request: its id can still be answered. */
static void an_unknown_body_keeps_its_id(void **state)
{
    static const uint8_t newer[] = {0x08, 0x2a, 0xca, 0x3e, 0x00}; /* id 42; field 1001, empty */
    struct arena a = arena_of(65536);
    struct err err = {0};
    envelope *e = frame_decode(&a, newer, sizeof(newer), &err);

    (void)state;
    assert_non_null(e);
    assert_int_equal(e->id, 42);
    assert_int_equal(err.code, ERR_UNSUPPORTED);
    arena_free(&a);
}

static void an_arena_bounds_what_a_sender_can_claim(void **state)
{
    struct arena a = arena_of(64);
    uint8_t out[4096], message[2000] = {0};
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    struct err err;

    (void)state;
    sign.message = (ProtobufCBinaryData){sizeof(message), message};
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    size_t len = frame_encode(&e, out);
    assert_null(frame_decode(&a, out + FRAME_HEAD, len - FRAME_HEAD, &err));
    arena_free(&a);
}

static void errors_go_both_ways(void **state)
{
    struct err err, back;
    Keyd__V1__Error message;

    (void)state;
    err_set(&err, ERR_BUSY, "too much");
    err_hint(&err, "wait");
    err_retry(&err, 12);
    frame_error_of(&err, &message);
    assert_int_equal(message.code, KEYD__V1__ERROR_CODE__ERROR_CODE_BUSY);
    assert_false(frame_error_to(&message, &back));
    assert_int_equal(back.code, ERR_BUSY);
    assert_string_equal(back.text, "too much");
    assert_string_equal(back.hint, "wait");
    assert_int_equal(back.retry_after_ms, 12);
}

/* ---- golden frames
 *
 * golden.frames holds one frame a line, in hex, with its name: what version 1 looks like on the
 * wire for ever. A difference here breaks every client out there. */

static size_t golden(const char *name, uint8_t *out, size_t size)
{
    char line[2048], file_name[64], hex[1900];
    FILE *f = fopen(GOLDEN_FRAMES, "r");
    size_t len = 0;

    assert_non_null(f);
    while (len == 0 && fgets(line, sizeof(line), f)) {
        if (sscanf(line, "%63s %1899s", file_name, hex) != 2 || strcmp(file_name, name) != 0)
            continue;
        len = strlen(hex) / 2;
        assert_true(len <= size);
        assert_true(hex_decode(hex, out, len));
    }
    fclose(f);
    if (len == 0)
        fail_msg("no golden frame \"%s\"", name);
    return len;
}

static void is_golden(const char *name, const envelope *e)
{
    uint8_t ours[1024], want[1024];
    char hex[2049];
    size_t len = frame_encode(e, ours), want_len;

    if (getenv("PRINT_GOLDEN")) { /* to add a new one; never to change an old one */
        printf("%s %s\n", name, hex_encode(ours, len, hex));
        return;
    }
    want_len = golden(name, want, sizeof(want));
    assert_int_equal(len, want_len);
    assert_memory_equal(ours, want, len);
}

static void frames_are_golden(void **state)
{
    uint8_t id[KEY_ID_LEN];
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;
    Keyd__V1__HelloReply hello_reply = KEYD__V1__HELLO_REPLY__INIT;
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    Keyd__V1__SignReply sign_reply = KEYD__V1__SIGN_REPLY__INIT;
    Keyd__V1__Error error = KEYD__V1__ERROR__INIT;
    Keyd__V1__KeysGenerate generate = KEYD__V1__KEYS_GENERATE__INIT;

    (void)state;
    for (size_t i = 0; i < sizeof(id); i++)
        id[i] = (uint8_t)i;
    hello.version_min = hello.version_max = 1;
    hello.client = (char *)"test";
    e.id = 1;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    is_golden("hello", &e);
    hello_reply.version = 1;
    hello_reply.server = (char *)"keyd 0.1.0";
    hello_reply.max_frame = FRAME_CAP_SIGNING;
    hello_reply.max_in_flight = 256;
    hello_reply.default_deadline_ms = 2000;
    hello_reply.max_deadline_ms = 120000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO_REPLY;
    e.hello_reply = &hello_reply;
    is_golden("hello-reply", &e);
    sign.key_id = (ProtobufCBinaryData){sizeof(id), id};
    sign.scheme = 0x0403;
    sign.message = (ProtobufCBinaryData){3, (uint8_t *)"abc"};
    e.id = 300;
    e.deadline_ms = 2000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    is_golden("sign", &e);
    e.deadline_ms = 0;
    sign_reply.signature = (ProtobufCBinaryData){4, (uint8_t *)"\x30\x02\x01\x00"};
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN_REPLY;
    e.sign_reply = &sign_reply;
    is_golden("sign-reply", &e);
    error.code = KEYD__V1__ERROR_CODE__ERROR_CODE_BUSY;
    error.message = (char *)"full";
    error.hint = (char *)"wait";
    error.retry_after_ms = 5;
    e.body_case = KEYD__V1__ENVELOPE__BODY_ERROR;
    e.error = &error;
    is_golden("error", &e);
    generate.tenant = (char *)"acme";
    generate.name = (char *)"www";
    generate.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    generate.purposes = PURPOSES_DEFAULT;
    e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE;
    e.keys_generate = &generate;
    is_golden("keys-generate", &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_goes_both_ways),
        cmocka_unit_test(peek_waits_for_the_whole_frame_and_keeps_the_cap),
        cmocka_unit_test(garbage_is_refused),
        cmocka_unit_test(an_unknown_body_keeps_its_id),
        cmocka_unit_test(an_arena_bounds_what_a_sender_can_claim),
        cmocka_unit_test(errors_go_both_ways),
        cmocka_unit_test(frames_are_golden),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
