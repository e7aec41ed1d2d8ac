/* SPDX-License-Identifier: Apache-2.0
 *
 * access: grants and API tokens as the gates know them. The custodian owns them and hands out the
 * whole, in a sealed memory file, at every change: a gate is never between two states. Role and
 * purposes are numbers of the rooms that know them.
 */
#ifndef KEYD_PROCESS_ACCESS_H
#define KEYD_PROCESS_ACCESS_H

#include "keyd/process/table.h"

#define ACCESS_HASH_LEN 32

struct access_grant {
    uint64_t id;
    char principal[TABLE_NAME_MAX + 1]; /* of this principal, or, if empty, */
    char group[TABLE_NAME_MAX + 1];     /* of this group */
    char tenant[TABLE_NAME_MAX + 1];    /* on all keys of this tenant, or, if empty, */
    uint8_t key[TABLE_ID_LEN];          /* on this key */
    uint32_t purposes;
};

struct access_token {
    uint8_t hash[ACCESS_HASH_LEN]; /* SHA-256 over the token's text */
    char name[TABLE_NAME_MAX + 1]; /* the principal that it is */
    uint32_t role;
    char tenant[TABLE_NAME_MAX + 1];
    uint64_t expires; /* seconds since 1970, UTC */
    int64_t said_at;  /* the gate's own, not sent: when it told of its use last */
};

struct access {
    uint64_t version; /* 0: none was published yet */
    struct access_grant *grants;
    size_t grant_count;
    struct access_token *tokens;
    size_t token_count;
};

/* Frees what it holds and makes it empty. */
void access_free(struct access *a);

/* The whole as a sealed memory file. The caller owns *ret_fd. */
bool access_to_fd(const struct access *a, int *ret_fd, struct err *err) MUST_USE;

/* Reads a sealed memory file, which must be one, into ret (an empty one). fd stays the caller's. */
bool access_from_fd(struct access *ret, int fd, struct err *err) MUST_USE;

#endif
