/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/policy/verbs.h"

#include <stdio.h>

#include "proto/keys.h"

#define V(x) KEYD__V1__ENVELOPE__BODY_##x
#define OPER ROLE_OPERATOR
#define NO   SERVED_NOWHERE
#define GATE SERVED_BY_GATE
#define SIGN SERVED_BY_SIGNERS
#define CUST SERVED_BY_CUSTODIAN

/* The policy. A change of a row changes tests/unit/policy/verbs.snapshot. */
/* clang-format off */
static const struct verb verbs[] = {
    /* request             name                 roles      scope             keyd.sock control.sock */
    {V(HELLO),             "hello",             ROLES_ALL, SCOPE_CONNECTION, GATE,     GATE},
    {V(PING),              "ping",              ROLES_ALL, SCOPE_CONNECTION, GATE,     GATE},
    {V(SIGN),              "sign",              ROLES_ALL, SCOPE_KEY,        SIGN,     CUST},
    {V(GET_PUBLIC_KEY),    "get-public-key",    ROLES_ALL, SCOPE_KEY,        GATE,     GATE},
    {V(TENANTS_ADD),       "tenants-add",       OPER,      SCOPE_NODE,       NO,       CUST},
    {V(TENANTS_LIST),      "tenants-list",      OPER,      SCOPE_NODE,       NO,       CUST},
    {V(KEYS_GENERATE),     "keys-generate",     OPER,      SCOPE_TENANT,     NO,       CUST},
    {V(KEYS_LIST),         "keys-list",         OPER,      SCOPE_TENANT,     NO,       CUST},
    {V(KEYS_SHOW),         "keys-show",         OPER,      SCOPE_KEY,        NO,       CUST},
    {V(CREATE_CSR),        "create-csr",        OPER,      SCOPE_KEY,        NO,       CUST},
    {V(KEYS_IMPORT),       "keys-import",       OPER,      SCOPE_TENANT,     NO,       CUST},
    {V(IMPORT_KEY),        "import-key",        OPER,      SCOPE_TENANT,     NO,       CUST},
    {V(IMPORT_KEY_ROTATE), "import-key-rotate", OPER,      SCOPE_NODE,       NO,       CUST},
    {V(KEYS_DISABLE),      "keys-disable",      OPER,      SCOPE_KEY,        NO,       CUST},
    {V(KEYS_ENABLE),       "keys-enable",       OPER,      SCOPE_KEY,        NO,       CUST},
    {V(KEYS_DESTROY),      "keys-destroy",      OPER,      SCOPE_KEY,        NO,       CUST},
    {V(TOKEN_OBJECTS),     "token-objects",     OPER,      SCOPE_NODE,       NO,       CUST},
    {V(KEYS_ADOPT),        "keys-adopt",        OPER,      SCOPE_NODE,       NO,       CUST},
    {V(TOKEN_SWEEP),       "token-sweep",       OPER,      SCOPE_NODE,       NO,       CUST},
    {V(STATUS),            "status",            OPER,      SCOPE_NODE,       NO,       GATE},
};
/* clang-format on */

#define VERBS (sizeof(verbs) / sizeof(verbs[0]))

/* What Sign may sign for whom. Two roles, no purpose in common: a frontend can finish handshakes,
 * and never ask for a certificate; an operator the other way round. */
static const struct {
    enum role role;
    const char *name;
    uint32_t purposes;
} roles[] = {
    {ROLE_OPERATOR, "operator", PURPOSE_CSR},
    {ROLE_FRONTEND, "frontend", PURPOSES_TLS},
};

#define ROLES (sizeof(roles) / sizeof(roles[0]))

const char *role_name(enum role role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].role == role)
            return roles[i].name;
    return "none";
}

uint32_t role_purposes(enum role role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].role == role)
            return roles[i].purposes;
    return 0;
}

static bool role_known(enum role role)
{
    for (size_t i = 0; i < ROLES; i++)
        if (roles[i].role == role)
            return true;
    return false;
}

const char *verb_socket_name(enum verb_socket socket)
{
    return socket == SOCKET_SIGNING ? "keyd.sock" : "control.sock";
}

const char *verb_server_name(enum verb_server server)
{
    static const char *const names[] = {"-", "gate", "signers", "custodian"};

    return (size_t)server < sizeof(names) / sizeof(names[0]) ? names[server] : "?";
}

const char *verb_scope_name(enum verb_scope scope)
{
    static const char *const names[] = {"connection", "key", "tenant", "node"};

    return (size_t)scope < sizeof(names) / sizeof(names[0]) ? names[scope] : "?";
}

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

static bool unknown_verb(struct err *err)
{
    err_set(err, ERR_UNSUPPORTED, "this is no request that keyd %s knows", KEYD_VERSION);
    return err_hint(err, "is the client newer than keyd?");
}

/* "operator or frontend": the roles of a row, for an error. */
static const char *roles_text(uint32_t bits, char *buf, size_t size)
{
    size_t at = 0;

    buf[0] = '\0';
    for (size_t i = 0; i < ROLES; i++) {
        if (!(bits & roles[i].role) || at >= size)
            continue;
        int n = snprintf(buf + at, size - at, "%s%s", at ? " or " : "", roles[i].name);
        at += n > 0 ? (size_t)n : 0;
    }
    return buf;
}

bool verb_allowed(const struct verb *verb, enum role role, struct err *err)
{
    char names[64];

    if (!verb)
        return unknown_verb(err);
    /* a value that is no single known role has no right at all: two bits are not two roles */
    if (role_known(role) && (verb->roles & role))
        return true;
    return err_set(err, ERR_DENIED, "%s needs the role %s; this connection has the role %s",
                   verb->name, roles_text(verb->roles, names, sizeof(names)), role_name(role));
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
