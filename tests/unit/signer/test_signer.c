/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/signer/signer.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/process/tally.h"
#include "keyd/token/sign.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"
#include "tests/unit/signer/rig.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct token *token;
static struct table table;

enum { P256, P256_CLIENT, P384, RSA, ED, MISSING, LOST_ID, WRONG_SPKI, KEYS };
static struct table_key keys[KEYS];

static void put(int i)
{
    assert_non_null(table_put(&table, &keys[i]));
}

static int make_all(void **state)
{
    const uint32_t usual = PURPOSES_DEFAULT;

    fixture_make(state);
    token = fixture_open(URI);
    keys[P256] = rig_make_key(token, KEY_TYPE_EC_P256, "p256", usual, NULL);
    keys[P256_CLIENT] = rig_make_key(token, KEY_TYPE_EC_P256, "client", PURPOSE_TLS13_CLIENT, NULL);
    keys[P384] = rig_make_key(token, KEY_TYPE_EC_P384, "p384", usual, NULL);
    keys[RSA] = rig_make_key(token, KEY_TYPE_RSA_2048, "rsa", usual, NULL);
    keys[ED] = rig_make_key(token, KEY_TYPE_ED25519, "ed", usual, NULL);
    keys[MISSING] = rig_make_key(token, KEY_TYPE_EC_P256, "missing", usual, NULL);
    keys[MISSING].state = KEY_MISSING;
    keys[LOST_ID] = rig_make_key(token, KEY_TYPE_EC_P256, "other", usual, NULL);
    memcpy(keys[LOST_ID].cka_id, "lost!", 5);
    keys[WRONG_SPKI] = rig_make_key(token, KEY_TYPE_EC_P256, "wrong", usual, NULL);
    memcpy(keys[WRONG_SPKI].cka_id, "p256", keys[WRONG_SPKI].cka_id_len = 4);
    for (int i = 0; i < KEYS; i++)
        put(i);
    return 0;
}

static int remove_all(void **state)
{
    table_free(&table);
    token_close(token);
    return fixture_remove(state);
}

/* ---- messages as TLS makes them */

struct tbs {
    uint8_t bytes[160];
    size_t len;
};

static struct tbs tls13(const char *role)
{
    struct tbs t = {.len = 64 + 33 + 1 + 32};

    memset(t.bytes, 0x20, 64);
    snprintf((char *)t.bytes + 64, 34, "TLS 1.3, %s CertificateVerify", role);
    memset(t.bytes + 98, 0x5a, 32);
    return t;
}

static struct tbs tls12(void)
{
    struct tbs t = {.len = 64 + 4 + 32};
    const uint8_t x25519[] = {0x03, 0x00, 0x1d, 0x20};

    memset(t.bytes, 0xa5, sizeof(t.bytes));
    memcpy(t.bytes + 64, x25519, sizeof(x25519));
    return t;
}

static struct tbs garbage(void)
{
    struct tbs t = {.len = 32};

    memset(t.bytes, 0xee, 32);
    return t;
}

static struct tbs shape(char which)
{
    switch (which) {
    case 's':
        return tls13("server");
    case 'c':
        return tls13("client");
    case '2':
        return tls12();
    case 'g':
        return garbage();
    default:
        return (struct tbs){.len = 0};
    }
}

static void put_call(struct rig *r, enum msg_type type, uint64_t call, const uint8_t *id,
                     uint32_t granted, uint32_t scheme, const struct tbs *t)
{
    chan_put(&r->gate, type);
    put_u64(&r->gate, call);
    put_raw(&r->gate, id, KEY_ID_LEN);
    put_u32(&r->gate, granted);
    put_u32(&r->gate, scheme);
    put_bytes(&r->gate, t->bytes, t->len);
    chan_end(&r->gate);
}

static void put_granted(struct rig *r, uint64_t call, const uint8_t *id, uint32_t granted,
                        uint32_t scheme, const struct tbs *t)
{
    put_call(r, MSG_SIGN, call, id, granted, scheme, t);
}

static void put_sign(struct rig *r, uint64_t call, const uint8_t *id, uint32_t scheme,
                     const struct tbs *t)
{
    put_granted(r, call, id, PURPOSES_TLS, scheme, t);
}

