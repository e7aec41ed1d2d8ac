/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/faults/faults.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "keyd/guard.h"

#define STARTS_MAX   5  /* in a row, until one serves */
#define TRIES_MAX    4  /* of the verb after its fault */
#define START_BUDGET 24 /* points of a start in the ordinary run */
#ifdef __SANITIZE_ADDRESS__
#define SLOW 4 /* how many times fewer points are tried in the ordinary run */
#else
#define SLOW 1
#endif
#define ROWS_MAX 64

static const struct fault *fault;
static struct guard guard;
static unsigned subjects, seed;
static bool full;

/* ---- the mock's journal */

const char *faults_journal(void)
{
    static char path[300];

    snprintf(path, sizeof(path), "%s/tokens/mock-token.journal", rig.state);
    return path;
}

long faults_journal_size(void)
{
    struct stat st;

    return stat(faults_journal(), &st) == 0 ? (long)st.st_size : 0;
}

/* What keyd must never ask a token for while it serves. */
static const char *const never[] = {
    "C_Decrypt",
    "C_Encrypt",
    "C_CreateObject",
    "C_WrapKey",
    "C_DeriveKey",
    "C_SignRecover",
    "C_SetPIN",
    "C_InitToken",
    "C_InitPIN",
    "C_GetOperationState",
    "CKA_PRIVATE_EXPONENT",
    "CKA_PRIME_",
    "CKA_EXPONENT_1",
    "CKA_EXPONENT_2",
    "CKA_COEFFICIENT",
    "CKA_VALUE",
};

/* The words of `never` are beginnings; "CKA_VALUE?" only asks whether the token would show it, and
 * CKA_VALUE_LEN is no secret. */
static bool has_word(const char *line, const char *word)
{
    for (const char *at = line; (at = strstr(at, word)); at++) {
        const char *end = at + strcspn(at, " }?");
        if (*end != '?' && strncmp(at, "CKA_VALUE_LEN", 13) != 0)
            return true;
    }
    return false;
}

static char stays[2 * CKA_ID_MAX + 1], off[2 * CKA_ID_MAX + 1]; /* CKA_IDs in hex */

static void judge_line(const struct verb_row *v, const char *line)
{
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (has_word(line, never[i]))
            fail_msg("%s asks the token: %s", v->name, line);
    if (strncmp(line, "C_DestroyObject token", 21) == 0 &&
        (strstr(line, stays) || strstr(line, off)))
        fail_msg("%s destroys another's key: %s", v->name, line);
}

/* Judges what was called since this place of the journal. */
static void judge_journal(const struct verb_row *v, long from)
{
    char line[2100];
    FILE *f = fopen(faults_journal(), "r");

    assert_non_null(f);
    assert_int_equal(fseek(f, from, SEEK_SET), 0);
    while (fgets(line, sizeof(line), f))
        judge_line(v, line);
    fclose(f);
}

static void note_id(const char *key, char hex[2 * CKA_ID_MAX + 1])
{
    const Keyd__V1__Key *k = rig_show(key);

    assert_non_null(k);
    for (size_t i = 0; i < k->cka_id.len; i++)
        snprintf(hex + 2 * i, 3, "%02x", k->cka_id.data[i]);
}

/* ---- the custodian */

/* As the parent: an emptied file is put back before the next token process starts, and learnt when
 * one is ready. */
static void mend(void)
{
    struct err err;
    bool mended;

    must(guard_mend(&guard, &mended, &err), &err);
}

static void connect_all(void)
{
    struct err err;

    must(guard_learn(&guard, rig.guard, &err), &err);
    rig_connect(0, PROC_GATE_CONTROL, 0, 1);
    rig_connect(1, PROC_SIGNER, 0, 1);
    rig_connect(2, PROC_GATE_SIGNING, 0, 1);
}

void faults_serve(void)
{
    mend();
    rig_start();
    if (!rig.ready)
        fail_msg("the custodian did not start: %s", rig.failed.text);
    connect_all();
}

