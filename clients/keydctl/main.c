/* SPDX-License-Identifier: Apache-2.0
 *
 * keydctl: keyd's command line. The commands are tables (one per noun), this file reads the line,
 * finds the command and ends with a status that means something.
 */
#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/keyfile/keyfile.h"
#include "clients/keydctl/output.h"
#include "proto/base/secret.h"

#define DEFAULT_SOCKET  "/run/keyd/control/control.sock"
#define DEFAULT_TIMEOUT 10
#define TOKEN_MAX       255
#define NAME_WIDTH      18 /* of options and commands in a help */

static const struct command *const nouns[] = {
    backup_commands,
    bench_commands,
    adopt_commands,
    tenants_commands,
    keys_commands,
    import_commands,
    csr_commands,
    grants_commands,
    tokens_commands,
    who_commands,
    token_commands,
    status_commands,
    NULL,
};

/* ---- help */

/* Texts of several lines go on under their first. */
static void print_help(const struct option_row *rows)
{
    for (; rows && rows->name; rows++) {
        char name[48];

        snprintf(name, sizeof(name), "--%s %s", rows->name, rows->value ? rows->value : "");
        if (strlen(name) > NAME_WIDTH) {
            printf("  %s\n", name);
            *name = 0;
        }
        for (const char *at = rows->help; at; at = strchr(at, '\n') ? strchr(at, '\n') + 1 : NULL)
            printf("  %-*s %.*s\n", NAME_WIDTH, at == rows->help ? name : "",
                   (int)strcspn(at, "\n"), at);
    }
}

static int help(void)
{
    printf("keydctl manages keyd, the key custody service.\n\n"
           "usage: keydctl COMMAND [ARGUMENTS]     keydctl COMMAND --help\n\n"
           "commands:\n");
    for (const struct command *const *noun = nouns; *noun; noun++)
        for (const struct command *c = *noun; c->name; c++)
            printf("  %-*s %s\n", NAME_WIDTH, c->name, c->line);
    printf("\noptions of every command:\n");
    print_help(global_options);
    printf("\nexit status:\n"
           "  0  done\n"
           "  1  refused: the same command will be refused again\n"
           "  2  the command line cannot be understood\n"
           "  3  try again later: keyd is busy, restarting or not there\n"
           "  4  a fault of keyd, its token or its storage\n"
           "  5  token-objects --findings: a danger stands\n");
    return STATUS_DONE;
}

static int command_help(const struct command *c)
{
    char usage[256];

    printf("usage: %s\n\n%s\n\n", usage_line(c, usage, sizeof(usage)), c->about);
    if (c->options) {
        printf("options:\n");
        print_help(c->options);
        printf("\n");
    }
    printf("options of every command:\n");
    print_help(global_options);
    printf("\nexample:\n  %s\n", c->example);
    return STATUS_DONE;
}

/* ---- errors and results */

static int status_of(int code)
{
    switch (err_class((enum err_code)code)) {
    case ERR_CLASS_NONE:
        return STATUS_DONE;
    case ERR_CLASS_REFUSED:
        return STATUS_REFUSED;
    case ERR_CLASS_RETRY:
        return STATUS_LATER;
    default:
        return STATUS_FAULT;
    }
}

static void say(const char *message, const char *hint)
{
    fflush(stdout);
    fprintf(stderr, "keydctl: ");
    out_text(stderr, message);
    if (hint[0]) {
        fprintf(stderr, "\n  hint: ");
        out_text(stderr, hint);
    }
    fputc('\n', stderr);
}

int complain(const struct ctx *ctx, const struct keyd_error *error)
{
    char hint[sizeof(error->hint) + 64];
    bool elsewhere = error->code == KEYD_UNAVAILABLE && strstr(error->message, ctx->socket);

    if (error->retry_after_ms && !*error->hint)
        snprintf(hint, sizeof(hint), "try again in %u s", (error->retry_after_ms + 999) / 1000);
    else
        snprintf(hint, sizeof(hint), "%s%s", error->hint,
                 elsewhere ? " (--socket PATH or KEYD_CONTROL_SOCKET)" : "");
    say(error->message, hint);
    return status_of(error->code);
}

int complain_err(const struct err *err)
{
    say(err->text, err->hint);
    return status_of(err->code);
}

int complain_usage(const struct err *err)
{
    say(err->text, err->hint);
    return STATUS_USAGE;
}

