/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/keydctl/options.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/base/mem.h"

#define WORD_MAX    32  /* longer words are near to nothing */
#define WORDS_MAX   128 /* that a nearest one is looked for among */
#define SECONDS_MAX 3600

const struct option_row global_options[] = {
    {"socket", "PATH",
     "keyd's control socket, or tls:HOST:PORT (default:\n"
     "$KEYD_CONTROL_SOCKET, else /run/keyd/control/control.sock)",
     0},
    {"tls-ca", "FILE", "over TLS: who certified keyd (default: $KEYD_TLS_CA)", 0},
    {"tls-cert", "FILE", "over TLS: who I am (default: $KEYD_TLS_CERT)", 0},
    {"tls-key", "FILE", "over TLS: its private key (default: $KEYD_TLS_KEY)", 0},
    {"token-file", "FILE",
     "an API token says who I am; \"-\": ask for it (default:\n"
     "what is in $KEYD_TOKEN, if anything)",
     0},
    {"timeout", "SECONDS", "how long to wait (default: 10; keys-generate, keys-import: 60)", 0},
    {"json", NULL, "print JSON, for machines", 0},
    {"help", NULL, "show help; after a command: about it, with an example", 0},
    {"version", NULL, "print the version of keydctl", 0},
    {0},
};

/* ---- the nearest known word */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* How many letters must be changed, left out, put in or swapped with their neighbour (optimal
 * string alignment). */