/* One that lost its session ends after its answer, before it serves anything else. */
static bool is_staying(void)
{
    Keyd__V1__TenantsList body = KEYD__V1__TENANTS_LIST__INIT;
    REQUEST(e, TENANTS_LIST, tenants_list, &body);

    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    return rig_answer() != NULL;
}

/* If it is going or gone, another one serves. True: it was another one. */
static bool renew(void)
{
    if (!rig.over && is_staying())
        return false;
    (void)rig_wait();
    faults_serve();
    return true;
}

/* ---- one point */

enum outcome { DONE, REFUSED, ENDED };

static char said[600]; /* by the last refusal */
static enum err_code said_code;

static enum outcome ask(envelope *e)
{
    rig_ask_as(e, ROLE_OPERATOR, verb_uid, WAIT_MS);
    const envelope *answer = rig_answer();
    if (!answer)
        return ENDED;
    if (answer->body_case != KEYD__V1__ENVELOPE__BODY_ERROR)
        return DONE;
    said_code = (enum err_code)answer->error->code;
    snprintf(said, sizeof(said), "%s", answer->error->message);
    return REFUSED;
}

/* A refusal names what the token said. */
static void judge_refusal(const struct verb_row *v, unsigned n, unsigned kind)
{
    const char *word = fault->word(kind);

    if (!word)
        fail_msg("%s, point %u: refused instead of killed: %s", v->name, n, said);
    if (strstr(said, word) || (v->one_answer && strstr(said, "could not be unwrapped")))
        return;
    if (strstr(said, "CKR_OPERATION_ACTIVE")) /* of a search whose end failed */
        return;
    fail_msg("%s, point %u: no %s in \"%s\"", v->name, n, word, said);
}

/* Repeated until it is done: at once, or by the custodian after the one that was lost. */
static void repeat(const struct verb_row *v, const char *subject)
{
    for (unsigned i = 0; i < TRIES_MAX; i++) {
        enum outcome o = ask(v->request(subject, v->type));

        if (o == DONE || (o == REFUSED && v->over && said_code == v->over))
            return;
        if (!renew())
            fail_msg("%s does not work again: %s", v->name, said);
    }
    fail_msg("%s does not work again: %s", v->name, said);
}

/* How many points there were, up to the fault. */
static unsigned try_point(const struct verb_row *v, unsigned n, unsigned kind)
{
    char subject[32];

    snprintf(subject, sizeof(subject), "k%u", subjects++);
    verb_uid++;
    if (v->before)
        v->before(subject);
    envelope *e = v->request(subject, v->type);
    long from = faults_journal_size();
    fault->arm(n, kind);
    enum outcome o = ask(e);
    unsigned count = fault->count();
    bool reached = n > 0 && count >= n;
    fault->disarm();
    judge_journal(v, from);
    if (o == REFUSED)
        judge_refusal(v, n, kind);
    if (!reached && o != DONE)
        fail_msg("%s fails without a fault: %s", v->name, o == REFUSED ? said : "it ended");
    bool renewed = renew();
    whole_check(renewed);
    if (o != DONE)
        repeat(v, subject);
    if (v->after)
        v->after(subject);
    return count;
}

/* ---- a row */

/* Whether this point of `all` is one of the `budget` that are tried. */
static bool chosen(unsigned n, unsigned all, unsigned budget)
{
    budget = (budget + fault->share * SLOW - 1) / (fault->share * SLOW);
    return full || all <= budget || (n + seed) * budget % all < budget;
}

static void row_begin(void)
{
    char uri[sizeof(rig.uri)];
    struct err err;

    assert_int_equal(rig_setup(NULL), 0);
    snprintf(uri, sizeof(uri), "%s&pin-source=file:%s/user.pin", MOCK_URI, rig.state);
    memcpy(rig.uri, uri, sizeof(uri));
    must(guard_open(&guard, rig.state, &err), &err);
    fault->disarm();
    faults_serve();
    whole_begin();
    note_id("acme/stays", stays);
    note_id("acme/off", off);
}

