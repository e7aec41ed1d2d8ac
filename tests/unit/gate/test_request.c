/* SPDX-License-Identifier: Apache-2.0
 *
 * Requests: who may ask for what where, and what is refused before a signer hears of it.
 */
#include "tests/unit/gate/rig.h"

#include <stdio.h>
#include <time.h>

#include "proto/base/clock.h"

#define BODY(x) KEYD__V1__ENVELOPE__BODY_##x

static struct rig r;

static int tear_down(void **state)
{
    (void)state;
    return rig_down(&r);
}

static void up(enum proc which)
{
    struct limits limits = rig_limits();

    rig_up(&r, which, &limits);
}

static void get_public_key(struct client *c, uint64_t id, const uint8_t *key_id, size_t len)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__GetPublicKey get = KEYD__V1__GET_PUBLIC_KEY__INIT;

    get.key_id = (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)key_id, .len = len};
    e.id = id;
    e.body_case = BODY(GET_PUBLIC_KEY);
    e.get_public_key = &get;
    client_send(c, &e);
}

static void sign(struct client *c, uint64_t id, uint8_t key, size_t id_len, uint32_t scheme)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Sign s = KEYD__V1__SIGN__INIT;
    uint8_t key_id[64], message[] = "m";

    memset(key_id, key, sizeof(key_id));
    s.key_id = (ProtobufCBinaryData){.data = key_id, .len = id_len};
    s.scheme = scheme;
    s.message = (ProtobufCBinaryData){.data = message, .len = 1};
    e.id = id;
    e.body_case = BODY(SIGN);
    e.sign = &s;
    client_send(c, &e);
}

/* ---- public keys */

static void public_keys_are_told(void **state)
{
    static const uint8_t numbers[] = {KEY_EC, KEY_RSA, KEY_GONE};

    (void)state;
    for (int which = 0; which < 2; which++) {
        up(which ? PROC_GATE_CONTROL : PROC_GATE_SIGNING);
        struct client *c = rig_client(&r);
        for (size_t i = 0; i < COUNT(numbers); i++) {
            struct table_key key = rig_key(numbers[i]);

            get_public_key(c, i, key.id, sizeof(key.id));
            const envelope *e = client_expect(c, i, BODY(GET_PUBLIC_KEY_REPLY));
            assert_int_equal(e->get_public_key_reply->purposes, key.purposes);
            assert_int_equal(e->get_public_key_reply->spki.len, key.spki_len);
            assert_memory_equal(e->get_public_key_reply->spki.data, key.spki, key.spki_len);
        }
        assert_int_equal(rig_down(&r), 0);
    }
    up(PROC_GATE_SIGNING);
}

static void public_keys_that_there_are_not(void **state)
{
    static const size_t lengths[] = {0, 1, 31, 33, 64};
    uint8_t id[64];

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = rig_client(&r);
    memset(id, KEY_UNKNOWN, sizeof(id));
    get_public_key(c, 1, id, KEY_ID_LEN);
    client_refused(c, 1, ERR_NOT_FOUND, "no key that you may use has the id 0909090909090909...");
    id[0] = KEY_EC; /* the hash's first bytes are not all of it */
    get_public_key(c, 2, id, KEY_ID_LEN);
    client_refused(c, 2, ERR_NOT_FOUND, "keys-list");
    for (size_t i = 0; i < COUNT(lengths); i++) {
        get_public_key(c, 3, id, lengths[i]);
        client_refused(c, 3, ERR_BAD_REQUEST, "SHA-256");
    }
    client_alive(c);
}

/* ---- sign */

