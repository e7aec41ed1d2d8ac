/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/answers.h"

#include <stdio.h>
#include <string.h>

#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"
#include "keyd/gate/who.h"

#define MAY_MAX 64 /* verbs */

/* ---- as whom */

bool answering_as(struct answering *a, const char *name, struct err *err)
{
    const struct gate *g = a->g;
    const struct principal *caller = &a->call->line->who;

    a->as = (struct line){.who = *caller};
    snprintf(a->proof, sizeof(a->proof), "%s", conn_proof(a->call->conn));
    if (!*name || strcmp(name, caller->name) == 0)
        return true;
    if (a->call->scope == SCOPE_SELF)
        return err_set(err, ERR_DENIED, "a %s may ask this for itself alone",
                       role_name(caller->role));
    /* frontends serve everybody; who else there is, is no tenant's business */
    enum role role = a->call->scope == SCOPE_OWN ? ROLE_FRONTEND : ROLE_NONE;
    const struct rule *rule = principal_named(g->rules, g->rule_count, name, role, &a->as.who);
    if (!rule) {
        err_set(err, ERR_NOT_FOUND, "no rule makes anybody \"%.63s\"", name);
        return err_hint(err, "keydctl principals-list; keyd.conf says who is who, [principals]");
    }
    rule_proof_text(rule, a->proof, sizeof(a->proof));
    return true;
}

void answering_done(struct answering *a)
{
    who_forget(&a->as);
}

Keyd__V1__Principal answering_principal(const struct answering *a)
{
    Keyd__V1__Principal p = KEYD__V1__PRINCIPAL__INIT;

    p.name = (char *)a->as.who.name;
    p.role = (Keyd__V1__Role)a->as.who.role;
    p.tenant = (char *)a->as.who.tenant;
    p.group = (char *)a->as.who.group;
    p.proof = (char *)a->proof;
    return p;
}

/* ---- whoami */

/* "keys-list (own)": each verb that this role may call here, with its scope. */
static size_t list_rights(const struct gate *g, struct call *call, char *ret[MAY_MAX])
{
    enum verb_server server;
    struct err err;
    size_t n = 0;

    for (size_t i = 0; verb_at(i) && n < MAY_MAX; i++) {
        const struct verb *v = verb_at(i);
        enum scope scope = verb_scope(v, call->line->who.role);

        if (scope == SCOPE_NONE || !verb_route(v, g->socket, &server, &err))
            continue;
        ret[n] = arena_printf(&call->arena, "%s (%s)", v->name, scope_name(scope));
        n += ret[n] != NULL;
    }
    return n;
}

void serve_whoami(struct gate *g, struct call *call)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__WhoamiReply reply = KEYD__V1__WHOAMI_REPLY__INIT;
    struct answering a = {.g = g, .call = call};
    struct err err;
    char *may[MAY_MAX];

    if (!answering_as(&a, "", &err)) {
        call_fail(g, call, &err);
        return;
    }
    Keyd__V1__Principal who = answering_principal(&a);
    reply.principal = &who;
    reply.n_may = list_rights(g, call, may);
    reply.may = may;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_WHOAMI_REPLY;
    answer.whoami_reply = &reply;
    call_answer(g, call, &answer);
}

/* ---- principals-list */

static uint32_t connections_of(const struct gate *g, const struct principal *who)
{
    uint32_t n = 0;

    for (const struct line *line = g->queue.lines; line; line = line->next)
        if (line->who.role == who->role && strcmp(line->who.name, who->name) == 0)
            n += line->connections;
    return n;
}

static bool list_rules(struct gate *g, struct call *call, Keyd__V1__Principal **all,
                       struct err *err)
{
    for (size_t i = 0; i < g->rule_count; i++) {
        const struct rule *rule = &g->rules[i];
        Keyd__V1__Principal *p = arena_alloc(&call->arena, sizeof(*p));
        char *proof = arena_alloc(&call->arena, PROOF_MAX);

        if (!p || !proof)
            return err_set(err, ERR_TOO_LARGE, "no memory for the list");
        keyd__v1__principal__init(p);
        p->name = (char *)rule->principal.name;
        p->role = (Keyd__V1__Role)rule->principal.role;
        p->tenant = (char *)rule->principal.tenant;
        p->group = (char *)rule->principal.group;
        p->proof = (char *)rule_proof_text(rule, proof, PROOF_MAX);
        p->connections = connections_of(g, &rule->principal);
        all[i] = p;
    }
    return true;
}

void serve_principals_list(struct gate *g, struct call *call)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__PrincipalsListReply reply = KEYD__V1__PRINCIPALS_LIST_REPLY__INIT;
    Keyd__V1__Principal *all[RULES_MAX];
    struct err err;

    if (!list_rules(g, call, all, &err)) {
        call_fail(g, call, &err);
        return;
    }
    reply.n_principals = g->rule_count;
    reply.principals = all;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_PRINCIPALS_LIST_REPLY;
    answer.principals_list_reply = &reply;
    call_answer(g, call, &answer);
}