static void expect_signed(struct rig *r, uint64_t call, const struct table_key *key,
                          uint32_t scheme, const struct tbs *t)
{
    struct msg m = rig_expect(&r->gate, MSG_SIGNED);
    struct err err;
    size_t len;

    assert_int_equal(rd_u64(&m.body), call);
    assert_true(rd_u32(&m.body) > 0); /* microseconds */
    const uint8_t *sig = msg_get_bytes(&m, &len);
    msg_end(&m, &r->gate);
    must(token_verify(key->spki, key->spki_len, scheme_by_code(scheme), t->bytes, t->len, sig, len,
                      &err),
         &err);
}

static struct err expect_unsigned(struct rig *r, uint64_t call)
{
    struct msg m = rig_expect(&r->gate, MSG_UNSIGNED);
    struct err err = {0};

    assert_int_equal(rd_u64(&m.body), call);
    (void)rd_u32(&m.body);
    msg_get_err(&m, &err);
    msg_end(&m, &r->gate);
    return err;
}

/* ---- what is signed and what is not */

static const struct {
    int key;
    char shape; /* see shape() */
    uint32_t scheme;
    enum err_code code; /* ERR_NONE: signed */
    const char *word;
} cases[] = {
    {P256, 's', 0x0403, ERR_NONE, ""},
    {P256, '2', 0x0403, ERR_NONE, ""},
    {P256, '2', 0x0503, ERR_NONE, ""},
    {P256, '2', 0x0603, ERR_NONE, ""},
    {P256_CLIENT, 'c', 0x0403, ERR_NONE, ""},
    {P384, 's', 0x0503, ERR_NONE, ""},
    {P384, '2', 0x0603, ERR_NONE, ""},
    {RSA, 's', 0x0804, ERR_NONE, ""},
    {RSA, 's', 0x0806, ERR_NONE, ""},
    {RSA, '2', 0x0401, ERR_NONE, ""},
    {ED, 's', 0x0807, ERR_NONE, ""},

    {P256, 'c', 0x0403, ERR_BAD_SHAPE, "tls13-client, the key may sign tls13-server, tls12-server"},
    {P256_CLIENT, 's', 0x0403, ERR_BAD_SHAPE, "tls13-server, the key may sign tls13-client"},
    {P256_CLIENT, '2', 0x0403, ERR_BAD_SHAPE, "tls12-server"},
    {P256, 'g', 0x0403, ERR_BAD_SHAPE, ""},
    {P256, '0', 0x0403, ERR_BAD_SHAPE, ""},
    {P256, 's', 0x0503, ERR_BAD_SCHEME, "ecdsa_secp384r1_sha384"},
    {P256, 's', 0x0804, ERR_BAD_SCHEME, "rsa_pss_rsae_sha256"},
    {P256, 's', 0x9999, ERR_BAD_SCHEME, "0x9999"},
    {RSA, 's', 0x0401, ERR_BAD_SCHEME, "rsa_pkcs1_sha256"},
    {ED, 's', 0x0403, ERR_BAD_SCHEME, "ecdsa_secp256r1_sha256"},
    {KEYS, 's', 0x0403, ERR_NOT_FOUND, "no key ee"},
    {MISSING, 's', 0x0403, ERR_UNAVAILABLE, "missing in the token"},
    {LOST_ID, 's', 0x0403, ERR_UNAVAILABLE, "does not show"},
    {WRONG_SPKI, 's', 0x0403, ERR_TOKEN, "not proven"},
};

static void run_cases(struct rig *r)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct tbs t = shape(cases[i].shape);
        uint8_t unknown[KEY_ID_LEN];

        memset(unknown, 0xee, sizeof(unknown));
        put_sign(r, 100 + i, cases[i].key == KEYS ? unknown : keys[cases[i].key].id,
                 cases[i].scheme, &t);
        if (cases[i].code == ERR_NONE) {
            expect_signed(r, 100 + i, &keys[cases[i].key], cases[i].scheme, &t);
            continue;
        }
        struct err err = expect_unsigned(r, 100 + i);
        must_fail(false, &err, cases[i].code, cases[i].word);
    }
}

static void test_cases(void **state)
{
    struct rig r = rig_up(URI, &table);

    (void)state;
    run_cases(&r);
    run_cases(&r); /* with handles that are ready */
    rig_down(&r);
}

