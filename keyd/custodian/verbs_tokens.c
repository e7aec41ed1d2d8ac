/* SPDX-License-Identifier: Apache-2.0
 *
 * tokens-create, tokens-list, tokens-revoke: API tokens. The text is made here, is in one answer,
 * and is nowhere else: the registry has its hash.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "keyd/custodian/internal.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"

#define PAGE         500
#define DAYS_DEFAULT 90
#define DAYS_MAX     3650
#define DAY_S        86400

static Keyd__V1__Token *to_wire(const struct ask *ask, const struct registry_token *t,
                                struct err *err)
{
    Keyd__V1__Token *w = ask_alloc(ask, sizeof(*w), err);

    if (!w)
        return NULL;
    keyd__v1__token__init(w);
    w->role = (Keyd__V1__Role)t->role;
    w->created = t->created;
    w->expires = t->expires;
    w->last_used = t->last_used;
    w->id = arena_printf(ask->arena, "%s", t->id);
    w->name = arena_printf(ask->arena, "%s", t->name);
    w->tenant = arena_printf(ask->arena, "%s", t->tenant);
    if (w->id && w->name && w->tenant)
        return w;
    err_set(err, ERR_TOO_LARGE, "no memory for a token");
    return NULL;
}

/* ---- tokens-create */

static bool set_role(const struct ask *ask, struct registry_token *t, struct err *err)
{
    const Keyd__V1__TokensCreate *r = ask->e->tokens_create;

    t->role = r->role ? (uint32_t)r->role : ROLE_TENANT;
    if (strcmp(role_name((enum role)t->role), "none") == 0)
        return err_set(err, ERR_BAD_REQUEST, "%u is no role", t->role);
    if ((t->role == ROLE_TENANT) != (*r->tenant != '\0')) {
        err_set(err, ERR_BAD_REQUEST, "a tenant belongs to the role tenant, and to it alone");
        return err_hint(err, "keydctl tokens-create --tenant T, or --role auditor");
    }
    if (!*r->tenant)
        return true;
    TRY(scope_tenant(ask, r->tenant, err));
    memcpy(t->tenant, r->tenant, strlen(r->tenant) + 1);
    return true;
}

static bool set_life(uint32_t days, struct registry_token *t, struct err *err)
{
    if (days == 0)
        days = DAYS_DEFAULT;
    if (days > DAYS_MAX)
        return err_set(err, ERR_BAD_REQUEST, "a token lives for 1 to %d days, not %u", DAYS_MAX,
                       days);
    t->expires = (uint64_t)time(NULL) + (uint64_t)days * DAY_S;
    return true;
}

/* The name of the principal that it is; by default it is called after itself. */
static bool set_name(const char *name, struct registry_token *t, struct err *err)
{
    char hex[API_TOKEN_ID_LEN + 1];

    if (*name)
        TRY(name_check(name, "principal", err));
    if (*name)
        memcpy(t->name, name, strlen(name) + 1);
    else
        snprintf(t->name, sizeof(t->name), "token-%s",
                 hex_encode(t->hash, API_TOKEN_ID_LEN / 2, hex));
    return true;
}

static bool make(struct custodian *c, const struct ask *ask, const char *secret,
                 struct registry_token *t, struct err *err)
{
    if (!api_token_hash(secret, t->hash))
        return err_set(err, ERR_INTERNAL, "libcrypto has no SHA-256");
    TRY(set_role(ask, t, err));
    TRY(set_life(ask->e->tokens_create->expires_days, t, err));
    TRY(set_name(ask->e->tokens_create->name, t, err));
    TRY(registry_token_add(c->registry, t, err));
    return access_publish(c, err);
}

bool verb_tokens_create(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokensCreateReply *reply = ask_alloc(ask, sizeof(*reply) + API_TOKEN_LEN + 1, err);
    struct registry_token token = {.role = 0};

    TRY(reply);
    keyd__v1__tokens_create_reply__init(reply);
    reply->secret = (char *)(reply + 1);
    if (!api_token_make(reply->secret))
        return err_set(err, ERR_INTERNAL, "the kernel gives no random bytes");
    if (!make(c, ask, reply->secret, &token, err)) {
        secret_wipe(reply->secret, API_TOKEN_LEN);
        return false;
    }
    TRY(reply->token = to_wire(ask, &token, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_CREATE_REPLY;
    ret->tokens_create_reply = reply;
    return true;
}

/* ---- tokens-list */

bool verb_tokens_list(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokensListReply *reply = ask_alloc(ask, sizeof(*reply), err);
    AUTO_FREE struct registry_token *rows = NULL;
    const char *within = scope_within(ask);
    size_t count;

    TRY(reply);
    keyd__v1__tokens_list_reply__init(reply);
    TRY(registry_token_list(c->registry, &rows, &count, err));
    TRY(reply->tokens = ask_alloc(ask, PAGE * sizeof(*reply->tokens), err));
    for (size_t i = 0; i < count; i++) {
        if (strcmp(rows[i].id, ask->e->tokens_list->after) <= 0 ||
            (*within && strcmp(rows[i].tenant, within) != 0))
            continue;
        if (reply->n_tokens == PAGE) {
            reply->next = reply->tokens[PAGE - 1]->id;
            break;
        }
        TRY(reply->tokens[reply->n_tokens++] = to_wire(ask, &rows[i], err));
    }
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_LIST_REPLY;
    ret->tokens_list_reply = reply;
    return true;
}

/* ---- tokens-revoke */

bool verb_tokens_revoke(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__TokensRevokeReply *reply = ask_alloc(ask, sizeof(*reply), err);
    struct registry_token token;

    TRY(reply);
    keyd__v1__tokens_revoke_reply__init(reply);
    TRY(registry_token_remove(c->registry, ask->e->tokens_revoke->id, scope_within(ask), &token,
                              err));
    TRY(access_publish(c, err));
    TRY(reply->token = to_wire(ask, &token, err));
    ret->body_case = KEYD__V1__ENVELOPE__BODY_TOKENS_REVOKE_REPLY;
    ret->tokens_revoke_reply = reply;
    return true;
}
