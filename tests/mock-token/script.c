/* SPDX-License-Identifier: Apache-2.0
 *
 * The script: a line a rule (README.md). It is looked at before every call and read again when it
 * is another file than before, so that a test arms the module when it likes, by a rename. A process
 * that may no longer open files (a signer) goes on with the rules that it has.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "keyd/token/names.h"
#include "tests/mock-token/mock.h"

#define RULES_MAX 16
#define WORDS_MAX 12
#define BESIDE    "mock-token.script"
#define RV_NAMED  0x300 /* all CKR_ that have a name are below */

struct rule {
    unsigned first, last; /* which of the calls, from 1 */
    char function[40];    /* empty: of any function */
    unsigned seen;
    struct fate fate;
};

static struct rule rules[RULES_MAX];
static size_t rule_count;
static char path[4096];
static struct stat known;

/* ---- reading */

/* A broken script must not look like a token without faults. */
static void broken(const char *word)
{
    fprintf(stderr, "%s: \"%s\" is not understood\n", path, word);
    abort();
}

static const char *next(char ***words)
{
    if (!**words)
        broken("(end of line)");
    return *(*words)++;
}

static unsigned number(const char *word)
{
    char *end;
    unsigned long n = strtoul(word, &end, 0);

    if (*end || end == word)
        broken(word);
    return (unsigned)n;
}

static CK_RV result(const char *word)
{
    for (CK_RV rv = 0; rv < RV_NAMED; rv++) {
        const char *name = names_find(NAMES_RESULT, rv);
        if (name && strcmp(name, word) == 0)
            return rv;
    }
    return number(word);
}

static void read_fate(struct fate *f, char ***words)
{
    const char *what = next(words);

    if (strcmp(what, "fail") == 0 || strcmp(what, "fail-after") == 0) {
        f->fail = what[4] == '\0';
        f->fail_after = !f->fail;
        f->rv = result(next(words));
    } else if (strcmp(what, "slow") == 0) {
        f->slow_ms = number(next(words));
    } else if (strcmp(what, "hang") == 0) {
        f->hang = true;
    } else if (strcmp(what, "crash") == 0) {
        f->crash = true;
    } else if (strcmp(what, "crash-after") == 0) {
        f->crash_after = true;
    } else {
        broken(what);
    }
}

/* "at 3 C_Sign fail CKR_DEVICE_ERROR", "from 1 slow 20", "from 5 to 9 fail CKR_DEVICE_REMOVED" */
static void read_rule(const char *when, char ***words)
{
    struct rule *r = &rules[rule_count];

    if (rule_count == RULES_MAX)
        broken("too many rules");
    *r = (struct rule){.first = number(next(words))};
    r->last = strcmp(when, "at") == 0 ? r->first : ~0u;
    if (**words && strcmp(**words, "to") == 0) {
        next(words);
        r->last = number(next(words));
    }
    if (**words && strncmp(**words, "C_", 2) == 0)
        snprintf(r->function, sizeof(r->function), "%s", next(words));
    read_fate(&r->fate, words);
    rule_count++;
}

static void read_line(char *line)
{
    char *words[WORDS_MAX + 1] = {NULL}, **at = words, *w;
    size_t n = 0;

    line[strcspn(line, "#\n")] = '\0';
    while ((w = strsep(&line, " ")) && n < WORDS_MAX)
        if (*w)
            words[n++] = w;
    if (n == 0)
        return;
    const char *verb = next(&at);
    if (strcmp(verb, "journal") == 0) {
        journal_open(next(&at));
    } else if (strcmp(verb, "lie") == 0) {
        const char *lie = next(&at);
        if (!lies_tell(lie))
            broken(lie);
    } else if (strcmp(verb, "at") == 0 || strcmp(verb, "from") == 0) {
        read_rule(verb, &at);
    } else {
        broken(verb);
    }
    if (*at)
        broken(*at);
}

/* ---- finding it */

static void find_path(void)
{
    const char *named = getenv("KEYD_MOCK_SCRIPT");
    Dl_info info;

    if (named) {
        snprintf(path, sizeof(path), "%s", named);
    } else if (dladdr(&known, &info) && info.dli_fname && strrchr(info.dli_fname, '/')) {
        int dir = (int)(strrchr(info.dli_fname, '/') - info.dli_fname);
        snprintf(path, sizeof(path), "%.*s/" BESIDE, dir, info.dli_fname);
    }
}

static bool same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

void script_refresh(void)
{
    char line[1024];
    struct stat st;

    find_path();
    if (!*path || stat(path, &st) != 0) {
        rule_count = 0; /* no script, no rules */
        known = (struct stat){0};
        return;
    }
    if (same(&st, &known))
        return;
    FILE *f = fopen(path, "re");
    if (!f)
        return;
    known = st;
    rule_count = 0;
    while (fgets(line, sizeof(line), f))
        read_line(line);
    fclose(f);
}

/* ---- what a call meets */

static void add(struct fate *to, const struct fate *f)
{
    to->slow_ms += f->slow_ms;
    to->hang |= f->hang;
    to->crash |= f->crash;
    to->crash_after |= f->crash_after;
    if (!to->fail && !to->fail_after) {
        to->fail = f->fail;
        to->fail_after = f->fail_after;
        to->rv = f->rv;
    }
}

struct fate script_fate(const char *function)
{
    struct fate fate = {.rv = CKR_OK};

    for (size_t i = 0; i < rule_count; i++) {
        struct rule *r = &rules[i];

        if (*r->function && strcmp(r->function, function) != 0)
            continue;
        r->seen++;
        if (r->seen >= r->first && r->seen <= r->last)
            add(&fate, &r->fate);
    }
    return fate;
}
