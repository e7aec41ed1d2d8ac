/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/answers.h"

#include <stdio.h>
#include <string.h>

#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"

#define MAY_MAX 64 /* verbs */

static bool no_memory(struct gate *g, struct call *call)
{
    struct err err;

    err_set(&err, ERR_TOO_LARGE, "no memory for the answer");
    call_fail(g, call, &err);
    return false;
}

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
    Keyd__V1__Principal who = KEYD__V1__PRINCIPAL__INIT;
    char *may[MAY_MAX];

    who.name = call->line->who.name;
    who.role = (Keyd__V1__Role)call->line->who.role;
    who.tenant = call->line->who.tenant;
    who.group = call->line->who.group;
    who.proof = (char *)conn_proof(call->conn);
    reply.principal = &who;
    reply.n_may = list_rights(g, call, may);
    reply.may = may;
    if (reply.n_may == 0 && !no_memory(g, call))
        return;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_WHOAMI_REPLY;
    answer.whoami_reply = &reply;
    call_answer(g, call, &answer);
}