/* The key may sign it and the caller was granted something else: no. */
static void test_only_what_was_granted(void **state)
{
    static const struct {
        uint32_t granted;
        bool server, tls12;
    } grants[] = {
        {0, false, false},
        {PURPOSE_TLS13_CLIENT, false, false},
        {PURPOSE_TLS13_SERVER, true, false},
        {PURPOSE_TLS12_SERVER, false, true},
        {PURPOSE_CSR | PURPOSE_RAW, false, false},
        {PURPOSE_TLS12_SERVER | PURPOSE_TLS13_SERVER, true, true},
    };
    struct rig r = rig_up(URI, &table);
    const struct tbs shapes[] = {tls13("server"), shape('2')};

    (void)state;
    for (size_t i = 0; i < COUNT(grants); i++) {
        for (size_t j = 0; j < COUNT(shapes); j++) {
            put_granted(&r, i, keys[P256].id, grants[i].granted, 0x0403, &shapes[j]);
            if (j == 0 ? grants[i].server : grants[i].tls12) {
                expect_signed(&r, i, &keys[P256], 0x0403, &shapes[j]);
                continue;
            }
            struct err err = expect_unsigned(&r, i);
            must_fail(false, &err, ERR_DENIED, "the caller was granted");
        }
    }
    rig_down(&r);
}

static void test_batch(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");

    (void)state;
    for (uint64_t call = 0; call < 23; call++)
        put_sign(&r, call, keys[P256].id, call % 5 == 4 ? 0x0804 : 0x0403, &t);
    assert_true(chan_flush(&r.gate));
    for (uint64_t call = 0; call < 23; call++) {
        if (call % 5 == 4)
            assert_int_equal(expect_unsigned(&r, call).code, ERR_BAD_SCHEME);
        else
            expect_signed(&r, call, &keys[P256], 0x0403, &t);
    }
    rig_down(&r);
}

/* Answers that come in one piece, before the signer is asked for more. */
static unsigned answers_at_once(struct rig *r, const struct tbs *t)
{
    unsigned most = 0, all = 0;

    assert_int_equal(kill(r->pid, SIGSTOP), 0); /* so that all wait when it wakes */
    for (uint64_t call = 0; call < 32; call++)
        put_sign(r, call, keys[P256].id, 0x0403, t);
    assert_true(chan_flush(&r->gate));
    assert_int_equal(kill(r->pid, SIGCONT), 0);
    while (all < 32) {
        expect_signed(r, all++, &keys[P256], 0x0403, t);
        unsigned n = 1;
        for (; chan_has(&r->gate, 1); n++)
            expect_signed(r, all++, &keys[P256], 0x0403, t);
        most = n > most ? n : most;
    }
    return most;
}

/* While more calls wait than answers, these wait for each other: more than a turn's four leave
 * together. (A machine that is busy enough lets their time run out: then it is tried again.) */
static void test_answers_leave_together(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");
    unsigned most = 0;

    (void)state;
    for (int tries = 0; tries < 100 && most <= 4; tries++)
        most = answers_at_once(&r, &t);
    assert_true(most > 4);
    rig_down(&r);
}

/* Ten slow calls wait, and one overtakes them. */
static void test_ahead(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");

    (void)state;
    assert_int_equal(kill(r.pid, SIGSTOP), 0); /* so that all wait when it wakes */
    for (uint64_t call = 0; call < 10; call++)
        put_sign(&r, call, keys[RSA].id, 0x0804, &t);
    put_call(&r, MSG_SIGN_AHEAD, 10, keys[P256].id, PURPOSES_TLS, 0x0403, &t);
    assert_true(chan_flush(&r.gate));
    assert_int_equal(kill(r.pid, SIGCONT), 0);
    expect_signed(&r, 10, &keys[P256], 0x0403, &t);
    for (uint64_t call = 0; call < 10; call++)
        expect_signed(&r, call, &keys[RSA], 0x0804, &t);
    rig_down(&r);
}

