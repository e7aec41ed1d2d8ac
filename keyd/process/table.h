/* SPDX-License-Identifier: Apache-2.0
 *
 * table: the keys as gates and signers know them. The custodian owns it; the others get it whole in
 * a sealed memory file when they start, and change by change in MSG_KEY afterwards. An entry with a
 * higher version replaces the one before it; entries never vanish, their state changes.
 */
#ifndef KEYD_PROCESS_TABLE_H
#define KEYD_PROCESS_TABLE_H

#include "keyd/process/msg.h"

#define TABLE_ID_LEN   32 /* KEY_ID_LEN in proto/keys.h; this room knows only bytes */
#define TABLE_SPKI_MAX 1024
#define TABLE_NAME_MAX 63
#define CKA_ID_MAX     32

enum key_state { KEY_ENABLED = 1, KEY_MISSING = 2, KEY_DISABLED = 3, KEY_DESTROYED = 4 };

struct table_key {
    uint8_t id[TABLE_ID_LEN];
    uint64_t version; /* of the table when this entry last changed */
    uint8_t type;     /* enum key_type */
    enum key_state state;
    uint32_t purposes;
    char tenant[TABLE_NAME_MAX + 1], name[TABLE_NAME_MAX + 1];
    uint8_t cka_id[CKA_ID_MAX];
    size_t cka_id_len;
    uint8_t spki[TABLE_SPKI_MAX];
    size_t spki_len;
    void *user; /* the owning process's own; not sent */
};

struct table {
    uint64_t version;
    size_t count;
    struct table_key **slots; /* open addressing over the id */
    size_t slot_count;
};

/* The entry with that id; NULL if there is none. It stays where it is until table_free. */
struct table_key *table_find(const struct table *t, const uint8_t id[TABLE_ID_LEN]);

/* Refuses, and says why, for a key that does not sign now: it is disabled, destroyed or missing in
 * the token. Gate and custodian say it in the same words. */
bool table_key_signs(const struct table_key *key, struct err *err) MUST_USE;

/* Refuses as for a key that the token does not show. */
bool table_key_missing(struct err *err);

/* Adds the entry, or replaces an older one of the same id (keeping `user`); an older version than
 * the one there is left out. Returns the entry in the table, NULL without memory. */
struct table_key *table_put(struct table *t, const struct table_key *key) MUST_USE;

/* The i-th slot's entry or NULL, for walking: i from 0 to slot_count - 1. */
struct table_key *table_at(const struct table *t, size_t i);

/* Frees all entries (not their `user`). */
void table_free(struct table *t);

/* Writes one entry into the message being put; reads one from a message (a failure fails it). */
void table_put_msg(struct chan *c, const struct table_key *key);
/* See table_put_msg. */
void table_get_msg(struct msg *m, struct table_key *ret);

/* The whole table as a sealed memory file (memfd_create(2), F_SEAL_WRITE and the rest). The caller
 * owns *ret_fd. */
bool table_to_fd(const struct table *t, int *ret_fd, struct err *err) MUST_USE;

/* Reads a sealed memory file, which must be one, into t by table_put. fd stays the caller's. */
bool table_from_fd(struct table *t, int fd, struct err *err) MUST_USE;

#endif