static void signatures_that_no_signer_is_asked_for(void **state)
{
    static const struct {
        uint8_t key;
        size_t len;
        uint32_t scheme;
        enum err_code code;
        const char *part;
    } rows[] = {
        {KEY_UNKNOWN, 32, 0x0403, ERR_NOT_FOUND, "no key that you may use has the id"},
        {KEY_EC, 0, 0x0403, ERR_BAD_REQUEST, "a key id of 0 bytes"},
        {KEY_EC, 31, 0x0403, ERR_BAD_REQUEST, "a key id of 31 bytes"},
        {KEY_EC, 33, 0x0403, ERR_BAD_REQUEST, "a key id of 33 bytes"},
        {KEY_EC, 32, 0, ERR_BAD_SCHEME, "0x0000"},
        {KEY_EC, 32, 0x9999, ERR_BAD_SCHEME, "0x9999"},
        {KEY_EC, 32, 0x10403, ERR_BAD_SCHEME, "0x10403"},
        {KEY_EC, 32, 0x0201, ERR_BAD_SCHEME, "0x0201"}, /* rsa_pkcs1_sha1 */
        {KEY_GONE, 32, 0x0403, ERR_UNAVAILABLE, "does not show this key"},
    };

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = rig_client(&r);
    for (size_t i = 0; i < COUNT(rows); i++) {
        sign(c, i, rows[i].key, rows[i].len, rows[i].scheme);
        client_refused(c, i, rows[i].code, rows[i].part);
    }
    assert_true(rig_quiet(&r, &r.signers[0]));
    assert_int_equal(rig_stats(&r).refused_total, COUNT(rows));
    assert_int_equal(rig_logged(&r, "sign failed"), COUNT(rows));
    sign(c, 50, KEY_EC, 32, 0x0403);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    assert_int_equal(ask.key, KEY_EC);
    assert_int_equal(ask.scheme, 0x0403);
    rig_signs(&r.signers[0], &ask, 10);
    client_signed(c, 50, "m");
}

/* The largest message that a frame can hold reaches the signer, to be judged there. */
static void the_longest_message_goes_through(void **state)
{
    static uint8_t message[FRAME_CAP_SIGNING];
    envelope e = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__Sign s = KEYD__V1__SIGN__INIT;
    struct table_key key = rig_key(KEY_EC);

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = rig_client(&r);
    s.key_id = (ProtobufCBinaryData){.data = key.id, .len = sizeof(key.id)};
    s.scheme = 0x0403;
    s.message = (ProtobufCBinaryData){.data = message, .len = sizeof(message)};
    e.body_case = BODY(SIGN); /* id 0 takes no room */
    e.sign = &s;
    while (frame_size(&e) > FRAME_HEAD + FRAME_CAP_SIGNING)
        s.message.len--;
    assert_int_equal(frame_size(&e), FRAME_HEAD + FRAME_CAP_SIGNING);
    client_send(c, &e);
    struct rig_ask ask = rig_asked(&r.signers[0]);
    assert_int_equal(ask.len, s.message.len);
    rig_refuses(&r.signers[0], &ask, ERR_BAD_SHAPE);
    client_refused(c, 0, ERR_BAD_SHAPE, "no signature");
}

static void without_a_table_nothing_is_known(void **state)
{
    struct limits limits = rig_limits();
    struct table_key key = rig_key(KEY_EC);

    (void)state;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    struct client *c = rig_client(&r);
    sign(c, 1, KEY_EC, 32, 0x0403);
    assert_true(client_refused(c, 1, ERR_UNAVAILABLE, "is starting")->retry_after_ms > 0);
    get_public_key(c, 2, key.id, sizeof(key.id));
    assert_true(client_refused(c, 2, ERR_UNAVAILABLE, "is starting")->retry_after_ms > 0);
    rig_table(&r);
    rig_stats(&r);
    get_public_key(c, 3, key.id, sizeof(key.id));
    client_expect(c, 3, BODY(GET_PUBLIC_KEY_REPLY));
}

/* ---- verbs */

/* An empty message of that kind. */
static void send_body(struct client *c, uint64_t id, Keyd__V1__Envelope__BodyCase body)
{
    envelope e = KEYD__V1__ENVELOPE__INIT;
    uint8_t frame[64];

    e.id = id;
    size_t len = client_frame(&e, frame, sizeof(frame));
    unsigned tag = (unsigned)body << 3 | 2; /* bytes follow: none */
    if (tag > 127) {
        frame[len++] = (uint8_t)(tag | 0x80);
        frame[len++] = (uint8_t)(tag >> 7);
    } else {
        frame[len++] = (uint8_t)tag;
    }
    frame[len++] = 0;
    frame[3] = (uint8_t)(len - FRAME_HEAD);
    client_raw(c, frame, len);
}

/* What belongs to control.sock is not to be had on keyd.sock. */
static void operators_verbs_are_refused_to_frontends(void **state)
{
    static const Keyd__V1__Envelope__BodyCase verbs[] = {
        BODY(TENANTS_ADD), BODY(TENANTS_LIST), BODY(KEYS_GENERATE), BODY(KEYS_LIST),
        BODY(KEYS_SHOW),   BODY(CREATE_CSR),   BODY(TOKEN_OBJECTS), BODY(STATUS),
    };

    (void)state;
    up(PROC_GATE_SIGNING);
    struct client *c = rig_client(&r);
    for (size_t i = 0; i < COUNT(verbs); i++) {
        send_body(c, i + 1, verbs[i]);
        client_refused(c, i + 1, ERR_DENIED, "needs the role operator");
    }
    client_alive(c);
    assert_true(rig_quiet(&r, &r.signers[0]));
}