/* However many go ahead, they do not keep the others waiting for ever. */
static void test_ahead_for_a_while(void **state)
{
    enum { AHEAD = 60 }; /* RSA: far more than some milliseconds */
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");
    unsigned before = 0;

    (void)state;
    assert_int_equal(kill(r.pid, SIGSTOP), 0); /* so that all wait when it wakes */
    put_sign(&r, AHEAD, keys[P256].id, 0x0403, &t);
    for (uint64_t call = 0; call < AHEAD; call++)
        put_call(&r, MSG_SIGN_AHEAD, call, keys[RSA].id, PURPOSES_TLS, 0x0804, &t);
    assert_true(chan_flush(&r.gate));
    assert_int_equal(kill(r.pid, SIGCONT), 0);
    for (bool other = false; !other;) {
        struct msg m = rig_expect(&r.gate, MSG_SIGNED);

        other = rd_u64(&m.body) == AHEAD;
        before += !other;
    }
    assert_in_range(before, 1, AHEAD / 2);
    for (; before < AHEAD; before++)
        expect_signed(&r, before, &keys[RSA], 0x0804, &t);
    rig_down(&r);
}

/* What the gate has sent before the drain is answered. */
static void test_drain_answers(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");

    (void)state;
    put_sign(&r, 1, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 1, &keys[P256], 0x0403, &t);
    assert_int_equal(kill(r.pid, SIGSTOP), 0); /* so that both wait when it wakes */
    put_sign(&r, 2, keys[P256].id, 0x0403, &t);
    assert_true(chan_flush(&r.gate));
    chan_put(&r.parent, MSG_DRAIN);
    chan_end(&r.parent);
    assert_true(chan_flush(&r.parent));
    assert_int_equal(kill(r.pid, SIGCONT), 0);
    expect_signed(&r, 2, &keys[P256], 0x0403, &t);
    assert_int_equal(rig_wait(&r), 0);
}

/* ---- the custodian's changes */

static struct err tell_key(struct rig *r, const struct table_key *key)
{
    struct err err = {0};

    chan_put(&r->custodian, MSG_KEY);
    put_u64(&r->custodian, key->version);
    table_put_msg(&r->custodian, key);
    chan_end(&r->custodian);
    struct msg m = rig_expect(&r->custodian, MSG_KEY_DONE);
    assert_int_equal(rd_u64(&m.body), key->version);
    assert_memory_equal(rd_bytes(&m.body, KEY_ID_LEN), key->id, KEY_ID_LEN);
    msg_get_err(&m, &err);
    msg_end(&m, &r->custodian);
    return err;
}

static void test_new_key(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");
    token_handle handle;
    struct table_key key = rig_make_key(token, KEY_TYPE_EC_P256, "new", PURPOSES_DEFAULT, &handle);
    struct err err;

    (void)state;
    key.version = 2;
    put_sign(&r, 1, key.id, 0x0403, &t);
    assert_int_equal(expect_unsigned(&r, 1).code, ERR_NOT_FOUND);
    assert_int_equal(tell_key(&r, &key).code, ERR_NONE);
    put_sign(&r, 2, key.id, 0x0403, &t);
    expect_signed(&r, 2, &key, 0x0403, &t);

    /* Taken away: the copy, which would go on signing, is gone when the answer comes. */
    must(token_destroy(token, handle, &err), &err);
    key.version = 3;
    key.state = KEY_MISSING;
    assert_int_equal(tell_key(&r, &key).code, ERR_NONE);
    put_sign(&r, 3, key.id, 0x0403, &t);
    assert_int_equal(expect_unsigned(&r, 3).code, ERR_UNAVAILABLE);

    /* Said to be there again, but it is not. */
    key.version = 4;
    key.state = KEY_ENABLED;
    err = tell_key(&r, &key);
    must_fail(false, &err, ERR_NOT_FOUND, "CKA_ID");
    put_sign(&r, 4, key.id, 0x0403, &t);
    assert_int_equal(expect_unsigned(&r, 4).code, ERR_UNAVAILABLE);
    rig_down(&r);
}

static void test_key_that_is_not_itself(void **state)
{
    struct rig r = rig_up(URI, &table);
    struct table_key key = rig_make_key(token, KEY_TYPE_EC_P256, "liar", PURPOSES_DEFAULT, NULL);
    struct err err;

    (void)state;
    key.version = 2;
    memcpy(key.cka_id, "p256", 4);
    err = tell_key(&r, &key);
    must_fail(false, &err, ERR_TOKEN, "not proven");
    rig_down(&r);
}