static size_t distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    size_t row[3][WORD_MAX + 1];

    if (n > WORD_MAX || m > WORD_MAX)
        return WORD_MAX;
    for (size_t j = 0; j <= m; j++)
        row[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *now = row[i % 3];
        const size_t *up = row[(i - 1) % 3];

        now[0] = i;
        for (size_t j = 1; j <= m; j++) {
            now[j] = least(least(up[j], now[j - 1]) + 1, up[j - 1] + (a[i - 1] != b[j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                now[j] = least(now[j], row[(i - 2) % 3][j - 2] + 1);
        }
    }
    return row[n % 3][m];
}

const char *nearest(const char *word, const char *const *list)
{
    const char *best = NULL;
    size_t most = strlen(word) / 3 + 1;

    for (; *list; list++) {
        bool begins = strlen(word) >= 3 && strncmp(*list, word, strlen(word)) == 0;
        size_t d = begins ? 1 : distance(word, *list);

        if (d <= most && (!best || d < most)) {
            best = *list;
            most = d;
        }
    }
    return best;
}

static bool unknown(const char *kind, const char *dashes, const char *word,
                    const char *const *known, const char *where, struct err *err)
{
    const char *near = nearest(word, known);

    err_set(err, ERR_BAD_REQUEST, "there is no %s '%s%s'", kind, dashes, word);
    if (near)
        return err_hint(err, "did you mean '%s%s'? '%s --help' lists them all", dashes, near,
                        where);
    return err_hint(err, "'%s --help' lists them all", where);
}

/* ---- looking things up in the tables */

static const struct option_row *find_row(const struct option_row *rows, const char *name, size_t n)
{
    for (; rows && rows->name; rows++)
        if (strlen(rows->name) == n && strncmp(rows->name, name, n) == 0)
            return rows;
    return NULL;
}

static bool unknown_option(const struct command *command, const char *name, size_t n,
                           struct err *err)
{
    const char *known[WORDS_MAX + 1] = {0};
    const struct option_row *tables[] = {command ? command->options : NULL, global_options};
    char word[64], where[64];
    size_t count = 0;

    for (size_t t = 0; t < 2; t++)
        for (const struct option_row *r = tables[t]; r && r->name && count < WORDS_MAX; r++)
            known[count++] = r->name;
    snprintf(word, sizeof(word), "%.*s", (int)(n < 60 ? n : 60), name);
    snprintf(where, sizeof(where), "keydctl%s%s", command ? " " : "", command ? command->name : "");
    return unknown("option", "--", word, known, where, err);
}

static bool find_command(const char *word, const struct command *const *nouns,
                         const struct command **ret, struct err *err)
{
    const char *known[WORDS_MAX + 1] = {0};
    size_t count = 0;

    for (; *nouns; nouns++)
        for (const struct command *c = *nouns; c->name; c++) {
            if (strcmp(c->name, word) == 0) {
                *ret = c;
                return true;
            }
            if (count < WORDS_MAX)
                known[count++] = c->name;
        }
    return unknown("command", "", word, known, "keydctl", err);
}

/* ---- reading */

static bool give(struct args *args, const struct option_row *row, const char *value,
                 struct err *err)
{
    if (!(row->flags & OPTION_REPEAT) && args_get(args, row->name))
        return err_set(err, ERR_BAD_REQUEST, "--%s is given twice", row->name);
    args->given[args->count++] = (struct given){.row = row, .value = value};
    return true;
}

/* Reads the option at argv[*at], and its value; *at is then the last word that was used. */
static bool read_option(struct args *args, int argc, char **argv, int *at, struct err *err)
{
    const char *name = argv[*at] + 2;
    size_t n = strcspn(name, "=");
    const char *value = name[n] ? name + n + 1 : NULL;
    const struct option_row *row = find_row(global_options, name, n);

    if (!row && args->command)
        row = find_row(args->command->options, name, n);
    if (!row)
        return unknown_option(args->command, name, n, err);
    if (!row->value && value)
        return err_set(err, ERR_BAD_REQUEST, "--%s takes no value", row->name);
    if (row->value && !value) {
        if (*at + 1 >= argc) {
            err_set(err, ERR_BAD_REQUEST, "--%s needs a value", row->name);
            return err_hint(err, "--%s %s", row->name, row->value);
        }
        value = argv[++*at];
    }
    return give(args, row, value ? value : "", err);
}

static bool ask_help(struct args *args, struct err *err)
{
    return give(args, find_row(global_options, "help", 4), "", err);
}

/* The first word is the command ("help" is --help), those after it are its operands. */
static bool read_word(struct args *args, const char *word, const struct command *const *nouns,
                      struct err *err)
{
    char usage[256];

    if (!args->command && strcmp(word, "help") == 0)
        return ask_help(args, err);
    if (!args->command)
        return find_command(word, nouns, &args->command, err);
    for (const struct option_row *r = args->command->options; r && r->name; r++)
        if (r->flags & OPTION_OPERAND && !args_get(args, r->name))
            return give(args, r, word, err);
    err_set(err, ERR_BAD_REQUEST, "'%s' is one word too many", word);
    return err_hint(err, "usage: %s", usage_line(args->command, usage, sizeof(usage)));
}

static bool read_all(struct args *args, int argc, char **argv, const struct command *const *nouns,
                     struct err *err)
{
    bool words_only = false;

    for (int i = 1; i < argc; i++) {
        if (!words_only && strcmp(argv[i], "--") == 0)
            words_only = true;
        else if (!words_only && strcmp(argv[i], "-h") == 0)
            TRY(ask_help(args, err));
        else if (!words_only && strncmp(argv[i], "--", 2) == 0)
            TRY(read_option(args, argc, argv, &i, err));
        else if (!words_only && argv[i][0] == '-' && argv[i][1])
            TRY(unknown_option(args->command, argv[i] + 1, strlen(argv[i]) - 1, err));
        else
            TRY(read_word(args, argv[i], nouns, err));
    }
    return true;
}

bool args_parse(struct args *ret, int argc, char **argv, const struct command *const *nouns,
                struct err *err)
{
    struct args args = {.given = mem_array((size_t)argc + 1, sizeof(*args.given))};

    if (!args.given)
        return err_set(err, ERR_INTERNAL, "no memory");
    if (!read_all(&args, argc, argv, nouns, err)) {
        args_free(&args);
        return false;
    }
    *ret = args;
    return true;
}

bool args_complete(const struct args *args, struct err *err)
{
    char usage[256];

    for (const struct option_row *r = args->command->options; r && r->name; r++) {
        const char *value = args_get(args, r->name);

        if (!(r->flags & OPTION_REQUIRED) || (value && value[0]))
            continue;
        err_set(err, ERR_BAD_REQUEST, "%s needs %s%s%s%s", args->command->name,
                r->flags & OPTION_OPERAND ? "" : "--", r->flags & OPTION_OPERAND ? "" : r->name,
                r->flags & OPTION_OPERAND ? "" : " ", r->value);
        return err_hint(err, "usage: %s", usage_line(args->command, usage, sizeof(usage)));
    }
    return true;
}

const char *args_nth(const struct args *args, const char *name, size_t i)
{
    for (size_t g = 0; g < args->count; g++)
        if (strcmp(args->given[g].row->name, name) == 0 && i-- == 0)
            return args->given[g].value;
    return NULL;
}

const char *args_get(const struct args *args, const char *name)
{
    return args_nth(args, name, 0);
}

bool args_seconds(const char *text, const char *what, unsigned *ret, struct err *err)
{
    char *end;

    errno = 0;
    unsigned long n = strtoul(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end || errno || n < 1 || n > SECONDS_MAX)
        return err_set(err, ERR_BAD_REQUEST, "%s is '%s'; it is a number of seconds from 1 to %d",
                       what, text, SECONDS_MAX);
    *ret = (unsigned)n;
    return true;
}

void args_free(struct args *args)
{
    mem_free(TAKE(args->given));
    args->count = 0;
}

const char *usage_line(const struct command *command, char *buf, size_t size)
{
    size_t n = (size_t)snprintf(buf, size, "keydctl %s", command->name);

    for (const struct option_row *r = command->options; r && r->name && n < size; r++) {
        bool must = r->flags & OPTION_REQUIRED, bare = r->flags & OPTION_OPERAND;

        n += (size_t)snprintf(buf + n, size - n, " %s%s%s%s%s%s%s", must ? "" : "[",
                              bare ? "" : "--", bare ? "" : r->name, bare || !r->value ? "" : " ",
                              r->value ? r->value : "", must ? "" : "]",
                              r->flags & OPTION_REPEAT ? "..." : "");
    }
    return buf;
}