static void row_end(void)
{
    (void)renew();
    rig_stop();
    faults_serve();
    whole_check(true);
    rig_stop();
    mock_done();
    rig_teardown(NULL);
}

static void print_row(const char *name, unsigned all, unsigned points, unsigned tries)
{
    printf("%-26s %4u %s, %4u tried in %4u runs, %u fragments\n", name, all, fault->points, points,
           tries, whole_fragments());
    fflush(stdout);
}

static unsigned kinds_at(unsigned n, unsigned *first)
{
    *first = full ? 0 : (n + seed) % fault->kinds;
    return full ? fault->kinds : 1;
}

static void run_row(const struct verb_row *v)
{
    unsigned points = 0, tries = 0, first;

    row_begin();
    unsigned all = try_point(v, 0, 0);
    for (unsigned n = 1; n <= all; n++) {
        if (!chosen(n, all, v->budget))
            continue;
        unsigned kinds = kinds_at(n, &first);
        for (unsigned k = 0; k < kinds; k++, tries++)
            try_point(v, n, first + k);
        points++;
    }
    row_end();
    print_row(v->name, all, points, tries);
}

/* ---- the start, with all there is to reconcile */

static unsigned try_start(unsigned n, unsigned kind)
{
    char subject[32];

    snprintf(subject, sizeof(subject), "w%u", subjects++);
    verb_wreck(subject);
    fault->arm_next(n, kind);
    mend();
    rig_start();
    unsigned count = fault->count();
    fault->disarm();
    if (!rig.ready) {
        const char *word = fault->word(kind);
        if (word && !strstr(rig.failed.text, word) &&
            !strstr(rig.failed.text, "CKR_OPERATION_ACTIVE")) /* of a search whose end failed */
            fail_msg("start, point %u: no %s in \"%s\"", n, word, rig.failed.text);
        rig_kill();
        faults_serve();
    } else {
        connect_all();
        (void)renew();
        whole_check(false); /* what could not be undone is tried again at the next start */
        rig_stop();
        faults_serve();
    }
    whole_check(true);
    return count;
}

static void run_start(void)
{
    unsigned points = 0, tries = 0, first;

    row_begin();
    unsigned all = try_start(0, 0);
    for (unsigned n = 1; n <= all; n++) {
        if (!chosen(n, all, START_BUDGET))
            continue;
        unsigned kinds = kinds_at(n, &first);
        for (unsigned k = 0; k < kinds; k++, tries++)
            try_start(n, first + k);
        points++;
    }
    row_end();
    print_row("start and reconciliation", all, points, tries);
}

/* ---- all */

static void one_row(void **state)
{
    run_row(*state);
}

static void the_start(void **state)
{
    (void)state;
    run_start();
}

static int clean_up(void **state)
{
    mock_done();
    return rig_teardown(state);
}

/* KEYD_TEST_ROW chooses rows by a part of their name. */
static bool is_asked_for(const char *name)
{
    const char *only = getenv("KEYD_TEST_ROW");

    return !only || strstr(name, only);
}

int faults_run(const struct fault *f)
{
    struct CMUnitTest tests[ROWS_MAX + 1];
    const char *text = getenv("KEYD_TEST_SEED");
    size_t count = 0;

    fault = f;
    full = getenv("KEYD_TEST_FULL") != NULL;
    seed = text ? (unsigned)strtoul(text, NULL, 10) : 0;
    printf("seed %u, %s run\n", seed, full ? "full" : "ordinary");
    assert_true(verb_row_count <= ROWS_MAX);
    for (size_t i = 0; i < verb_row_count; i++) {
        const struct verb_row *v = &verb_rows[i];
        if (is_asked_for(v->name) && (full || !v->full_only))
            tests[count++] = (struct CMUnitTest){v->name, one_row, NULL, clean_up, (void *)v};
    }
    if (is_asked_for("start"))
        tests[count++] = (struct CMUnitTest){"start", the_start, NULL, clean_up, NULL};
    return _cmocka_run_group_tests(f->points, tests, count, NULL, NULL);
}
