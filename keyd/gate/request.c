/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/request.h"

#include <string.h>

#include "keyd/gate/answers.h"
#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"
#include "keyd/gate/dispatch.h"
#include "keyd/gate/keys.h"
#include "keyd/gate/load.h"
#include "keyd/gate/status.h"
#include "keyd/gate/who.h"
#include "proto/base/clock.h"
#include "proto/base/secret.h"

#define CUSTODIAN_COST_US 1000 /* of a management verb, for the estimate of waiting */

/* ---- keys */

/* What lies outside of the caller's scope is, to him, not there. */
static bool in_scope(struct gate *g, struct call *call, const struct table_key *key)
{
    switch (call->scope) {
    case SCOPE_ALL:
        return true;
    case SCOPE_OWN:
        return strcmp(key->tenant, call->line->who.tenant) == 0;
    case SCOPE_GRANTED:
        call->purposes = who_granted(g, call->line, key);
        return call->purposes != 0;
    case SCOPE_SELF:
    case SCOPE_NONE:
        break;
    }
    return false;
}

static const struct table_key *find_key(struct gate *g, struct call *call,
                                        const ProtobufCBinaryData *id, struct err *err)
{
    const struct table_key *key = keys_find(g, id, err);

    if (!key || in_scope(g, call, key))
        return key;
    keys_unknown(id, err);
    return NULL;
}

/* ---- served by the gate */

/* Nobody gets an answer to his hello, and then the end. */
static void refuse_hello(struct gate *g, struct call *call, const struct err *err)
{
    struct conn *c = call->conn;

    call_refuse(g, call, err); /* conn_identify has logged it */
    conn_end(c);
}

static void serve_hello(struct gate *g, struct call *call)
{
    const Keyd__V1__Hello *hello = call->request->hello;
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__HelloReply reply = KEYD__V1__HELLO_REPLY__INIT;
    struct err err;

    if (conn_greeted(call->conn)) {
        err_set(&err, ERR_BAD_REQUEST, "a second Hello");
        call_fail(g, call, &err);
        return;
    }
    if (hello->version_min > PROTOCOL_VERSION || hello->version_max < PROTOCOL_VERSION) {
        err_set(&err, ERR_UNSUPPORTED, "the client speaks versions %u to %u of keyd.v1, keyd %d",
                hello->version_min, hello->version_max, PROTOCOL_VERSION);
        err_hint(&err, "update the older of the two");
        call_fail(g, call, &err);
        return;
    }
    bool known = conn_identify(g, call->conn, hello->token, &err);
    secret_wipe(hello->token, strlen(hello->token));
    if (!known) {
        refuse_hello(g, call, &err);
        return;
    }
    conn_greet(call->conn);
    reply.version = PROTOCOL_VERSION;
    reply.server = (char *)"keyd " KEYD_VERSION;
    reply.max_frame = g->socket == SOCKET_SIGNING ? FRAME_CAP_SIGNING : FRAME_CAP_CONTROL;
    reply.max_in_flight = g->limits.in_flight;
    reply.default_deadline_ms = g->limits.default_deadline_ms;
    reply.max_deadline_ms = g->limits.max_deadline_ms;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_HELLO_REPLY;
    answer.hello_reply = &reply;
    call_answer(g, call, &answer);
}

static void serve_ping(struct gate *g, struct call *call)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__PingReply reply = KEYD__V1__PING_REPLY__INIT;

    answer.body_case = KEYD__V1__ENVELOPE__BODY_PING_REPLY;
    answer.ping_reply = &reply;
    call_answer(g, call, &answer);
}

static void serve_get_public_key(struct gate *g, struct call *call)
{
    envelope answer = KEYD__V1__ENVELOPE__INIT;
    Keyd__V1__GetPublicKeyReply reply = KEYD__V1__GET_PUBLIC_KEY_REPLY__INIT;
    struct err err;
    const struct table_key *key = find_key(g, call, &call->request->get_public_key->key_id, &err);

    if (!key) {
        call_fail(g, call, &err);
        return;
    }
    reply.spki = (ProtobufCBinaryData){.len = key->spki_len, .data = (uint8_t *)key->spki};
    reply.purposes = key->purposes;
    answer.body_case = KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY_REPLY;
    answer.get_public_key_reply = &reply;
    call_answer(g, call, &answer);
}

