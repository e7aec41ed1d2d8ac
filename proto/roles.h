/* SPDX-License-Identifier: Apache-2.0
 *
 * roles: the words for what somebody may be, which both ends share.
 */
#ifndef KEYD_PROTO_ROLES_H
#define KEYD_PROTO_ROLES_H

#include <stddef.h>

/* A principal has exactly one. Values as enum Role in keyd.proto. */
enum role {
    ROLE_NONE = 0,
    ROLE_OPERATOR = 1,
    ROLE_FRONTEND = 2, /* signs */
    ROLE_TENANT = 4,
    ROLE_AGENT = 8,    /* watches and reports, never signs */
    ROLE_ISSUER = 16,  /* the ACME client */
    ROLE_AUDITOR = 32, /* reads */
};

#define ROLE_COUNT 6

/* The i-th role, for i from 0; ROLE_NONE past the last. */
enum role role_at(size_t i);

/* "operator"; "none" if it is no single known bit. */
const char *role_name(enum role role);

/* The role with that name; ROLE_NONE if there is none. */
enum role role_by_name(const char *name);

#endif
