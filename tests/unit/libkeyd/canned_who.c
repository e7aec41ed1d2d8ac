/* SPDX-License-Identifier: Apache-2.0
 *
 * What the cardboard server answers about principals, grants and tokens.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/unit/libkeyd/canned.h"

#define CREATED 1700000000 /* 2023-11-14T22:13:20Z */
#define SECRET  "keyd_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
#define BODY(x) KEYD__V1__ENVELOPE__BODY_##x

static Keyd__V1__Principal fe = KEYD__V1__PRINCIPAL__INIT, ops = KEYD__V1__PRINCIPAL__INIT;
static Keyd__V1__Grant grants[3] = {KEYD__V1__GRANT__INIT, KEYD__V1__GRANT__INIT,
                                    KEYD__V1__GRANT__INIT};
static Keyd__V1__Token tokens[2] = {KEYD__V1__TOKEN__INIT, KEYD__V1__TOKEN__INIT};
static Keyd__V1__GrantedKey granted = KEYD__V1__GRANTED_KEY__INIT;
static Keyd__V1__ExplainStep steps[2] = {KEYD__V1__EXPLAIN_STEP__INIT,
                                         KEYD__V1__EXPLAIN_STEP__INIT};

static void furnish(void)
{
    fe.name = (char *)"fe-12";
    fe.role = KEYD__V1__ROLE__ROLE_FRONTEND;
    fe.group = (char *)"edge";
    fe.proof = (char *)"uri=spiffe://p/fe-12";
    ops.name = (char *)"ops";
    ops.role = KEYD__V1__ROLE__ROLE_OPERATOR;
    ops.proof = (char *)"user=root";
    ops.connections = 2;
    grants[0].principal = (char *)"fe-12";
    grants[0].key = (char *)"acme/www";
    grants[1].group = (char *)"edge";
    grants[1].tenant = (char *)"acme";
    grants[2].principal = (char *)"fe-13";
    grants[2].tenant = (char *)"zeta";
    for (size_t i = 0; i < 3; i++) {
        grants[i].id = 10 * (i + 1);
        grants[i].purposes = 5;
        grants[i].created = CREATED;
    }
    tokens[0].id = (char *)"0a0b0c0d";
    tokens[0].name = (char *)"ci";
    tokens[0].role = KEYD__V1__ROLE__ROLE_TENANT;
    tokens[0].tenant = (char *)"acme";
    tokens[1].id = (char *)"1f2e3d4c";
    tokens[1].name = (char *)"eyes";
    tokens[1].role = KEYD__V1__ROLE__ROLE_AUDITOR;
    tokens[1].last_used = CREATED + 60;
    for (size_t i = 0; i < 2; i++) {
        tokens[i].created = CREATED;
        tokens[i].expires = CREATED + 90 * 86400;
    }
    granted.key = (char *)"acme/www";
    granted.type = KEYD__V1__KEY_TYPE__KEY_TYPE_EC_P256;
    granted.state = KEYD__V1__KEY_STATE__KEY_STATE_ENABLED;
    granted.purposes = 1;
    steps[0].what = (char *)"key";
    steps[0].passes = true;
    steps[0].why = (char *)"acme/www is enabled";
    steps[1].what = (char *)"shape";
}

/* ---- who */

static bool whoami(envelope *e)
{
    static char *may[] = {(char *)"whoami (self)", (char *)"keys-list (all)"};
    static Keyd__V1__WhoamiReply r;

    keyd__v1__whoami_reply__init(&r);
    r.principal = &ops;
    r.may = may;
    r.n_may = 2;
    e->body_case = BODY(WHOAMI_REPLY);
    e->whoami_reply = &r;
    return true;
}

static bool principals_list(const struct canned_how *how, envelope *e)
{
    static Keyd__V1__Principal *all[] = {&fe, &ops};
    static Keyd__V1__PrincipalsListReply r;

    keyd__v1__principals_list_reply__init(&r);
    r.principals = all;
    r.n_principals = how->empty ? 0 : 2;
    e->body_case = BODY(PRINCIPALS_LIST_REPLY);
    e->principals_list_reply = &r;
    return true;
}

/* fe-12 serves; nobody else does. */
static bool config_test(const envelope *ask, envelope *e)
{
    static char *missing[] = {(char *)"no key is granted to it"};
    static Keyd__V1__GrantedKey *keys[] = {&granted};
    static Keyd__V1__ConfigTestReply r;
    bool serves = strcmp(ask->config_test->principal, "fe-12") == 0;

    keyd__v1__config_test_reply__init(&r);
    r.principal = serves ? &fe : &ops;
    r.keys = keys;
    r.n_keys = r.keys_total = serves;
    r.missing = missing;
    r.n_missing = !serves;
    e->body_case = BODY(CONFIG_TEST_REPLY);
    e->config_test_reply = &r;
    return true;
}

/* "yes" would be signed with acme/www. */
static bool explain(const envelope *ask, envelope *e)
{
    static Keyd__V1__ExplainStep *all[] = {&steps[0], &steps[1]};
    static Keyd__V1__ExplainReply r;
    const ProtobufCBinaryData *m = &ask->explain->message;

    if (strcmp(ask->explain->key, "acme/www") != 0)
        return false;
    keyd__v1__explain_reply__init(&r);
    r.signs = m->len == 3 && memcmp(m->data, "yes", 3) == 0;
    r.steps = all;
    r.n_steps = 2;
    steps[1].passes = r.signs;
    steps[1].why = (char *)(r.signs ? "a shape" : "no shape");
    e->body_case = BODY(EXPLAIN_REPLY);
    e->explain_reply = &r;
    return true;
}

