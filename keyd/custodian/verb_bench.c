/* SPDX-License-Identifier: Apache-2.0
 *
 * token-bench: what the token can do, tried, and how fast it is with one signer, two, ... all. Keys
 * are session objects of the process that uses them: nothing comes into the token, whoever dies.
 *
 * Signing is measured in the signers themselves, because that is where it happens: each has its own
 * module, its own locks. They do it in slices between the calls of the gate. Making a key is one
 * call that nothing interrupts, so signers are asked for keys one after another, and only for types
 * that the custodian has found to be made quickly; the others are signed with here, by one process.
 */
#include <sched.h>
#include <stdio.h>
#include <string.h>

#include "keyd/custodian/internal.h"
#include "keyd/token/sign.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define DEFAULT_S    10
#define LEAST_S      2
#define MOST_S       15
#define KEYS_MOST    3          /* of a type, to see how long they take */
#define QUICK_US     500000     /* such an RSA key may be made beside live signing */
#define RUN_LEAST_US 50000u     /* a shorter run says nothing */
#define RUN_MOST_US  1000000u   /* a longer one says no more */
#define GRACE_US     5000000ull /* for an answer that is due */
#define PUMP_US      20000
#define COUNTS_MAX   16
#define TYPES        (KEY_TYPE_COUNT - 1)
#define TRIED_MAX    (TYPES * (SCHEME_COUNT + 1))

/* What people ask for first is measured first. */
static const enum key_type order[TYPES] = {KEY_TYPE_EC_P256, KEY_TYPE_RSA_2048, KEY_TYPE_EC_P384,
                                           KEY_TYPE_ED25519, KEY_TYPE_RSA_3072, KEY_TYPE_RSA_4096};

struct answer {
    bool came;
    struct err why;
    uint64_t made_us, took_us;
    struct histogram took;
};

struct bench {
    const struct ask *ask;
    Keyd__V1__TokenBenchReply *reply;
    uint64_t until;
    uint32_t run;
    size_t signers[PEERS_MAX]; /* places of those that take part */
    uint32_t generations[PEERS_MAX];
    size_t signer_count;
    uint32_t counts[COUNTS_MAX]; /* 1, 2, ... all */
    size_t count_count;
    size_t runs_left;
    char cut_short[160];
    struct answer answers[PEERS_MAX];
};

static bool cut_short(struct bench *b, const char *why)
{
    if (!*b->cut_short)
        snprintf(b->cut_short, sizeof(b->cut_short), "%s", why);
    return false;
}

/* Whether to go on. */
static bool may_go_on(const struct custodian *c, struct bench *b)
{
    if (*b->cut_short)
        return false;
    if (request_takes_waiting(c))
        return cut_short(b, "a verb that takes away was waiting");
    if (c->draining || c->parent_gone)
        return cut_short(b, "keyd is ending");
    return clock_us() < b->until || cut_short(b, "its time was up");
}

/* ---- talking to signers */

void bench_answered(struct custodian *c, struct peer *p, struct msg *m)
{
    struct answer a = {.came = true};
    uint32_t run = rd_u32(&m->body);

    msg_get_err(m, &a.why);
    a.made_us = rd_u64(&m->body);
    a.took_us = rd_u64(&m->body);
    tally_get_took(m, &a.took);
    msg_end(m, &p->chan);
    if (c->bench && c->bench->run == run)
        c->bench->answers[p - c->peers] = a;
}

static struct peer *signer_at(struct custodian *c, const struct bench *b, size_t i)
{
    struct peer *p = &c->peers[b->signers[i]];

    return p->chan.fd >= 0 && p->chan.generation == b->generations[i] ? p : NULL;
}

static void tell(struct custodian *c, struct bench *b, size_t i, enum key_type type, uint32_t ms)
{
    struct peer *p = signer_at(c, b, i);

    b->answers[b->signers[i]] = (struct answer){.came = false};
    if (!p)
        return;
    chan_put(&p->chan, MSG_BENCH);
    put_u32(&p->chan, b->run);
    put_u8(&p->chan, (uint8_t)type);
    put_u32(&p->chan, ms);
    chan_end(&p->chan);
}

/* Waits for the answers of the signers from `first` to before `end`. False: one is gone or failed;
 * then nothing more is measured. */
static bool wait_for(struct custodian *c, struct bench *b, size_t first, size_t end, uint64_t until)
{
    for (size_t i = first; i < end; i++) {
        const struct answer *a = &b->answers[b->signers[i]];

        while (!a->came && signer_at(c, b, i) && !c->parent_gone && clock_us() < until)
            peers_pump(c, clock_wait_ms(until));
        if (!a->came)
            return cut_short(b, "a signer ended meanwhile, or did not answer");
        if (a->why.code != ERR_NONE)
            return cut_short(b, a->why.text);
    }
    return true;
}