/* A key that only the table told of is looked for a little later: not by all signers at once. */
static void expect_found_later(struct rig *r, const struct table_key *key, const struct tbs *t)
{
    struct err err = {.code = ERR_UNAVAILABLE};

    for (uint64_t call = 100; err.code == ERR_UNAVAILABLE && call < 200; call++) {
        struct msg m;

        put_sign(r, call, key->id, 0x0403, t);
        m = rig_next(&r->gate);
        if (m.type == MSG_SIGNED)
            return;
        assert_int_equal(rd_u64(&m.body), call);
        (void)rd_u32(&m.body);
        msg_get_err(&m, &err);
        usleep(100000);
    }
    fail_msg("never found: %s", err.text);
}

/* A whole new table, as it comes when the custodian was replaced. */
static void test_second_table(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");
    struct table second = {0};
    struct table_key key = rig_make_key(token, KEY_TYPE_EC_P256, "late", PURPOSES_DEFAULT, NULL);
    struct table_key gone = keys[P256];

    (void)state;
    put_sign(&r, 1, gone.id, 0x0403, &t);
    expect_signed(&r, 1, &gone, 0x0403, &t);
    key.version = gone.version = 5;
    gone.state = KEY_MISSING;
    assert_non_null(table_put(&second, &key));
    assert_non_null(table_put(&second, &gone));
    rig_table(&r, &second);
    chan_put(&r.parent, MSG_STATUS_ASK); /* answered after the table was taken */
    put_u64(&r.parent, 1);
    chan_end(&r.parent);
    (void)rig_expect(&r.parent, MSG_STATS);
    expect_found_later(&r, &key, &t);
    put_sign(&r, 3, gone.id, 0x0403, &t);
    assert_int_equal(expect_unsigned(&r, 3).code, ERR_UNAVAILABLE);
    put_sign(&r, 4, keys[P384].id, 0x0503, &t);
    expect_signed(&r, 4, &keys[P384], 0x0503, &t);
    table_free(&second);
    rig_down(&r);
}

/* ---- neighbours and parent */

static void test_peers_are_replaced(void **state)
{
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");
    struct chan old = r.gate;

    (void)state;
    r.gate = (struct chan){.fd = -1};
    rig_peer(&r, &r.gate, PROC_GATE_SIGNING, 2); /* while the old one is there */
    put_sign(&r, 1, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 1, &keys[P256], 0x0403, &t);
    assert_true(rig_eof(&old));
    chan_close(&old);
    chan_close(&r.gate); /* it dies, then comes its successor */
    chan_close(&r.custodian);
    rig_peer(&r, &r.gate, PROC_GATE_SIGNING, 3);
    rig_peer(&r, &r.custodian, PROC_CUSTODIAN, 2);
    put_sign(&r, 2, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 2, &keys[P256], 0x0403, &t);
    struct table_key same = keys[P384];
    same.version = 9;
    assert_int_equal(tell_key(&r, &same).code, ERR_NONE);
    rig_down(&r);
}

/* Asks for figures; what stands before those of the schemes is as wanted. */
static struct msg expect_stats(struct rig *r, uint64_t made, uint64_t failed, uint32_t schemes)
{
    chan_put(&r->parent, MSG_STATUS_ASK);
    put_u64(&r->parent, 4711);
    chan_end(&r->parent);
    struct msg m = rig_expect(&r->parent, MSG_STATS);
    assert_int_equal(rd_u64(&m.body), 4711);
    assert_int_equal(rd_u8(&m.body), PROC_SIGNER);
    assert_int_equal(rd_u32(&m.body), 7);
    assert_int_equal(rd_u64(&m.body), made);
    assert_int_equal(rd_u64(&m.body), failed);
    assert_int_equal(rd_u32(&m.body), schemes);
    return m;
}

/* The next scheme's figures: its signatures, all just now, none longer than the test took. */
static void expect_tally(struct msg *m, uint32_t code, uint64_t total, uint64_t test_us)
{
    struct tally_sum sum = {0};

    assert_int_equal(rd_u32(&m->body), code);
    tally_get(m, &sum);
    assert_false(m->body.failed);
    assert_int_equal(sum.took.total, total);
    assert_in_range(histogram_percentile(&sum.took, 1000), 1, test_us + test_us / 16 + 1);
    assert_in_range(histogram_percentile(&sum.took, 500), 1, test_us + test_us / 16 + 1);
    /* all within the windows, if the machine did not stand still for ten seconds */
    assert_in_range(sum.rate_60s, total * 1000 / 60, total * 1000);
    if (test_us < 8000000)
        assert_in_range(sum.rate_10s, total * 1000 / 10, total * 1000);
}