/* Only what a client may say is a request: not an answer, on neither socket. */
static void answers_are_no_requests(void **state)
{
    static const Keyd__V1__Envelope__BodyCase bodies[] = {
        BODY(ERROR),           BODY(HELLO_REPLY),         BODY(PING_REPLY),   BODY(SIGN_REPLY),
        BODY(KEYS_LIST_REPLY), BODY(TOKEN_OBJECTS_REPLY), BODY(STATUS_REPLY),
    };

    (void)state;
    for (int which = 0; which < 2; which++) {
        up(which ? PROC_GATE_CONTROL : PROC_GATE_SIGNING);
        struct client *c = rig_client(&r);
        for (size_t i = 0; i < COUNT(bodies); i++) {
            send_body(c, i + 1, bodies[i]);
            client_refused(c, i + 1, ERR_UNSUPPORTED, "no request that keyd");
        }
        client_alive(c);
        assert_true(rig_quiet(&r, which ? &r.custodian : &r.signers[0]));
        if (!which)
            assert_int_equal(rig_down(&r), 0);
    }
}

/* ---- deadlines and memory */

static void refused_after(struct client *c, uint32_t deadline_ms, uint64_t ms)
{
    uint64_t begun = clock_us();
    char text[64];

    snprintf(text, sizeof(text), "within the deadline of %u ms", (unsigned)ms);
    client_sign(c, 1, KEY_EC, deadline_ms, "late");
    client_refused(c, 1, ERR_DEADLINE, text);
    assert_true(clock_us() - begun >= ms * 1000);
}

static void deadlines_have_a_default_and_a_maximum(void **state)
{
    struct limits limits = rig_limits();

    (void)state;
    limits.default_deadline_ms = 50;
    limits.max_deadline_ms = 100;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    rig_table(&r); /* no signer: everything waits for its deadline */
    rig_stats(&r);
    struct client *c = rig_client(&r);
    refused_after(c, 0, 50);
    refused_after(c, 20, 20);
    refused_after(c, 60000, 100);
    assert_int_equal(rig_stats(&r).busy_total, 3);
}

/* Requests that wait are counted too: else a few connections could fill any memory. */
static void memory_for_requests_is_limited(void **state)
{
    enum { LEN = 60000, CALLS = 15 };
    static char text[LEN + 1];
    struct limits limits = rig_limits();
    size_t waiting = 0;

    (void)state;
    memset(text, 'x', LEN);
    limits.buffers_mib = 1;
    rig_start(&r, PROC_GATE_SIGNING, &limits);
    rig_table(&r);
    rig_stats(&r);
    struct client *c = rig_client(&r), *other = rig_client(&r);
    for (int i = 0; i < CALLS; i++)
        client_sign(c, (uint64_t)i, KEY_EC, 0, text);
    client_alive(other);
    do
        waiting = rig_stats(&r).waiting;
    while (waiting + rig_stats(&r).busy_total < CALLS);
    assert_int_equal(waiting, 8); /* of 60 KB in half a MiB */
    for (size_t i = waiting; i < CALLS; i++)
        assert_true(client_refused(c, i, ERR_BUSY, "memory for requests")->retry_after_ms > 0);
    client_sign(other, 1, KEY_EC, 0, "small");
    rig_until(&r, (uint32_t)waiting + 1, 0, 2);
    client_close(c);
    rig_until(&r, 1, 0, 1);
    for (int i = 0; i < 8; i++) /* what it held is free again */
        client_sign(other, 2, KEY_EC, 0, text);
    rig_until(&r, 9, 0, 1);
}

#define T(f) cmocka_unit_test_teardown(f, tear_down)

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        T(public_keys_are_told),
        T(public_keys_that_there_are_not),
        T(signatures_that_no_signer_is_asked_for),
        T(the_longest_message_goes_through),
        T(without_a_table_nothing_is_known),
        T(operators_verbs_are_refused_to_frontends),
        T(answers_are_no_requests),
        T(deadlines_have_a_default_and_a_maximum),
        T(memory_for_requests_is_limited),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
