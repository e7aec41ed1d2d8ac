/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/verbs.h"

#include <stdio.h>

#include "proto/keys.h"

#define V(x) KEYD__V1__ENVELOPE__BODY_##x
#define NO   SERVED_NOWHERE
#define GATE SERVED_BY_GATE
#define SIGN SERVED_BY_SIGNERS
#define CUST SERVED_BY_CUSTODIAN
#define NONE SCOPE_NONE
#define SELF SCOPE_SELF
#define GRTD SCOPE_GRANTED
#define OWN  SCOPE_OWN
#define ALL  SCOPE_ALL

/* The roles, in the order of the columns below, and what Sign may sign for whom. Nobody shares a
 * purpose with a frontend: it can finish handshakes, and never ask for a certificate; the others
 * the other way round. */
static const struct {
    enum role role;
    uint32_t purposes;
} roles[ROLE_COUNT] = {
    {ROLE_OPERATOR, PURPOSE_CSR | PURPOSE_RAW},
    {ROLE_TENANT, PURPOSE_CSR},
    {ROLE_FRONTEND, PURPOSES_TLS},
    {ROLE_AGENT, 0},
    {ROLE_ISSUER, PURPOSE_CSR},
    {ROLE_AUDITOR, 0},
};

/* The policy. A change of a row changes tests/unit/policy/verbs.snapshot. */
/* clang-format off */
static const struct verb verbs[] = {
    /* request             name                 keyd control   oper  tenant front agent issuer audit */
    {V(HELLO),             "hello",             GATE, GATE, { SELF, SELF, SELF, SELF, SELF, SELF }},
    {V(PING),              "ping",              GATE, GATE, { SELF, SELF, SELF, SELF, SELF, SELF }},
    {V(WHOAMI),            "whoami",            GATE, GATE, { SELF, SELF, SELF, SELF, SELF, SELF }},
    {V(SIGN),              "sign",              SIGN, CUST, { ALL,  OWN,  GRTD, NONE, ALL,  NONE }},
    {V(GET_PUBLIC_KEY),    "get-public-key",    GATE, GATE, { ALL,  OWN,  GRTD, NONE, ALL,  ALL  }},
    {V(CONFIG_TEST),       "config-test",       GATE, GATE, { ALL,  NONE, SELF, NONE, NONE, ALL  }},
    {V(EXPLAIN),           "explain",           NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, ALL  }},
    {V(PRINCIPALS_LIST),   "principals-list",   NO,   GATE, { ALL,  NONE, NONE, NONE, NONE, ALL  }},
    {V(TENANTS_ADD),       "tenants-add",       NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(TENANTS_LIST),      "tenants-list",      NO,   CUST, { ALL,  OWN,  NONE, NONE, ALL,  ALL  }},
    {V(KEYS_GENERATE),     "keys-generate",     NO,   CUST, { ALL,  OWN,  NONE, NONE, ALL,  NONE }},
    {V(KEYS_LIST),         "keys-list",         NO,   CUST, { ALL,  OWN,  NONE, NONE, ALL,  ALL  }},
    {V(KEYS_SHOW),         "keys-show",         NO,   CUST, { ALL,  OWN,  NONE, NONE, ALL,  ALL  }},
    {V(CREATE_CSR),        "create-csr",        NO,   CUST, { ALL,  OWN,  NONE, NONE, ALL,  NONE }},
    {V(KEYS_IMPORT),       "keys-import",       NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(IMPORT_KEY),        "import-key",        NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(IMPORT_KEY_ROTATE), "import-key-rotate", NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(KEYS_DISABLE),      "keys-disable",      NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(KEYS_ENABLE),       "keys-enable",       NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(KEYS_DESTROY),      "keys-destroy",      NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(GRANTS_ADD),        "grants-add",        NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(GRANTS_LIST),       "grants-list",       NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, ALL  }},
    {V(GRANTS_REMOVE),     "grants-remove",     NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(TOKENS_CREATE),     "tokens-create",     NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(TOKENS_LIST),       "tokens-list",       NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, ALL  }},
    {V(TOKENS_REVOKE),     "tokens-revoke",     NO,   CUST, { ALL,  OWN,  NONE, NONE, NONE, NONE }},
    {V(TOKEN_OBJECTS),     "token-objects",     NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, ALL  }},
    {V(KEYS_ADOPT),        "keys-adopt",        NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(TOKEN_SWEEP),       "token-sweep",       NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(TOKEN_BENCH),       "token-bench",       NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(PIN_CHANGE),        "pin-change",        NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(BACKUP),            "backup",            NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(BACKUP_READ),       "backup-read",       NO,   CUST, { ALL,  NONE, NONE, NONE, NONE, NONE }},
    {V(STATUS),            "status",            NO,   GATE, { ALL,  NONE, NONE, ALL,  NONE, ALL  }},
};
/* clang-format on */

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* ---- roles */