static void test_stats(void **state)
{
    uint64_t began = clock_us();
    struct rig r = rig_up(URI, &table);
    const struct tbs t = tls13("server");

    (void)state;
    struct msg m = expect_stats(&r, 0, 0, 0);
    msg_end(&m, &r.parent);
    for (uint64_t call = 0; call < 3; call++) {
        put_sign(&r, call, keys[P256].id, 0x0403, &t);
        expect_signed(&r, call, &keys[P256], 0x0403, &t);
    }
    put_sign(&r, 3, keys[ED].id, 0x0807, &t);
    expect_signed(&r, 3, &keys[ED], 0x0807, &t);
    put_sign(&r, 9, keys[P256].id, 0x9999, &t); /* refusals are counted, but not timed */
    (void)expect_unsigned(&r, 9);
    put_sign(&r, 10, keys[P256].id, 0x0804, &t);
    (void)expect_unsigned(&r, 10);
    m = expect_stats(&r, 4, 2, 2);
    expect_tally(&m, 0x0403, 3, clock_us() - began);
    expect_tally(&m, 0x0807, 1, clock_us() - began);
    msg_end(&m, &r.parent);
    rig_down(&r);
}

/* ---- token-bench */

static void ask_bench(struct rig *r, uint32_t run, enum key_type type, uint32_t ms)
{
    chan_put(&r->custodian, MSG_BENCH);
    put_u32(&r->custodian, run);
    put_u8(&r->custodian, (uint8_t)type);
    put_u32(&r->custodian, ms);
    chan_end(&r->custodian);
    assert_true(chan_flush(&r->custodian));
}

struct benched {
    struct err why;
    uint64_t made_us, took_us;
    struct histogram took;
};

static struct benched read_benched(struct chan *c, struct msg *m, uint32_t run)
{
    struct benched b = {.made_us = 0};

    assert_int_equal(rd_u32(&m->body), run);
    msg_get_err(m, &b.why);
    b.made_us = rd_u64(&m->body);
    b.took_us = rd_u64(&m->body);
    tally_get_took(m, &b.took);
    msg_end(m, c);
    return b;
}

static struct benched hear_bench(struct rig *r, uint32_t run)
{
    struct msg m = rig_expect(&r->custodian, MSG_BENCHED);

    return read_benched(&r->custodian, &m, run);
}

/* A key of its own, without a token object; runs in slices, between which it signs for the gate. */
static void test_bench(void **state)
{
    struct rig r = rig_up(URI, &table);
    struct tbs t = tls13("server");
    uint64_t start = clock_us();

    (void)state;
    ask_bench(&r, 1, KEY_TYPE_EC_P256, 0);
    struct benched made = hear_bench(&r, 1);
    assert_int_equal(made.why.code, ERR_NONE);
    assert_true(made.made_us > 0 && made.made_us < clock_us() - start);
    assert_int_equal(made.took.total, 0);
    ask_bench(&r, 2, KEY_TYPE_EC_P256, 300);
    for (uint64_t call = 1; call <= 20; call++) { /* live calls are answered meanwhile */
        put_sign(&r, call, keys[P256].id, 0x0403, &t);
        assert_true(chan_flush(&r.gate));
        struct msg m = rig_expect(&r.gate, MSG_SIGNED);
        assert_int_equal(rd_u64(&m.body), call);
    }
    struct benched run = hear_bench(&r, 2);
    assert_int_equal(run.why.code, ERR_NONE);
    assert_true(run.took.total > 0);
    assert_true(run.took_us >= 300000);
    assert_int_equal(run.made_us, made.made_us); /* the same key */
    ask_bench(&r, 3, KEY_TYPE_NONE, 0);
    assert_int_equal(hear_bench(&r, 3).made_us, 0);
    rig_down(&r);
}

static void test_bench_of_what_it_cannot(void **state)
{
    struct rig r = rig_up(URI, &table);

    (void)state;
    ask_bench(&r, 1, (enum key_type)200, 0);
    assert_int_equal(hear_bench(&r, 1).why.code, ERR_UNSUPPORTED);
    ask_bench(&r, 2, KEY_TYPE_EC_P256, 0);
    assert_int_equal(hear_bench(&r, 2).why.code, ERR_NONE);
    rig_down(&r);
}

