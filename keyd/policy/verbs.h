/* SPDX-License-Identifier: Apache-2.0
 *
 * verbs: who may ask for what, on what, where it is spoken, and which process does it. verbs.c
 * holds the one table; what is not in it is refused. Both gates and the custodian ask it (two
 * walls, one table).
 */
#ifndef KEYD_POLICY_VERBS_H
#define KEYD_POLICY_VERBS_H

#include "proto/base/err.h"
#include "proto/keyd.pb-c.h"
#include "proto/roles.h"

enum verb_socket { SOCKET_SIGNING, SOCKET_CONTROL };

/* On which socket this role is at home: frontends on keyd.sock, all others on control.sock. Nobody
 * is anybody on the other one. */
enum verb_socket role_socket(enum role role);

/* The purposes (bits of enum purpose, proto/keys.h) that this role may have signed with Sign, if
 * the key has them too. */
uint32_t role_purposes(enum role role);

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

/* On what a role may call a verb. */
enum scope {
    SCOPE_NONE,    /* on nothing: refused */
    SCOPE_SELF,    /* on nothing but the connection itself */
    SCOPE_GRANTED, /* on keys that it was granted */
    SCOPE_OWN,     /* on what its own tenant has */
    SCOPE_ALL,     /* on everything */
};

/* "-", "self", "granted", "own", "all". */
const char *scope_name(enum scope scope);

struct verb {
    Keyd__V1__Envelope__BodyCase body;
    const char *name;                        /* "keys-generate" */
    enum verb_server on_signing, on_control; /* who serves it on keyd.sock, on control.sock */
    uint8_t scopes[ROLE_COUNT];              /* enum scope, in the order of role_at */
};

/* The row of a request; NULL for answers and whatever is not a verb: refuse it. */
const struct verb *verb_of(Keyd__V1__Envelope__BodyCase body);

/* The i-th row, for i from 0; NULL past the end. */
const struct verb *verb_at(size_t i);

/* On what this role may call the verb; SCOPE_NONE for NULL and for no single known role. */
enum scope verb_scope(const struct verb *verb, enum role role);

/* Whether the request takes a right or a key away: it goes before those that make (design D11). */
bool verb_takes_away(Keyd__V1__Envelope__BodyCase body);

/* As verb_scope, as a verdict: ERR_UNSUPPORTED for NULL, ERR_DENIED says which role would be
 * needed. */
bool verb_allowed(const struct verb *verb, enum role role, enum scope *ret,
                  struct err *err) MUST_USE;

/* Which process serves the verb on this socket. ERR_UNSUPPORTED for NULL and for a verb that is not
 * spoken there; the hint names the socket where it is. */
bool verb_route(const struct verb *verb, enum verb_socket socket, enum verb_server *ret,
                struct err *err) MUST_USE;

#endif