/* ---- grants */

static bool grants_add(const envelope *ask, envelope *e)
{
    static Keyd__V1__GrantsAddReply r;
    static Keyd__V1__Grant g;
    const Keyd__V1__GrantsAdd *b = ask->grants_add;

    keyd__v1__grants_add_reply__init(&r);
    keyd__v1__grant__init(&g);
    g.id = 17;
    g.principal = b->principal;
    g.group = b->group;
    g.key = b->key;
    g.tenant = b->tenant;
    g.purposes = b->purposes ? b->purposes : 5;
    g.created = CREATED;
    r.grant = &g;
    e->body_case = BODY(GRANTS_ADD_REPLY);
    e->grants_add_reply = &r;
    return true;
}

static bool grants_list(const envelope *ask, const struct canned_how *how, envelope *e)
{
    static Keyd__V1__Grant *all[3];
    static Keyd__V1__GrantsListReply r;
    const Keyd__V1__GrantsList *b = ask->grants_list;

    keyd__v1__grants_list_reply__init(&r);
    r.grants = all;
    for (size_t i = 0; i < 3 && !how->empty; i++) {
        if (grants[i].id <= b->after ||
            (*b->principal && strcmp(grants[i].principal, b->principal) != 0))
            continue;
        if (how->page && r.n_grants == how->page) {
            r.next = all[r.n_grants - 1]->id;
            break;
        }
        all[r.n_grants++] = &grants[i];
    }
    if (how->endless)
        r.next = 10;
    e->body_case = BODY(GRANTS_LIST_REPLY);
    e->grants_list_reply = &r;
    return true;
}

static bool grants_remove(const envelope *ask, envelope *e)
{
    static Keyd__V1__GrantsRemoveReply r;

    if (ask->grants_remove->id != 10)
        return false;
    keyd__v1__grants_remove_reply__init(&r);
    r.grant = &grants[0];
    e->body_case = BODY(GRANTS_REMOVE_REPLY);
    e->grants_remove_reply = &r;
    return true;
}

/* ---- tokens */

static bool tokens_create(const envelope *ask, const struct canned_how *how, envelope *e)
{
    static Keyd__V1__TokensCreateReply r;
    static Keyd__V1__Token t;
    const Keyd__V1__TokensCreate *b = ask->tokens_create;

    keyd__v1__tokens_create_reply__init(&r);
    t = tokens[0];
    t.name = *b->name ? b->name : (char *)"token-0a0b0c0d";
    t.role = b->role ? b->role : KEYD__V1__ROLE__ROLE_TENANT;
    t.tenant = b->tenant;
    t.expires = CREATED + 86400 * (b->expires_days ? b->expires_days : 90);
    r.token = &t;
    r.secret = (char *)(how->empty ? "" : SECRET);
    e->body_case = BODY(TOKENS_CREATE_REPLY);
    e->tokens_create_reply = &r;
    return true;
}

static bool tokens_list(const envelope *ask, const struct canned_how *how, envelope *e)
{
    static Keyd__V1__Token *all[2];
    static Keyd__V1__TokensListReply r;

    keyd__v1__tokens_list_reply__init(&r);
    r.tokens = all;
    for (size_t i = 0; i < 2 && !how->empty; i++) {
        if (strcmp(tokens[i].id, ask->tokens_list->after) <= 0)
            continue;
        if (how->page && r.n_tokens == how->page) {
            r.next = all[r.n_tokens - 1]->id;
            break;
        }
        all[r.n_tokens++] = &tokens[i];
    }
    if (how->endless)
        r.next = (char *)"0a0b0c0d";
    e->body_case = BODY(TOKENS_LIST_REPLY);
    e->tokens_list_reply = &r;
    return true;
}

static bool tokens_revoke(const envelope *ask, envelope *e)
{
    static Keyd__V1__TokensRevokeReply r;

    if (strcmp(ask->tokens_revoke->id, tokens[1].id) != 0)
        return false;
    keyd__v1__tokens_revoke_reply__init(&r);
    r.token = &tokens[1];
    e->body_case = BODY(TOKENS_REVOKE_REPLY);
    e->tokens_revoke_reply = &r;
    return true;
}

bool canned_who_answer(const envelope *ask, const struct canned_how *how, envelope *e)
{
    furnish();
    switch (ask->body_case) {
    case BODY(WHOAMI):
        return whoami(e);
    case BODY(PRINCIPALS_LIST):
        return principals_list(how, e);
    case BODY(CONFIG_TEST):
        return config_test(ask, e);
    case BODY(EXPLAIN):
        return explain(ask, e);
    case BODY(GRANTS_ADD):
        return grants_add(ask, e);
    case BODY(GRANTS_LIST):
        return grants_list(ask, how, e);
    case BODY(GRANTS_REMOVE):
        return grants_remove(ask, e);
    case BODY(TOKENS_CREATE):
        return tokens_create(ask, how, e);
    case BODY(TOKENS_LIST):
        return tokens_list(ask, how, e);
    case BODY(TOKENS_REVOKE):
        return tokens_revoke(ask, e);
    default:
        return false;
    }
}