/* A custodian that goes takes its run with it; the next one begins anew. */
static void test_bench_is_forgotten(void **state)
{
    struct rig r = rig_up(URI, &table);

    (void)state;
    ask_bench(&r, 1, KEY_TYPE_EC_P256, 60000);
    rig_peer(&r, &r.custodian, PROC_CUSTODIAN, 2);
    ask_bench(&r, 2, KEY_TYPE_NONE, 0);
    struct msg m = rig_expect(&r.custodian, MSG_BENCHED);
    assert_int_equal(read_benched(&r.custodian, &m, 2).took.total, 0);
    rig_down(&r);
}

/* What was made is in no other session of the token. */
static void test_bench_leaves_nothing(void **state)
{
    struct rig r = rig_up(URI, &table);
    struct token_private *before, *after;
    size_t n_before, n_after;
    struct err err;

    (void)state;
    must(token_list_private(token, &before, &n_before, &err), &err);
    ask_bench(&r, 1, KEY_TYPE_EC_P256, 60000);
    ask_bench(&r, 2, KEY_TYPE_EC_P384, 0); /* another type: the first key goes */
    (void)hear_bench(&r, 2);
    must(token_list_private(token, &after, &n_after, &err), &err);
    assert_int_equal(n_before, n_after);
    mem_free(after);
    kill(r.pid, SIGKILL);
    assert_int_equal(rig_wait(&r), 128 + SIGKILL);
    must(token_list_private(token, &after, &n_after, &err), &err);
    assert_int_equal(n_before, n_after);
    mem_free(before);
    mem_free(after);
}

static void test_parent_goes(void **state)
{
    struct rig r = rig_up(URI, &table);

    (void)state;
    chan_close(&r.parent);
    assert_int_equal(rig_wait(&r), 0);
    r = rig_spawn("--signer"); /* and before it was told anything */
    chan_close(&r.parent);
    assert_int_equal(rig_wait(&r), 0);
}

static void test_nonsense_ends_it(void **state)
{
    struct rig r = rig_up(URI, &table);
    const uint8_t bytes[] = {0, 0, 0, 0, 0, MSG_READY, 0, 0}; /* a gate may not say that */

    (void)state;
    put_raw(&r.gate, bytes, sizeof(bytes));
    assert_true(chan_flush(&r.gate));
    assert_int_equal(rig_wait(&r), 70);
    r = rig_spawn("--signer");
    chan_put(&r.parent, MSG_STATUS_ASK);
    put_u64(&r.parent, 1);
    chan_end(&r.parent);
    assert_true(chan_flush(&r.parent));
    assert_int_equal(rig_wait(&r), 70);
}

/* ---- starts */

static void test_empty_table(void **state)
{
    struct table empty = {0};
    struct rig r = rig_up(URI, &empty);

    (void)state;
    rig_down(&r);
}

static const struct {
    const char *uri, *pin;
    enum err_code code;
    const char *word;
} failures[] = {
    {URI, "0000-wrong", ERR_DENIED, "CKR_PIN_INCORRECT"},
    {URI, "", ERR_DENIED, "is empty"},
    {"pkcs11:token=nobody?module-path=" SOFTHSM_MODULE, PIN, ERR_UNAVAILABLE, "no token fits"},
    {"pkcs11:token=x?module-path=/nonexistent/m.so", PIN, ERR_STORAGE, "/nonexistent/m.so"},
    {"nonsense", PIN, ERR_BAD_REQUEST, "URI"},
};

static void test_start_failures(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(failures); i++) {
        struct rig r = rig_spawn("--signer");
        struct err err = {0};

        rig_start(&r, failures[i].uri, failures[i].pin);
        struct msg m = rig_expect(&r.parent, MSG_FAILED);
        msg_get_err(&m, &err);
        msg_end(&m, &r.parent);
        must_fail(false, &err, failures[i].code, failures[i].word);
        assert_null(strstr(err.text, "0000-wrong"));
        assert_int_equal(rig_wait(&r), 1);
    }
}

/* ---- tokens that fail while it works */