/* ---- making keys */

static void destroy(struct custodian *c, token_handle key)
{
    struct err err;

    if (!token_destroy(c->token, key, &err))
        custodian_note(c, "a key of token-bench is left until the custodian is replaced: %s",
                       err.text);
}

static bool make_one(struct custodian *c, enum key_type type, token_handle *ret, uint32_t *ret_us,
                     struct err *err)
{
    static const uint8_t id[] = "keyd-bench";
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len = sizeof(spki);
    uint64_t start = clock_us();

    TRY(token_generate(c->token, type, id, sizeof(id) - 1, "keyd bench", false, ret, spki,
                       &spki_len, err));
    *ret_us = (uint32_t)(clock_us() - start);
    if (token_prove(c->token, *ret, type, spki, spki_len, err))
        return true;
    destroy(c, *ret);
    return false;
}

static bool add_generation(struct bench *b, enum key_type type, const uint32_t *us, size_t n,
                           struct err *err)
{
    Keyd__V1__TokenBenchReply *r = b->reply;
    Keyd__V1__BenchGeneration *g = ask_alloc(b->ask, sizeof(*g), err);

    TRY(g);
    keyd__v1__bench_generation__init(g);
    g->type = (Keyd__V1__KeyType)type;
    g->keys = (uint32_t)n;
    g->p50_us = us[(n - 1) / 2];
    g->max_us = us[n - 1];
    r->generations[r->n_generations++] = g;
    return true;
}

static void sort_in(uint32_t *us, size_t i)
{
    for (; i > 0 && us[i] < us[i - 1]; i--) {
        uint32_t swap = us[i];

        us[i] = us[i - 1];
        us[i - 1] = swap;
    }
}

/* Makes some, keeps the last one; *ret_best_us: how long the quickest took. */
static bool measure_making(struct custodian *c, struct bench *b, enum key_type type,
                           token_handle *ret, uint32_t *ret_best_us, struct err *err)
{
    uint32_t us[KEYS_MOST];
    size_t n = 0;

    while (n < KEYS_MOST && (n == 0 || (us[n - 1] < 2 * QUICK_US && may_go_on(c, b)))) {
        if (n > 0)
            destroy(c, *ret);
        TRY(make_one(c, type, ret, &us[n], err));
        sort_in(us, n++);
        peers_pump(c, 0);
    }
    *ret_best_us = us[0];
    if (add_generation(b, type, us, n, err))
        return true;
    destroy(c, *ret);
    return false;
}

/* ---- what it signs */

static bool add_tried(struct bench *b, enum key_type type, const struct scheme *scheme,
                      const char *why, struct err *err)
{
    Keyd__V1__TokenBenchReply *r = b->reply;
    Keyd__V1__BenchTried *t = ask_alloc(b->ask, sizeof(*t), err);
    size_t len = strlen(why) + 1;
    char *text = ask_alloc(b->ask, len, err);

    TRY(t && text);
    keyd__v1__bench_tried__init(t);
    memcpy(text, why, len);
    t->type = (Keyd__V1__KeyType)type;
    t->scheme = scheme->code;
    t->name = (char *)scheme->name;
    t->error = text;
    r->tried[r->n_tried++] = t;
    return true;
}

static bool try_schemes(struct custodian *c, struct bench *b, enum key_type type, token_handle key,
                        struct err *err)
{
    static const uint8_t message[] = "keyd bench";
    uint8_t sig[SIGNATURE_MAX];
    struct err why;

    for (size_t i = 0; i < SCHEME_COUNT; i++) {
        const struct scheme *scheme = scheme_at(i);
        size_t len = sizeof(sig);

        if (!scheme_fits(scheme, type, PURPOSE_CSR, &why))
            continue;
        bool ok = token_sign(c->token, key, scheme, message, sizeof(message), sig, &len, &why);
        TRY(add_tried(b, type, scheme, ok ? "" : why.text, err));
        if (token_lost(c->token)) {
            *err = why;
            return false;
        }
    }
    return true;
}

/* ---- how fast */

static bool add_rate(struct bench *b, enum key_type type, uint32_t signers, double per_second,
                     const struct histogram *took, struct err *err)
{
    Keyd__V1__TokenBenchReply *r = b->reply;
    Keyd__V1__BenchRate *rate = ask_alloc(b->ask, sizeof(*rate), err);

    TRY(rate);
    keyd__v1__bench_rate__init(rate);
    rate->type = (Keyd__V1__KeyType)type;
    rate->scheme = scheme_for_type(type)->code;
    rate->signers = signers;
    rate->per_second = per_second;
    rate->p50_us = histogram_percentile(took, 500);
    rate->p99_us = histogram_percentile(took, 990);
    r->rates[r->n_rates++] = rate;
    return true;
}

