/* SPDX-License-Identifier: Apache-2.0
 *
 * verbs: who may ask for what, where it is spoken, and which process does it. verbs.c holds the one
 * table; what is not in it is refused. Both gates and the custodian ask it (two walls, one table).
 */
#ifndef KEYD_POLICY_VERBS_H
#define KEYD_POLICY_VERBS_H

#include "proto/base/err.h"
#include "proto/keyd.pb-c.h"

/* What a connection proved itself to be. Bits, so that a row can name several; a principal has
 * exactly one. Values travel in MSG_REQUEST: never renumbered. */
enum role {
    ROLE_NONE = 0,
    ROLE_OPERATOR = 1, /* whoever may open control.sock */
    ROLE_FRONTEND = 2, /* whoever may open keyd.sock */
};

#define ROLES_ALL (ROLE_OPERATOR | ROLE_FRONTEND)

/* "operator"; "none" if it is no single known bit. */
const char *role_name(enum role role);

/* The purposes (bits of enum purpose, proto/keys.h) that this role may have signed with Sign, if
 * the key has them too. */
uint32_t role_purposes(enum role role);

enum verb_socket { SOCKET_SIGNING, SOCKET_CONTROL };

/* "keyd.sock", "control.sock". */
const char *verb_socket_name(enum verb_socket socket);

enum verb_server {
    SERVED_NOWHERE,      /* not spoken on this socket */
    SERVED_BY_GATE,      /* by the gate that has the socket */
    SERVED_BY_SIGNERS,   /* queued, then a signer */
    SERVED_BY_CUSTODIAN, /* passed on whole in MSG_REQUEST */
};

/* "gate", "signers", "custodian", "-". */
const char *verb_server_name(enum verb_server server);

/* What a call reaches. A role that is bound to a tenant (later) may call nothing wider than a
 * tenant. */
enum verb_scope {
    SCOPE_CONNECTION, /* nothing but the connection itself */
    SCOPE_KEY,        /* one key */
    SCOPE_TENANT,     /* what one tenant has */
    SCOPE_NODE,       /* all tenants, the token, the daemon */
};

/* "connection", "key", "tenant", "node". */
const char *verb_scope_name(enum verb_scope scope);

struct verb {
    Keyd__V1__Envelope__BodyCase body;
    const char *name; /* "keys-generate" */
    uint32_t roles;   /* bits of enum role */
    enum verb_scope scope;
    enum verb_server on_signing, on_control; /* who serves it on keyd.sock, on control.sock */
};

/* The row of a request; NULL for answers and whatever is not a verb: refuse it. */
const struct verb *verb_of(Keyd__V1__Envelope__BodyCase body);

/* The i-th row, for i from 0; NULL past the end. */
const struct verb *verb_at(size_t i);

/* Whether the request takes a right or a key away: it goes before those that make (design D11). */
bool verb_takes_away(Keyd__V1__Envelope__BodyCase body);

/* Whether this role may call the verb. ERR_UNSUPPORTED for NULL, ERR_DENIED says which role would
 * be needed. */
bool verb_allowed(const struct verb *verb, enum role role, struct err *err) MUST_USE;

/* Which process serves the verb on this socket. ERR_UNSUPPORTED for NULL and for a verb that is not
 * spoken there; the hint names the socket where it is. */
bool verb_route(const struct verb *verb, enum verb_socket socket, enum verb_server *ret,
                struct err *err) MUST_USE;

#endif