static void test_lost_token(void **state)
{
    const struct tbs t = tls13("server");
    struct err err = {0};

    (void)state;
    mock_script(state_dir, "from 4 C_SignInit fail CKR_DEVICE_REMOVED\n");
    struct rig r = rig_up(MOCK_URI, &(struct table){0});
    mock_done();
    assert_int_equal(tell_key(&r, &keys[P256]).code, ERR_NONE);
    put_sign(&r, 1, keys[P256].id, 0x0403, &t);
    put_sign(&r, 2, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 1, &keys[P256], 0x0403, &t);
    struct msg m = rig_expect(&r.parent, MSG_FAILED);
    msg_get_err(&m, &err);
    msg_end(&m, &r.parent);
    must_fail(false, &err, ERR_UNAVAILABLE, "C_SignInit: CKR_DEVICE_REMOVED");
    assert_true(rig_eof(&r.gate)); /* and nothing was said of call 2: another signer gets it */
    assert_int_equal(r.gate.in.len, 0);
    assert_int_equal(rig_wait(&r), 1);
}

/* A failure that is not a loss is one call's error, and the next use proves the key anew. */
static void test_failing_signature(void **state)
{
    const struct tbs t = tls13("server");

    (void)state;
    mock_script(state_dir, "from 4 C_SignInit fail CKR_FUNCTION_FAILED\n");
    struct rig r = rig_up(MOCK_URI, &(struct table){0});
    mock_done();
    assert_int_equal(tell_key(&r, &keys[P256]).code, ERR_NONE);
    put_sign(&r, 1, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 1, &keys[P256], 0x0403, &t);
    put_sign(&r, 2, keys[P256].id, 0x0403, &t);
    struct err err = expect_unsigned(&r, 2);
    must_fail(false, &err, ERR_TOKEN, "C_SignInit: CKR_FUNCTION_FAILED");
    put_sign(&r, 3, keys[P256].id, 0x0403, &t);
    err = expect_unsigned(&r, 3);
    must_fail(false, &err, ERR_TOKEN, "not proven: C_SignInit");
    rig_down(&r);
}

static void test_token_without_copies(void **state)
{
    const struct tbs t = tls13("server");

    (void)state;
    mock_script(state_dir, "from 1 C_CopyObject fail CKR_FUNCTION_NOT_SUPPORTED\n");
    struct rig r = rig_up(MOCK_URI, &table);
    mock_done();
    put_sign(&r, 1, keys[P256].id, 0x0403, &t);
    expect_signed(&r, 1, &keys[P256], 0x0403, &t);
    rig_down(&r);
}

/* ---- the sandbox is on (what it refuses: test_start.c) */

static void test_confined(void **state)
{
    struct rig r = rig_up(URI, &table);
    char path[64], text[4096];

    (void)state;
    snprintf(path, sizeof(path), "/proc/%d/status", (int)r.pid);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    text[fread(text, 1, sizeof(text) - 1, f)] = 0;
    fclose(f);
    assert_non_null(strstr(text, "\nNoNewPrivs:\t1\n"));
    assert_non_null(strstr(text, "\nSeccomp:\t2\n"));
    rig_down(&r);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cases),
        cmocka_unit_test(test_only_what_was_granted),
        cmocka_unit_test(test_batch),
        cmocka_unit_test(test_answers_leave_together),
        cmocka_unit_test(test_ahead),
        cmocka_unit_test(test_ahead_for_a_while),
        cmocka_unit_test(test_drain_answers),
        cmocka_unit_test(test_new_key),
        cmocka_unit_test(test_key_that_is_not_itself),
        cmocka_unit_test(test_second_table),
        cmocka_unit_test(test_peers_are_replaced),
        cmocka_unit_test(test_stats),
        cmocka_unit_test(test_bench),
        cmocka_unit_test(test_bench_of_what_it_cannot),
        cmocka_unit_test(test_bench_is_forgotten),
        cmocka_unit_test(test_bench_leaves_nothing),
        cmocka_unit_test(test_parent_goes),
        cmocka_unit_test(test_nonsense_ends_it),
        cmocka_unit_test(test_empty_table),
        cmocka_unit_test(test_start_failures),
        cmocka_unit_test(test_lost_token),
        cmocka_unit_test(test_failing_signature),
        cmocka_unit_test(test_token_without_copies),
        cmocka_unit_test(test_confined),
    };

    rig_child(argc, argv);
    return cmocka_run_group_tests_name("signer/signer", tests, make_all, remove_all);
}
