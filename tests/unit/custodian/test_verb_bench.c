/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <stdio.h>

static const Keyd__V1__TokenBenchReply *bench(uint32_t seconds)
{
    Keyd__V1__TokenBench body = KEYD__V1__TOKEN_BENCH__INIT;
    REQUEST(e, TOKEN_BENCH, token_bench, &body);

    body.seconds = seconds;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH_REPLY)->token_bench_reply;
}

/* Signers, of whom the custodian knows when this returns: the parent's word and the gate's come by
 * different ways. */
static void connect_signers(uint32_t n)
{
    uint32_t figures[3];
    char words[8192];

    for (uint32_t i = 0; i < n; i++)
        rig_connect(1 + i, PROC_SIGNER, i, 1);
    rig_stats(figures, words, sizeof(words));
}

/* How many signatures a second so many signers made; 0: that was not measured. */
static double rate(const Keyd__V1__TokenBenchReply *r, enum key_type type, uint32_t signers)
{
    for (size_t i = 0; i < r->n_rates; i++)
        if (r->rates[i]->type == (Keyd__V1__KeyType)type && r->rates[i]->signers == signers)
            return r->rates[i]->per_second;
    return 0;
}

static const char *tried(const Keyd__V1__TokenBenchReply *r, enum key_type type, uint32_t scheme)
{
    for (size_t i = 0; i < r->n_tried; i++)
        if (r->tried[i]->type == (Keyd__V1__KeyType)type && r->tried[i]->scheme == scheme)
            return r->tried[i]->error;
    return "not tried";
}

static void without_signers(void **state)
{
    (void)state;
    rig_serve();
    const Keyd__V1__TokenBenchReply *r = bench(15);
    assert_int_equal(r->signers, 0);
    assert_true(r->cores > 0);
    assert_true(rate(r, KEY_TYPE_EC_P256, 0) > 0); /* the custodian's own */
    assert_true(rate(r, KEY_TYPE_EC_P256, 1) == 0);
    assert_string_equal(tried(r, KEY_TYPE_EC_P256, 0x0403), "");
    assert_string_equal(tried(r, KEY_TYPE_RSA_2048, 0x0804), "");
    assert_string_equal(tried(r, KEY_TYPE_EC_P256, 0x0804), "not tried");
    assert_true(r->n_generations > 0 && r->generations[0]->p50_us > 0);
    assert_true(r->generations[0]->p50_us <= r->generations[0]->max_us);
    assert_int_equal(r->n_advice, 0);
    rig_stop();
    assert_int_equal(rig_private_keys(), 0);
}

static void with_two(void **state)
{
    (void)state;
    rig_serve();
    connect_signers(2);
    const Keyd__V1__TokenBenchReply *r = bench(15);
    assert_int_equal(r->signers, 2);
    assert_true(rate(r, KEY_TYPE_EC_P256, 1) > 0);
    double factor = rate(r, KEY_TYPE_EC_P256, 2) / rate(r, KEY_TYPE_EC_P256, 1);
    assert_true(factor > 1.9 && factor < 2.1); /* each says 1,000 */
    assert_true(r->n_advice > 0);
    assert_non_null(strstr(r->advice[0], "ec-p256: 2 signers pay: 2.0 x one"));
    for (size_t i = 1; i <= 2; i++) { /* and they were told to forget */
        assert_true(rig.ends[i].benches > 2);
        assert_int_equal(rig.ends[i].bench_type, KEY_TYPE_NONE);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 0);
}

static void dies(struct end *e, uint32_t ms)
{
    if (ms)
        chan_close(&e->chan);
}

static void a_signer_dies(void **state)
{
    (void)state;
    rig_serve();
    connect_signers(2);
    rig.ends[2].on_bench = dies;
    const Keyd__V1__TokenBenchReply *r = bench(0);
    if (!strstr(r->cut_short, "a signer ended"))
        fail_msg("cut short: '%s', %zu rates", r->cut_short, r->n_rates);
    assert_true(rate(r, KEY_TYPE_EC_P256, 1) > 0);
    assert_true(rate(r, KEY_TYPE_EC_P256, 2) == 0);
    assert_non_null(rig_show("nobody/nothing") ? NULL : r); /* it goes on serving */
    rig_stop();
}

/* While it measures, something comes that takes away. */
static void asks_to_disable(struct end *e, uint32_t ms)
{
    Keyd__V1__KeysDisable body = KEYD__V1__KEYS_DISABLE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint8_t packed[64];

    if (!ms)
        return;
    e->on_bench = NULL;
    body.key = (char *)"acme/www";
    request.id = 1;
    request.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_DISABLE;
    request.keys_disable = &body;
    size_t len = keyd__v1__envelope__pack(&request, packed);
    struct chan *c = &rig.ends[0].chan;
    chan_put(c, MSG_REQUEST);
    put_u64(c, 999);
    put_str(c, "ops");
    put_u32(c, ROLE_OPERATOR);
    put_str(c, "");
    put_u32(c, WAIT_MS);
    put_bytes(c, packed, len);
    chan_end(c);
    assert_true(chan_flush(c));
}

static void gives_way(void **state)
{
    Keyd__V1__TokenBench body = KEYD__V1__TOKEN_BENCH__INIT;
    REQUEST(e, TOKEN_BENCH, token_bench, &body);

    (void)state;
    rig_serve();
    rig.aside = 999;
    connect_signers(1);
    rig.ends[1].on_bench = asks_to_disable;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    assert_int_equal(answer->body_case, KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH_REPLY);
    assert_non_null(strstr(answer->token_bench_reply->cut_short, "takes away"));
    while (!rig.aside_answers && !rig.over)
        rig_pump(20, NULL);
    assert_int_equal(rig.aside_answers, 1);
    rig_stop();
}

static void refusals(void **state)
{
    static const uint32_t bad[] = {1, 16, UINT32_MAX};
    Keyd__V1__TokenBench body = KEYD__V1__TOKEN_BENCH__INIT;
    REQUEST(e, TOKEN_BENCH, token_bench, &body);

    (void)state;
    rig_serve();
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        body.seconds = bad[i];
        rig_refused(&e, ERR_BAD_REQUEST, "2 to 15 seconds");
    }
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(without_signers), RIG_TEST(with_two), RIG_TEST(a_signer_dies),
        RIG_TEST(gives_way),       RIG_TEST(refusals),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
