/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "clients/libkeyd/call.h"
#include "clients/libkeyd/result.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"
#include "proto/token.h"

static bool add_token(struct result *r, const Keyd__V1__Token *from, struct err *err)
{
    struct keyd_token *t = result_add(r);

    if (!from)
        return err_set(err, ERR_INTERNAL, "keyd's answer names no token");
    if (t)
        *t = (struct keyd_token){.id = result_str(r, from->id),
                                 .name = result_str(r, from->name),
                                 .role = (int)from->role,
                                 .tenant = result_str(r, from->tenant),
                                 .created = from->created,
                                 .expires = from->expires,
                                 .last_used = from->last_used};
    return true;
}

/* ---- tokens-create */

/* Takes the secret out of the answer, and wipes it there. */
static bool take_secret(char *secret, char **ret, struct err *err)
{
    size_t len = strlen(secret);

    if (len != API_TOKEN_LEN)
        return err_set(err, ERR_INTERNAL, "keyd's answer holds no token");
    *ret = mem_dup(secret, len + 1);
    secret_wipe(secret, len);
    return *ret || err_set(err, ERR_INTERNAL, "no memory for a token");
}

static bool tokens_create(struct keyd_client *client, Keyd__V1__TokensCreate *body,
                          struct result *r, char **ret_secret, struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_CREATE;
    request.tokens_create = body;
    TRY(call_one(client, JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_TOKENS_CREATE_REPLY, &a, &reply, err));
    TRY(add_token(r, reply->tokens_create_reply->token, err));
    TRY(result_ok(r, err));
    return take_secret(reply->tokens_create_reply->secret, ret_secret, err);
}

int keyd_tokens_create(struct keyd_client *client, const char *name, int role, const char *tenant,
                       uint32_t days, struct keyd_token **ret, char **ret_secret,
                       struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_token));
    Keyd__V1__TokensCreate body = KEYD__V1__TOKENS_CREATE__INIT;
    struct err err = {0};
    char *secret = NULL;

    body.name = (char *)(name ? name : "");
    body.role = (Keyd__V1__Role)role;
    body.tenant = (char *)(tenant ? tenant : "");
    body.expires_days = days;
    bool ok = tokens_create(client, &body, &r, &secret, &err);
    if (ok) {
        *ret = result_take(&r);
        *ret_secret = secret;
    }
    return call_result(ok, &err, error);
}

/* ---- tokens-list, tokens-revoke */

static bool tokens_list(struct keyd_client *client, struct result *r, struct arena *a,
                        struct err *err)
{
    Keyd__V1__TokensList body = KEYD__V1__TOKENS_LIST__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    uint64_t deadline = call_deadline(client);
    struct cursor next = {0};
    const envelope *reply;

    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_LIST;
    request.tokens_list = &body;
    do {
        body.after = next.at;
        TRY(call_one(client, JOB_READING, deadline, &request,
                     KEYD__V1__ENVELOPE__BODY_TOKENS_LIST_REPLY, a, &reply, err));
        const Keyd__V1__TokensListReply *page = reply->tokens_list_reply;
        for (size_t i = 0; i < page->n_tokens; i++)
            TRY(add_token(r, page->tokens[i], err));
        TRY(cursor_move(&next, page->next, page->n_tokens, err));
    } while (next.at[0]);
    return result_ok(r, err);
}

int keyd_tokens_list(struct keyd_client *client, struct keyd_token **ret, size_t *ret_count,
                     struct keyd_error *error)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_token));
    struct err err = {0};
    bool ok = tokens_list(client, &r, &a, &err);

    if (ok) {
        *ret = result_take(&r);
        *ret_count = r.count;
    }
    return call_result(ok, &err, error);
}

static bool tokens_revoke(struct keyd_client *client, const char *id, struct result *r,
                          struct err *err)
{
    struct arena a CLEANUP(arena_free) = arena_of(ANSWER_ARENA_CAP);
    Keyd__V1__TokensRevoke body = KEYD__V1__TOKENS_REVOKE__INIT;
    envelope request = KEYD__V1__ENVELOPE__INIT;
    const envelope *reply;

    body.id = (char *)id;
    request.body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_REVOKE;
    request.tokens_revoke = &body;
    TRY(call_one(client, JOB_CHANGE, call_deadline(client), &request,
                 KEYD__V1__ENVELOPE__BODY_TOKENS_REVOKE_REPLY, &a, &reply, err));
    TRY(add_token(r, reply->tokens_revoke_reply->token, err));
    return result_ok(r, err);
}

int keyd_tokens_revoke(struct keyd_client *client, const char *id, struct keyd_token **ret,
                       struct keyd_error *error)
{
    struct result r CLEANUP(result_free) = result_of(sizeof(struct keyd_token));
    struct err err = {0};
    bool ok = tokens_revoke(client, id, &r, &err);

    if (ok)
        *ret = result_take(&r);
    return call_result(ok, &err, error);
}

void keyd_tokens_free(struct keyd_token *tokens, size_t count)
{
    (void)count;
    result_free_items(tokens);
}