static int cannot_write(void)
{
    say("cannot write the output", "is the disk full, or the reader gone?");
    return STATUS_FAULT;
}

int present(const struct ctx *ctx, json_t *value, bool (*show)(const json_t *value))
{
    if (!value) {
        say("no memory for the output", "");
        return STATUS_FAULT;
    }
    bool ok = ctx->json ? out_json(stdout, value) : show(value);
    json_decref(value);
    return ok ? STATUS_DONE : cannot_write();
}

/* ---- running */

/* The option, else what the environment says, else the default. */
static const char *setting(const struct args *args, const char *option, const char *variable,
                           const char *fallback)
{
    const char *given = args_get(args, option), *env = getenv(variable);

    if (given)
        return given;
    return env && env[0] ? env : fallback;
}

/* A token is never an argument: those are seen by everyone on the machine. Without one it stays
 * empty. */
static bool read_token(const struct args *args, struct secret *ret, struct err *err)
{
    const char *file = args_get(args, "token-file");

    if (!file)
        return true;
    if (strcmp(file, "-") == 0 && isatty(STDIN_FILENO))
        return keyfile_ask("API token: ", ret, err);
    if (strcmp(file, "-") == 0)
        return secret_read_fd(ret, STDIN_FILENO, TOKEN_MAX, "the API token on stdin", err);
    return secret_read_file(ret, file, TOKEN_MAX, err);
}

static int open_client(struct ctx *ctx, unsigned seconds, const struct secret *token,
                       struct keyd_error *error)
{
    char text[TOKEN_MAX + 1] = "";
    struct keyd_options o = {
        .endpoint = ctx->socket,
        .deadline_ms = seconds * 1000,
        .name = "keydctl " KEYD_VERSION,
        .certificate = setting(&ctx->args, "tls-cert", "KEYD_TLS_CERT", NULL),
        .key = setting(&ctx->args, "tls-key", "KEYD_TLS_KEY", NULL),
        .ca = setting(&ctx->args, "tls-ca", "KEYD_TLS_CA", NULL),
        .token = token->len ? text : getenv("KEYD_TOKEN"),
    };

    if (token->len)
        memcpy(text, token->bytes, token->len);
    int code = keyd_client_open(&ctx->client, &o, error);
    secret_wipe(text, sizeof(text));
    return code;
}

static int run(struct ctx *ctx)
{
    const struct command *c = ctx->args.command;
    const char *given = args_get(&ctx->args, "timeout");
    unsigned seconds = c->timeout ? c->timeout : DEFAULT_TIMEOUT;
    struct secret token = {0};
    struct keyd_error error;
    struct err err;

    if (!args_complete(&ctx->args, &err) ||
        (given && !args_seconds(given, "--timeout", &seconds, &err)))
        return complain_usage(&err);
    if (c->reads_keys && !keyfile_begin(&err))
        return complain_err(&err);
    ctx->socket = setting(&ctx->args, "socket", "KEYD_CONTROL_SOCKET", DEFAULT_SOCKET);
    ctx->json = args_get(&ctx->args, "json") != NULL;
    if (!read_token(&ctx->args, &token, &err))
        return complain_err(&err);
    int code = open_client(ctx, seconds, &token, &error);
    secret_free(&token);
    if (code != KEYD_OK) {
        say(error.message, error.hint);
        return code == KEYD_BAD_REQUEST ? STATUS_USAGE : status_of(code);
    }
    int status = c->run(ctx);
    keyd_client_free(ctx->client);
    return status;
}

static int dispatch(struct ctx *ctx)
{
    struct err err;

    if (args_get(&ctx->args, "help"))
        return ctx->args.command ? command_help(ctx->args.command) : help();
    if (args_get(&ctx->args, "version")) {
        puts("keydctl " KEYD_VERSION);
        return STATUS_DONE;
    }
    if (!ctx->args.command) {
        err_set(&err, ERR_BAD_REQUEST, "which command?");
        err_hint(&err, "'keydctl --help' lists them all");
        return complain_usage(&err);
    }
    return run(ctx);
}

int main(int argc, char **argv)
{
    struct ctx ctx = {0};
    struct err err;

    setlocale(LC_CTYPE, ""); /* the width of characters in tables */
    if (!args_parse(&ctx.args, argc, argv, nouns, &err))
        return complain_usage(&err);
    int status = dispatch(&ctx);
    args_free(&ctx.args);
    if (fflush(stdout) != 0 || ferror(stdout))
        return cannot_write();
    return status;
}