/* How long the next run may take: what is left is shared out. */
static uint32_t run_us(const struct bench *b)
{
    uint64_t now = clock_us(), left = b->until > now ? b->until - now : 0;
    uint64_t share = left / (b->runs_left ? b->runs_left : 1);

    return share < RUN_LEAST_US  ? RUN_LEAST_US
           : share > RUN_MOST_US ? RUN_MOST_US
                                 : (uint32_t)share;
}

static bool sign_here(struct custodian *c, struct bench *b, enum key_type type, token_handle key,
                      struct err *err)
{
    static const uint8_t message[130] = "keyd bench";
    const struct scheme *scheme = scheme_for_type(type);
    struct histogram took = {0};
    uint64_t start = clock_us(), pumped = start, now = start, end = start + run_us(b);

    while (now < end && may_go_on(c, b)) {
        uint8_t sig[SIGNATURE_MAX];
        size_t len = sizeof(sig);

        TRY(token_sign(c->token, key, scheme, message, sizeof(message), sig, &len, err));
        histogram_add(&took, (uint32_t)(clock_us() - now));
        if (clock_us() - pumped > PUMP_US) {
            peers_pump(c, 0);
            pumped = clock_us();
        }
        now = clock_us();
    }
    b->runs_left--;
    return took.total == 0 ||
           add_rate(b, type, 0, (double)took.total * 1e6 / (double)(now - start), &took, err);
}

/* So many of them at once. False without an error: it was cut short. */
static bool sign_with(struct custodian *c, struct bench *b, enum key_type type, size_t n)
{
    uint32_t us = run_us(b);
    struct histogram took = {0};
    double per_second = 0;
    struct err ignored;

    b->run++;
    for (size_t i = 0; i < n; i++)
        tell(c, b, i, type, us / 1000);
    if (!wait_for(c, b, 0, n, clock_us() + us + GRACE_US))
        return false;
    for (size_t i = 0; i < n; i++) {
        const struct answer *a = &b->answers[b->signers[i]];

        if (a->took_us)
            per_second += (double)a->took.total * 1e6 / (double)a->took_us;
        for (size_t j = 0; j < HISTOGRAM_BUCKETS; j++)
            histogram_add_bucket(&took, j, a->took.buckets[j]);
    }
    b->runs_left--;
    return add_rate(b, type, (uint32_t)n, per_second, &took, &ignored) ||
           cut_short(b, "no room for the answer");
}

/* One key after another, so that never two signers are away from their work. */
static bool keys_of_signers(struct custodian *c, struct bench *b, enum key_type type)
{
    for (size_t i = 0; i < b->signer_count; i++) {
        if (!may_go_on(c, b))
            return false;
        b->run++;
        tell(c, b, i, type, 0);
        if (!wait_for(c, b, i, i + 1, clock_us() + GRACE_US))
            return false;
    }
    return true;
}

static void sign_there(struct custodian *c, struct bench *b, enum key_type type)
{
    if (!keys_of_signers(c, b, type))
        return;
    for (size_t i = 0; i < b->count_count; i++)
        if (!may_go_on(c, b) || !sign_with(c, b, type, b->counts[i]))
            return;
}

/* ---- one type */

/* Keys on curves are made in a moment anywhere; RSA may take seconds. */
static bool quickly_made(enum key_type type, uint32_t best_us)
{
    return key_type_info(type)->kind != KEY_KIND_RSA || best_us <= QUICK_US;
}

static bool sign_where_it_fits(struct custodian *c, struct bench *b, enum key_type type,
                               token_handle *key, uint32_t best_us, struct err *err)
{
    if (b->signer_count > 0 && quickly_made(type, best_us)) {
        destroy(c, *key);
        *key = 0;
        sign_there(c, b, type);
        return true;
    }
    if (b->signer_count > 0) /* one run instead of many */
        b->runs_left -= b->count_count - 1;
    return sign_here(c, b, type, *key, err);
}

/* What the token fails at is told, and the next type is tried; unless the token is gone. */
static bool measure_type(struct custodian *c, struct bench *b, enum key_type type, struct err *err)
{
    token_handle key = 0;
    uint32_t best_us = 0;
    struct err why = {.code = ERR_NONE};

    bool made = measure_making(c, b, type, &key, &best_us, &why);
    bool ok = made && try_schemes(c, b, type, key, &why) &&
              sign_where_it_fits(c, b, type, &key, best_us, &why);
    if (made && key && !token_lost(c->token))
        destroy(c, key);
    if (ok)
        return true;
    if (!token_lost(c->token))
        return add_tried(b, type, scheme_for_type(type), why.text, err);
    *err = why;
    return false;
}