static void serve_here(struct gate *g, struct call *call)
{
    switch (call->verb->body) {
    case KEYD__V1__ENVELOPE__BODY_HELLO:
        serve_hello(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_PING:
        serve_ping(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_GET_PUBLIC_KEY:
        serve_get_public_key(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_STATUS:
        status_ask(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_WHOAMI:
        serve_whoami(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_PRINCIPALS_LIST:
        serve_principals_list(g, call);
        return;
    case KEYD__V1__ENVELOPE__BODY_CONFIG_TEST:
        serve_config_test(g, call);
        return;
    default:
        call_fail(g, call,
                  &(struct err){.code = ERR_INTERNAL, .text = "the gate does not serve this"});
    }
}

/* ---- passed on */

/* What can be refused here costs the signers nothing. */
static bool check_sign(struct gate *g, struct call *call, struct err *err)
{
    const Keyd__V1__Sign *sign = call->request->sign;
    const struct table_key *key = find_key(g, call, &sign->key_id, err);

    if (!key)
        return false;
    call->purposes &= role_purposes(call->line->who.role);
    call->key = key;
    if (!scheme_by_code(sign->scheme))
        return err_set(err, ERR_BAD_SCHEME, "0x%04x is no signature scheme that keyd makes",
                       sign->scheme);
    TRY(table_key_signs(key, err));
    call->cost_us = *keys_cost(g, key);
    return load_admit(g, call, err);
}

/* The request for the custodian, as it came. */
static bool keep_raw(struct gate *g, struct call *call, const uint8_t *payload, size_t len,
                     struct err *err)
{
    call->cost_us = CUSTODIAN_COST_US;
    if (call->request->body_case == KEYD__V1__ENVELOPE__BODY_EXPLAIN)
        return explain_judge(g, call, err);
    if (call->request->body_case == KEYD__V1__ENVELOPE__BODY_TOKENS_CREATE)
        TRY(who_name_is_free(g, call->request->tokens_create, err));
    call->raw = arena_dup(&call->arena, payload, len);
    call->raw_len = len;
    return call->raw || err_set(err, ERR_TOO_LARGE, "no memory for a request of %zu bytes", len);
}

static void set_deadline(const struct gate *g, struct call *call)
{
    uint32_t ms = call->request->deadline_ms;

    if (ms == 0)
        ms = g->limits.default_deadline_ms;
    if (ms > g->limits.max_deadline_ms)
        ms = g->limits.max_deadline_ms;
    call->deadline = call->received + (uint64_t)ms * 1000;
}

/* Who asks, may he, who serves it, can it be had in time. */
static bool route(struct gate *g, struct call *call, const uint8_t *payload, size_t len,
                  enum verb_server *ret, struct err *err)
{
    call->verb = verb_of(call->request->body_case);
    if (!conn_greeted(call->conn)) { /* a hello: nobody is anybody yet */
        *ret = SERVED_BY_GATE;
        return true;
    }
    TRY(verb_allowed(call->verb, call->line->who.role, &call->scope, err));
    TRY(verb_route(call->verb, g->socket, ret, err));
    if (*ret == SERVED_BY_GATE)
        return true;
    if (*ret == SERVED_BY_SIGNERS)
        TRY(check_sign(g, call, err));
    else
        TRY(keep_raw(g, call, payload, len, err));
    TRY(dispatch_admit(g, call, err));
    return call_charge(g, call, err);
}

static void enqueue(struct gate *g, struct call *call)
{
    if (call->key)
        load_call_begins(g, call);
    dispatch_enqueue(g, call);
}

static void begin(struct gate *g, struct call *call, const uint8_t *payload, size_t len)
{
    enum verb_server server;
    struct err err;

    set_deadline(g, call);
    if (!route(g, call, payload, len, &server, &err))
        call_fail(g, call, &err);
    else if (server == SERVED_BY_GATE)
        serve_here(g, call);
    else
        enqueue(g, call);
}

static void lose_for_nonsense(struct gate *g, struct conn *c, const struct err *err)
{
    refusal_count(&g->refusals, REFUSAL_NO_MESSAGE);
    conn_lose(g, c, err);
}

void request_receive(struct gate *g, struct conn *c, const uint8_t *payload, size_t len)
{
    struct call *call = call_new(g, c);
    struct err err = {0};

    if (!call) {
        err_set(&err, ERR_BUSY, "no memory for another call");
        conn_lose(g, c, &err);
        return;
    }
    call->request = frame_decode(&call->arena, payload, len, &err);
    if (!call->request) {
        call_free(g, call);
        lose_for_nonsense(g, c, &err);
        return;
    }
    call->id = call->request->id;
    if (!conn_greeted(c) && call->request->body_case != KEYD__V1__ENVELOPE__BODY_HELLO) {
        call_free(g, call);
        err_set(&err, ERR_BAD_REQUEST, "the first message of a connection must be a Hello");
        lose_for_nonsense(g, c, &err);
    } else if (err.code) {
        call_fail(g, call, &err); /* a body that only a newer peer knows */
    } else {
        begin(g, call, payload, len);
    }
}
