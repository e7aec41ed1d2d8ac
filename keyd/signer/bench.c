/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/signer/bench.h"

#include "keyd/token/sign.h"
#include "proto/base/clock.h"

#define SLICE_US 5000 /* a call of the gate waits no longer for it, but for one signature */

void bench_forget(struct signer *s)
{
    struct err ignored;

    if (s->bench.key && !token_destroy(s->token, s->bench.key, &ignored))
        s->bench.key = 0; /* it ends with the session */
    s->bench = (struct bench){.key = 0};
}

/* ---- the answer */

static void answer(struct signer *s, const struct err *why)
{
    const struct bench *b = &s->bench;
    struct chan *to = &s->custodian;

    chan_put(to, MSG_BENCHED);
    put_u32(to, b->run);
    put_err(to, why);
    put_u64(to, b->made_us);
    put_u64(to, b->started ? clock_us() - b->started : 0);
    tally_put_took(to, &b->took);
    chan_end(to);
}

/* Says why it did not work, and leaves nothing behind. */
static bool give_up(struct signer *s, const struct err *why, struct err *err)
{
    answer(s, why);
    bench_forget(s);
    if (!token_lost(s->token))
        return true;
    *err = *why;
    return false;
}

/* ---- the key */

static bool make_key(struct signer *s, enum key_type type, struct err *err)
{
    static const uint8_t id[] = "keyd-bench";
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len = sizeof(spki);
    uint64_t start = clock_us();

    TRY(token_generate(s->token, type, id, sizeof(id) - 1, "keyd bench", false, &s->bench.key, spki,
                       &spki_len, err));
    s->bench.made_us = clock_us() - start;
    s->bench.type = type;
    return token_prove(s->token, s->bench.key, type, spki, spki_len, err);
}

bool bench_take(struct signer *s, struct msg *m, struct err *err)
{
    static const struct err none = {.code = ERR_NONE};
    uint32_t run = rd_u32(&m->body);
    enum key_type type = (enum key_type)rd_u8(&m->body);
    uint32_t ms = rd_u32(&m->body);
    struct err why;

    msg_end(m, &s->custodian);
    if (type != s->bench.type)
        bench_forget(s);
    s->bench.run = run;
    if (type != KEY_TYPE_NONE && !s->bench.key && !make_key(s, type, &why))
        return give_up(s, &why, err);
    s->bench.took = (struct histogram){0};
    s->bench.started = ms ? clock_us() : 0;
    s->bench.until = ms ? s->bench.started + (uint64_t)ms * 1000 : 0;
    if (!ms)
        answer(s, &none);
    return true;
}

/* ---- signing */

bool bench_going(const struct signer *s)
{
    return s->bench.until != 0;
}

/* Of no shape that keyd signs. */
static bool sign_once(struct signer *s, struct err *err)
{
    static const uint8_t message[130] = "keyd bench";
    uint8_t sig[SIGNATURE_MAX];
    size_t len = sizeof(sig);
    uint64_t start = clock_us();

    TRY(token_sign(s->token, s->bench.key, scheme_for_type(s->bench.type), message, sizeof(message),
                   sig, &len, err));
    histogram_add(&s->bench.took, (uint32_t)(clock_us() - start));
    return true;
}

bool bench_slice(struct signer *s, struct err *err)
{
    static const struct err none = {.code = ERR_NONE};
    uint64_t end = clock_us() + SLICE_US;
    struct err why;

    if (end > s->bench.until)
        end = s->bench.until;
    do {
        if (!sign_once(s, &why))
            return give_up(s, &why, err);
    } while (clock_us() < end);
    if (clock_us() >= s->bench.until) {
        answer(s, &none);
        s->bench.until = 0;
    }
    return true;
}