/* ---- the whole */

static void find_signers(struct custodian *c, struct bench *b)
{
    for (size_t i = 0; i < PEERS_MAX; i++) {
        const struct chan *chan = &c->peers[i].chan;

        if (chan->fd < 0 || chan->peer != PROC_SIGNER)
            continue;
        b->generations[b->signer_count] = chan->generation;
        b->signers[b->signer_count++] = i;
    }
    for (uint32_t n = 1; n < b->signer_count && b->count_count < COUNTS_MAX - 1; n += n < 8 ? 1 : 8)
        b->counts[b->count_count++] = n;
    if (b->signer_count > 0)
        b->counts[b->count_count++] = (uint32_t)b->signer_count;
}

static bool prepare(struct custodian *c, struct bench *b, struct err *err)
{
    Keyd__V1__TokenBenchReply *r = b->reply;
    uint32_t seconds = b->ask->e->token_bench->seconds;
    cpu_set_t cpus;

    if (seconds && (seconds < LEAST_S || seconds > MOST_S))
        return err_set(err, ERR_BAD_REQUEST, "token-bench takes %d to %d seconds, not %u", LEAST_S,
                       MOST_S, seconds);
    find_signers(c, b);
    r->generations = ask_alloc(b->ask, TYPES * sizeof(*r->generations), err);
    r->rates = ask_alloc(b->ask, TYPES * COUNTS_MAX * sizeof(*r->rates), err);
    r->tried = ask_alloc(b->ask, TRIED_MAX * sizeof(*r->tried), err);
    r->advice = ask_alloc(b->ask, TYPES * sizeof(*r->advice), err);
    TRY(r->generations && r->rates && r->tried && r->advice);
    r->signers = (uint32_t)b->signer_count;
    r->cores = sched_getaffinity(0, sizeof(cpus), &cpus) == 0 ? (uint32_t)CPU_COUNT(&cpus) : 1;
    for (size_t i = 0; i < TYPES; i++)
        if (token_can_generate(c->token, order[i]))
            b->runs_left += b->count_count ? b->count_count : 1;
    b->until = clock_us() + (seconds ? seconds : DEFAULT_S) * 1000000ull;
    return true;
}

static bool measure(struct custodian *c, struct bench *b, struct err *err)
{
    for (size_t i = 0; i < TYPES; i++)
        if (token_can_generate(c->token, order[i]) && may_go_on(c, b))
            TRY(measure_type(c, b, order[i], err));
    return true;
}

/* The signers forget their keys; who is gone has forgotten. */
static void tidy(struct custodian *c, struct bench *b)
{
    b->run++;
    for (size_t i = 0; i < b->signer_count; i++)
        tell(c, b, i, KEY_TYPE_NONE, 0);
    (void)wait_for(c, b, 0, b->signer_count, clock_us() + GRACE_US);
}

static bool advise(struct bench *b, enum key_type type, struct err *err)
{
    Keyd__V1__TokenBenchReply *r = b->reply;
    struct bench_point points[COUNTS_MAX];
    size_t n = 0, size = 240;

    for (size_t i = 0; i < r->n_rates; i++) {
        const Keyd__V1__BenchRate *rate = r->rates[i];

        if (rate->type == (Keyd__V1__KeyType)type && rate->signers > 0 && rate->per_second > 0)
            points[n++] = (struct bench_point){rate->signers, rate->per_second};
    }
    if (n == 0 || points[0].signers != 1)
        return true;
    char *text = ask_alloc(b->ask, size, err);
    TRY(text);
    bench_advice(key_type_info(type)->name, points, n, r->cores, text, size);
    r->advice[r->n_advice++] = text;
    return true;
}

static bool finish(struct bench *b, struct err *err)
{
    size_t len = strlen(b->cut_short) + 1;
    char *why = ask_alloc(b->ask, len, err);

    TRY(why);
    memcpy(why, b->cut_short, len);
    b->reply->cut_short = why;
    for (size_t i = 0; i < TYPES; i++)
        TRY(advise(b, order[i], err));
    return true;
}

bool verb_token_bench(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokenBenchReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE struct bench *b = mem_new(sizeof(*b));

    TRY(reply && (b || err_set(err, ERR_INTERNAL, "no memory for token-bench")));
    keyd__v1__token_bench_reply__init(reply);
    b->ask = ask;
    b->reply = reply;
    TRY(prepare(c, b, err));
    c->bench = b;
    bool ok = measure(c, b, err);
    tidy(c, b);
    c->bench = NULL;
    TRY(ok && finish(b, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKEN_BENCH_REPLY;
    ret->token_bench_reply = reply;
    return true;
}