/* ROLE_COUNT if it is no single known role: two bits are not two roles. */
static size_t column_of(enum role role)
{
    size_t i = 0;

    while (i < ROLE_COUNT && roles[i].role != role)
        i++;
    return i;
}

enum verb_socket role_socket(enum role role)
{
    return role == ROLE_FRONTEND ? SOCKET_SIGNING : SOCKET_CONTROL;
}

uint32_t role_purposes(enum role role)
{
    size_t i = column_of(role);

    return i < ROLE_COUNT ? roles[i].purposes : 0;
}

/* ---- names */

const char *verb_socket_name(enum verb_socket socket)
{
    return socket == SOCKET_SIGNING ? "keyd.sock" : "control.sock";
}

const char *verb_server_name(enum verb_server server)
{
    static const char *const names[] = {"-", "gate", "signers", "custodian"};

    return (size_t)server < sizeof(names) / sizeof(names[0]) ? names[server] : "?";
}

const char *scope_name(enum scope scope)
{
    static const char *const names[] = {"-", "self", "granted", "own", "all"};

    return (size_t)scope < sizeof(names) / sizeof(names[0]) ? names[scope] : "?";
}

/* ---- rows */

const struct verb *verb_of(Keyd__V1__Envelope__BodyCase body)
{
    for (size_t i = 0; i < VERBS; i++)
        if (verbs[i].body == body)
            return &verbs[i];
    return NULL;
}

const struct verb *verb_at(size_t i)
{
    return i < VERBS ? &verbs[i] : NULL;
}

bool verb_takes_away(Keyd__V1__Envelope__BodyCase body)
{
    return body == V(KEYS_DISABLE) || body == V(KEYS_DESTROY) || body == V(GRANTS_REMOVE) ||
           body == V(TOKENS_REVOKE);
}

static bool unknown_verb(struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "this is no request that keyd %s knows", KEYD_VERSION);
    return err_hint(err, "is the client newer than keyd?");
}

enum scope verb_scope(const struct verb *verb, enum role role)
{
    size_t i = column_of(role);

    return verb && i < ROLE_COUNT ? (enum scope)verb->scopes[i] : SCOPE_NONE;
}

/* "operator or tenant": the roles of a row, for an error. */
static const char *roles_text(const struct verb *verb, char *buf, size_t size)
{
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < ROLE_COUNT; i++) {
        if (verb->scopes[i] == SCOPE_NONE || at >= size)
            continue;
        int n = snprintf(buf + at, size - at, "%s%s", at ? " or " : "", role_name(roles[i].role));
        at += n > 0 ? (size_t)n : 0;
    }
    return buf;
}

bool verb_allowed(const struct verb *verb, enum role role, enum scope *ret, struct err *err)
{
    char names[96];
    enum scope scope = verb_scope(verb, role);

    if (!verb)
        return unknown_verb(err);
    if (scope == SCOPE_NONE)
        return err_set(err, ERR_DENIED, "%s needs the role %s; this connection has the role %s",
                       verb->name, roles_text(verb, names, sizeof(names)), role_name(role));
    *ret = scope;
    return true;
}

bool verb_route(const struct verb *verb, enum verb_socket socket, enum verb_server *ret,
                struct err *err)
{
    if (!verb)
        return unknown_verb(err);
    enum verb_server server = socket == SOCKET_SIGNING ? verb->on_signing : verb->on_control;
    if (server == SERVED_NOWHERE) {
        enum verb_socket other = socket == SOCKET_SIGNING ? SOCKET_CONTROL : SOCKET_SIGNING;
        err_set(err, ERR_UNSUPPORTED, "%s is not spoken on %s", verb->name,
                verb_socket_name(socket));
        return err_hint(err, "use %s", verb_socket_name(other));
    }
    *ret = server;
    return true;
}
