/* SPDX-License-Identifier: Apache-2.0
 *
 * options: the command line, read by the tables of the commands. Options stand anywhere, as
 * "--name value" or "--name=value"; "--" ends them. What a command cannot do without may be given
 * as a plain word too ("keys-show acme/www"). Nothing is guessed: an unknown word is an error that
 * says the nearest known one.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_OPTIONS_H
#define KEYD_CLIENTS_KEYDCTL_OPTIONS_H

#include <stddef.h>

#include "proto/base/err.h"

enum option_flags {
    OPTION_REQUIRED = 1,
    OPTION_OPERAND = 2, /* may be given without its name */
    OPTION_REPEAT = 4,  /* may be given several times */
};

struct option_row {    /* a table ends with a row without a name */
    const char *name;  /* "tenant" for --tenant */
    const char *value; /* what the help calls its value; NULL: it takes none */
    const char *help;
    unsigned flags;
};

struct ctx;

struct command {      /* a table ends with a row without a name */
    const char *name; /* noun-verb */
    int (*run)(struct ctx *ctx);
    const char *line;  /* in the list of commands */
    const char *about; /* in the command's own help; lines of at most 78 characters */
    const char *example;
    const struct option_row *options;
    unsigned timeout; /* seconds, unless --timeout is given; 0: 10 */
    bool reads_keys;  /* private keys in the clear: keyfile_begin comes first */
};

struct given {
    const struct option_row *row;
    const char *value; /* borrowed from argv; "" for an option without value */
};

struct args {
    const struct command *command; /* NULL: none was named */
    struct given *given;
    size_t count;
};

/* The options of every command. */
extern const struct option_row global_options[];

/* Reads argv[1] to argv[argc - 1]. `nouns` ends with NULL and holds one table of commands each.
 * What is missing is not looked at: see args_complete. Fails with ERR_BAD_REQUEST or ERR_INTERNAL.
 * Ended with args_free. */
bool args_parse(struct args *ret, int argc, char **argv, const struct command *const *nouns,
                struct err *err) MUST_USE;

/* Whether all required options of the command are there. Fails with ERR_BAD_REQUEST. */
bool args_complete(const struct args *args, struct err *err) MUST_USE;

/* The value of an option; NULL if it was not given. */
const char *args_get(const struct args *args, const char *name);

/* The i-th value of an option that repeats, for i from 0; NULL past the last. */
const char *args_nth(const struct args *args, const char *name, size_t i);

/* A number of seconds, 1 to 3600. `what` names it in the error. */
bool args_seconds(const char *text, const char *what, unsigned *ret, struct err *err) MUST_USE;

/* Frees. */
void args_free(struct args *args);

/* The word of the list (NULL at its end) that is nearest to `word`; NULL if none is near. */
const char *nearest(const char *word, const char *const *list);

/* "keydctl keys-show KEY" from the command's table, into buf. Returns buf. */
const char *usage_line(const struct command *command, char *buf, size_t size);

#endif
