/* SPDX-License-Identifier: Apache-2.0
 *
 * keydctl: what the commands share. One file per noun, each with its table of commands; main.c
 * knows the tables and nothing of the verbs.
 */
#ifndef KEYD_CLIENTS_KEYDCTL_KEYDCTL_H
#define KEYD_CLIENTS_KEYDCTL_KEYDCTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

#include "clients/keydctl/options.h"
#include "clients/libkeyd/keyd.h"

enum status { /* how keydctl ends */
              STATUS_DONE = 0,
              STATUS_REFUSED = 1,
              STATUS_USAGE = 2,
              STATUS_LATER = 3,
              STATUS_FAULT = 4,
              STATUS_FOUND = 5, /* token-objects --findings: a danger stands */
};

struct ctx {
    struct args args;
    struct keyd_client *client;
    const char *socket;
    bool json;
};

/* Tables of commands, one per noun. */
extern const struct command backup_commands[], bench_commands[], adopt_commands[],
    tenants_commands[], keys_commands[], import_commands[], csr_commands[], token_commands[],
    grants_commands[], tokens_commands[], who_commands[], status_commands[];

/* Says on stderr what was wrong and what to do; returns the status for its class. */
int complain(const struct ctx *ctx, const struct keyd_error *error);

/* As complain, of what went wrong on this side. */
int complain_err(const struct err *err);

/* As complain, of a command line that cannot be: STATUS_USAGE. */
int complain_usage(const struct err *err);

/* With --json prints the value, else runs show(value); takes the value, which may be NULL for want
 * of memory. Returns the status. */
int present(const struct ctx *ctx, json_t *value, bool (*show)(const json_t *value));

/* A key as the machines see it: all that keyd told. */
json_t *key_json(const struct keyd_key *key);

/* Prints what key_json made as fields, for present. */
bool show_key(const json_t *value);

/* What the key can be made to sign and by whom, an object for each purpose; asks keyd for the
 * grants. False: keyd could not say. (signers.c) */
bool signers_json(const struct ctx *ctx, const struct keyd_key *key, json_t **ret,
                  struct keyd_error *error);

/* Prints what signers_json made as a table. (signers.c) */
bool show_signers(const json_t *list);

/* "enabled"; "unknown" for a state that is none. */
const char *key_state_name(int state);

/* Purposes as an array of their words. */
json_t *purposes_json(uint32_t purposes);

/* An object of the token, and findings, as the machines see them. (token.c) */
json_t *object_json(const struct keyd_object *o);
/* See object_json. (token.c) */
json_t *findings_json(const struct keyd_finding *findings, size_t count);

/* Prints what findings_json made, for people: those that are alike once. (token.c) */
void show_findings(FILE *f, const json_t *list);

/* Reads purposes, words with commas between them; NULL: 0, which is keyd's default.
 * ERR_BAD_REQUEST. */
bool parse_purposes(const char *list, uint32_t *ret, struct err *err) MUST_USE;

#define ALLOW_NAMES_MAX 128 /* --allow-name; keyd takes fewer */

struct rules {
    struct keyd_key_rules keyd; /* names: into the array below */
    const char *names[ALLOW_NAMES_MAX];
};

/* Reads --purposes and --allow-name; *ret must not move afterwards. */
bool parse_rules(const struct ctx *ctx, struct rules *ret, struct err *err) MUST_USE;

/* The two, in tables of options. */
#define RULE_OPTIONS                                                                               \
    {"purposes", "LIST",                                                                           \
     "what it may sign, with commas: tls13-server, tls13-client,\n"                                \
     "tls12-server, csr, acme-jws, checkpoint; or raw, which is\n"                                 \
     "anything at all an operator sends, and stands alone\n"                                       \
     "(default: tls13-server,tls12-server,csr)",                                                   \
     0},                                                                                           \
    {                                                                                              \
        "allow-name", "NAME",                                                                      \
            "may ask for certificates for this DNS name alone:\n"                                  \
            "www.example.com, *.example.com (one label before it)\n"                               \
            "or .example.com (any number); may be given again\n"                                   \
            "(default: any name)",                                                                 \
            OPTION_REPEAT                                                                          \
    }

/* The table row of --key, which most commands have. */
#define KEY_OPTION(about)                                                                          \
    {                                                                                              \
        "key", "KEY", about "tenant/name, or the first 8 or more hex digits of its id",            \
            OPTION_REQUIRED | OPTION_OPERAND                                                       \
    }

#endif
