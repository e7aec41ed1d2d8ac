/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"
#include "proto/base/secret.h"

static json_t *token_json(const struct keyd_token *t)
{
    const char *role = keyd_role_name(t->role);

    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "id", out_string(t->id), "name",
                     out_string(t->name), "role", out_string(role ? role : "none"), "tenant",
                     out_string(t->tenant), "created", out_time(t->created), "expires",
                     out_time(t->expires), "last_used",
                     t->last_used ? out_time(t->last_used) : out_string("never"));
}

static const struct column columns[] = {
    {.title = "ID", .member = "id"},
    {.title = "NAME", .member = "name"},
    {.title = "ROLE", .member = "role"},
    {.title = "TENANT", .member = "tenant"},
    {.title = "EXPIRES", .member = "expires"},
    {.title = "LAST USED", .member = "last_used"},
    {0},
};

/* ---- tokens-create */

/* "90d" or "90". */
static bool parse_days(const char *text, uint32_t *ret, struct err *err)
{
    char *end;
    unsigned long days = strtoul(text, &end, 10);

    if (*end == 'd')
        end++;
    if (*text < '0' || *text > '9' || *end || days < 1 || days > 3650) {
        err_set(err, ERR_BAD_REQUEST, "--expires %s is no number of days from 1 to 3650", text);
        return err_hint(err, "--expires 90d");
    }
    *ret = (uint32_t)days;
    return true;
}

static bool parse_role(const char *text, int *ret, struct err *err)
{
    *ret = text ? keyd_role_by_name(text) : 0;
    if (!text || *ret)
        return true;
    err_set(err, ERR_BAD_REQUEST, "--role %s is no role", text);
    return err_hint(err, "operator, tenant, frontend, agent, issuer or auditor");
}

/* The secret alone on stdout, so that a script can take it; the rest goes to stderr. */
static bool show_created(const json_t *value)
{
    const json_t *token = json_object_get(value, "token");

    fprintf(stderr, "token %s of %s, good until %s; it is shown this once:\n",
            json_string_value(json_object_get(token, "id")),
            json_string_value(json_object_get(token, "name")),
            json_string_value(json_object_get(token, "expires")));
    return puts(json_string_value(json_object_get(value, "secret"))) != EOF;
}

static int tokens_create(struct ctx *ctx)
{
    const char *days_text = args_get(&ctx->args, "expires");
    struct keyd_token *token;
    struct keyd_error error;
    struct err err;
    uint32_t days = 0;
    char *secret;
    int role;

    if ((days_text && !parse_days(days_text, &days, &err)) ||
        !parse_role(args_get(&ctx->args, "role"), &role, &err))
        return complain_usage(&err);
    if (keyd_tokens_create(ctx->client, args_get(&ctx->args, "name"), role,
                           args_get(&ctx->args, "tenant"), days, &token, &secret,
                           &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = json_pack("{s:o, s:s}", "token", token_json(token), "secret", secret);
    keyd_tokens_free(token, 1);
    secret_wipe(secret, strlen(secret));
    keyd_free(secret);
    return present(ctx, value, show_created);
}

static const struct option_row create_options[] = {
    {"tenant", "TENANT", "whoever has the token manages this tenant's keys", 0},
    {"role", "ROLE", "or another role: auditor, agent, issuer, operator, frontend", 0},
    {"name", "NAME", "of the principal that it is; default: token-ID", 0},
    {"expires", "DAYS", "1 to 3650; default 90d", 0},
    {0},
};

/* ---- tokens-list */

static bool show_list(const json_t *value)
{
    const json_t *rows = json_object_get(value, "tokens");

    if (json_array_size(rows) == 0)
        return puts("no API tokens") != EOF;
    return out_table(stdout, columns, rows);
}

static int tokens_list(struct ctx *ctx)
{
    struct keyd_token *tokens;
    struct keyd_error error;
    size_t count;

    if (keyd_tokens_list(ctx->client, &tokens, &count, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *rows = json_array();
    for (size_t i = 0; i < count; i++)
        json_array_append_new(rows, token_json(&tokens[i]));
    keyd_tokens_free(tokens, count);
    return present(ctx, json_pack("{s:o}", "tokens", rows), show_list);
}

/* ---- tokens-revoke */

static bool show_revoked(const json_t *value)
{
    return printf("token %s of %s revoked\n", json_string_value(json_object_get(value, "id")),
                  json_string_value(json_object_get(value, "name"))) > 0;
}

static int tokens_revoke(struct ctx *ctx)
{
    struct keyd_token *token;
    struct keyd_error error;

    if (keyd_tokens_revoke(ctx->client, args_get(&ctx->args, "id"), &token, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = token_json(token);
    keyd_tokens_free(token, 1);
    return present(ctx, value, show_revoked);
}

static const struct option_row revoke_options[] = {
    {"id", "ID", "its 8 hex digits in tokens-list", OPTION_REQUIRED | OPTION_OPERAND},
    {0},
};

const struct command tokens_commands[] = {
    {.name = "tokens-create",
     .run = tokens_create,
     .line = "make an API token",
     .about = "Makes an API token and prints it, this once: keyd keeps only its hash. Whoever\n"
              "says it is that principal, on control.sock or over TLS, until it expires or is\n"
              "revoked. Clients read it from a file (--token-file) or from KEYD_TOKEN.",
     .example = "keydctl tokens-create --tenant acme --expires 90d > acme.token",
     .options = create_options},
    {.name = "tokens-list",
     .run = tokens_list,
     .line = "list the API tokens",
     .about = "Lists the API tokens: whose they are, when they expire and were used last.",
     .example = "keydctl tokens-list"},
    {.name = "tokens-revoke",
     .run = tokens_revoke,
     .line = "revoke an API token",
     .about = "Revokes an API token at once: connections that were let in by it are cut.",
     .example = "keydctl tokens-revoke 1f2e3d4c",
     .options = revoke_options},
    {0},
};
