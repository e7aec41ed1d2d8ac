/* SPDX-License-Identifier: Apache-2.0
 *
 * registry: what should be: tenants and their keys (public parts only), and the intents of changes
 * that are under way. The token says what is; the custodian compares (design D4).
 */
#ifndef KEYD_REGISTRY_REGISTRY_H
#define KEYD_REGISTRY_REGISTRY_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/err.h"
#include "proto/import.h"
#include "proto/token.h"

#define INTENT_ID_LEN       16
#define INTENT_VERB_MAX     31
#define REGISTRY_CKA_ID_MAX 32
#define REGISTRY_NAMES_MAX  2047 /* of a key's allowed names, together */

struct registry;

/* Opens the registry and brings its schema up to this keyd's version. ERR_STORAGE for one that a
 * newer keyd wrote, and for a file that is no registry. */
bool registry_open(struct registry **ret, const char *path, struct err *err) MUST_USE;

/* Closes. NULL is fine. */
void registry_close(struct registry *r);

/* How many tenants and keys there are. */
bool registry_counts(struct registry *r, uint32_t *ret_tenants, uint32_t *ret_keys,
                     struct err *err) MUST_USE;

/* Writes a copy of the registry, as the last change left it, to a file that is not there yet. */
bool registry_copy(struct registry *r, const char *path, struct err *err) MUST_USE;

/* ---- tenants (tenants.c) */

struct registry_tenant {
    char name[NAME_MAX_LEN + 1];
    uint64_t created; /* seconds since 1970, UTC */
    uint32_t keys;    /* how many it has */
};

/* Adds a tenant. ERR_BAD_REQUEST for what is no name, ERR_EXISTS. */
bool registry_tenant_add(struct registry *r, const char *name, struct registry_tenant *ret,
                         struct err *err) MUST_USE;

/* Finds a tenant. ERR_BAD_REQUEST, ERR_NOT_FOUND. */
bool registry_tenant_find(struct registry *r, const char *name, struct registry_tenant *ret,
                          struct err *err) MUST_USE;

/* The answer for a tenant that is not there, or not for who asks: ERR_NOT_FOUND. Always false. */
bool registry_tenant_unknown(const char *name, struct err *err);

/* At most max tenants in the order of their names, behind `after` (empty: from the start), into
 * rows. *ret_more: there are more behind them. */
bool registry_tenant_list(struct registry *r, const char *after, struct registry_tenant *rows,
                          size_t max, size_t *ret_count, bool *ret_more, struct err *err) MUST_USE;

/* ---- keys (keys.c) */

/* As the registry has it; that a key is missing in the token is never written down here. */
enum registry_key_state {
    REGISTRY_KEY_ENABLED = 1,
    REGISTRY_KEY_DISABLED = 2,
    REGISTRY_KEY_DESTROYING = 3, /* the intent of keys-destroy: its object goes, then its row */
};

struct registry_key {
    uint8_t id[KEY_ID_LEN]; /* SHA-256 over spki */
    char tenant[NAME_MAX_LEN + 1];
    char name[NAME_MAX_LEN + 1];
    enum key_type type;
    uint32_t purposes;
    enum registry_key_state state;
    uint64_t created;
    uint8_t cka_id[REGISTRY_CKA_ID_MAX];
    size_t cka_id_len;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
    bool adopted; /* the token had it before keyd knew it: its CKA_ID and label are not ours */
    char allowed_names[REGISTRY_NAMES_MAX + 1]; /* patterns of policy/tbs_names.h, a blank between
                                                   two; empty: any name */
};

/* Finds a key by "tenant/name" or by 8 or more hex digits that its id starts with, among those of
 * the tenant `within` (empty: among all): what is another's is as if it were not there.
 * ERR_BAD_REQUEST for another form; ERR_NOT_FOUND says whether tenant or key is unknown;
 * ERR_AMBIGUOUS lists keys that fit. */
bool registry_key_find(struct registry *r, const char *key, const char *within,
                       struct registry_key *ret, struct err *err) MUST_USE;

/* Finds a key by its whole id. ERR_NOT_FOUND. */
bool registry_key_by_id(struct registry *r, const uint8_t id[KEY_ID_LEN], struct registry_key *ret,
                        struct err *err) MUST_USE;

/* Finds a key by its CKA_ID in the token. ERR_NOT_FOUND. */
bool registry_key_by_cka_id(struct registry *r, const uint8_t *cka_id, size_t len,
                            struct registry_key *ret, struct err *err) MUST_USE;

/* At most max keys in the order of tenant and name, of one tenant (empty: of all), behind `after`
 * ("tenant/name"; empty: from the start), into rows. *ret_more: there are more behind them.
 * ERR_NOT_FOUND for an unknown tenant. */
bool registry_key_list(struct registry *r, const char *tenant, const char *after,
                       struct registry_key *rows, size_t max, size_t *ret_count, bool *ret_more,
                       struct err *err) MUST_USE;

/* Sets a key's state; durable when this returns. ERR_NOT_FOUND. A key that is being destroyed stays
 * so: ERR_CONFLICT. */
bool registry_key_set_state(struct registry *r, const uint8_t id[KEY_ID_LEN],
                            enum registry_key_state state, struct err *err) MUST_USE;

/* Removes the row of a key that is being destroyed, when its object is gone. ERR_NOT_FOUND for any
 * other. */
bool registry_key_remove(struct registry *r, const uint8_t id[KEY_ID_LEN],
                         struct err *err) MUST_USE;

/* Refuses with ERR_CONFLICT, and names them, while things use the key: the view key_uses, to which
 * whatever refers to keys adds itself. */
bool registry_key_unused(struct registry *r, const struct registry_key *key,
                         struct err *err) MUST_USE;

#define REGISTRY_SEEN_MAX 1023

/* Registers a key that is in the token already, and how it was found there (`seen`, a text of the
 * caller's): both or neither, durable when this returns. There is no intent: nothing is changed in
 * the token, so nothing of it is ever undone there. Sets `created` and `adopted`. ERR_NOT_FOUND for
 * an unknown tenant, ERR_EXISTS when name, id or CKA_ID are taken. */
bool registry_key_adopt(struct registry *r, struct registry_key *key, const char *seen,
                        struct err *err) MUST_USE;

/* How an adopted key was found. ERR_NOT_FOUND for a key that was not adopted. */
bool registry_key_seen(struct registry *r, const uint8_t id[KEY_ID_LEN],
                       char ret[REGISTRY_SEEN_MAX + 1], struct err *err) MUST_USE;

/* ---- intents (intents.c): what was begun and is not committed yet */

struct registry_intent {
    uint8_t id[INTENT_ID_LEN]; /* random */
    char verb[INTENT_VERB_MAX + 1];
    char tenant[NAME_MAX_LEN + 1]; /* empty, like the name: for something that is no tenant's */
    char name[NAME_MAX_LEN + 1];
    enum key_type type;
    uint32_t purposes;
    uint8_t cka_id[REGISTRY_CKA_ID_MAX]; /* of the object that is to be */
    size_t cka_id_len;
    uint64_t created;
    char allowed_names[REGISTRY_NAMES_MAX + 1]; /* for the key; never written down: an intent that
                                                   was cut short is undone, not finished */
};

/* Whether a tenant may have a key of that name: ERR_BAD_REQUEST for what is none, ERR_NOT_FOUND for
 * an unknown tenant, ERR_EXISTS when it has one. */
bool registry_name_is_free(struct registry *r, const char *tenant, const char *name,
                           struct err *err) MUST_USE;

/* Writes an intent down; it is durable when this returns. Sets `created`. ERR_NOT_FOUND for an
 * unknown tenant, ERR_EXISTS when it has a key of that name or one is being made. */
bool registry_intent_add(struct registry *r, struct registry_intent *intent,
                         struct err *err) MUST_USE;

/* The intent is undone: nothing of it is left in the token. */
bool registry_intent_drop(struct registry *r, const uint8_t id[INTENT_ID_LEN],
                          struct err *err) MUST_USE;

/* The intent is done: the key stands in the registry and the intent does not, both or neither.
 * `created` is set. ERR_EXISTS when its id, name or CKA_ID are taken; ERR_NOT_FOUND when there is
 * no such intent. */
bool registry_intent_commit(struct registry *r, const uint8_t id[INTENT_ID_LEN],
                            struct registry_key *key, struct err *err) MUST_USE;

/* All open intents, the oldest first, freed with mem_free. */
bool registry_intent_list(struct registry *r, struct registry_intent **ret, size_t *ret_count,
                          struct err *err) MUST_USE;

/* ---- grants (grants.c): which frontend may use which key, for which purposes */

struct registry_grant {
    uint64_t id;                      /* never used again */
    char principal[NAME_MAX_LEN + 1]; /* a frontend, or, if empty, */
    char group[NAME_MAX_LEN + 1];     /* a group of frontends */
    char tenant[NAME_MAX_LEN + 1];    /* all keys of this tenant, or, if key_name is not empty, */
    char key_name[NAME_MAX_LEN + 1];  /* this key of it, */
    uint8_t key[KEY_ID_LEN];          /* with this id */
    uint32_t purposes;
    uint64_t created;
};

/* Adds a grant, or replaces the purposes of the one that is there for the same frontends on the
 * same keys. `key_name` empty: on all keys of `tenant`. Sets id and created; durable when this
 * returns. ERR_NOT_FOUND for an unknown tenant. */
bool registry_grant_add(struct registry *r, struct registry_grant *grant, struct err *err) MUST_USE;

/* Takes a grant away; ret is what it was. ERR_NOT_FOUND. */
bool registry_grant_remove(struct registry *r, uint64_t id, struct registry_grant *ret,
                           struct err *err) MUST_USE;

/* All grants by id, freed with mem_free. */
bool registry_grant_list(struct registry *r, struct registry_grant **ret, size_t *ret_count,
                         struct err *err) MUST_USE;

/* ---- API tokens (tokens.c): hashes */

struct registry_token {
    uint8_t hash[API_TOKEN_HASH_LEN];
    char id[API_TOKEN_ID_LEN + 1]; /* of the hash, in hex */
    char name[NAME_MAX_LEN + 1];   /* of the principal that it is */
    uint32_t role;
    char tenant[NAME_MAX_LEN + 1]; /* of a tenant; else empty */
    uint64_t created, expires;     /* seconds since 1970, UTC */
    uint64_t last_used;            /* 0: never */
};

/* Adds a token; durable when this returns. ERR_NOT_FOUND for an unknown tenant, ERR_EXISTS for a
 * hash or id that is taken. */
bool registry_token_add(struct registry *r, struct registry_token *token, struct err *err) MUST_USE;

/* Takes a token away, of the tenant `within` (empty: of anyone); ret is what it was.
 * ERR_NOT_FOUND. */
bool registry_token_remove(struct registry *r, const char *id, const char *within,
                           struct registry_token *ret, struct err *err) MUST_USE;

/* Notes that a token is in use now; one that is not there is no error. */
bool registry_token_used(struct registry *r, const uint8_t hash[API_TOKEN_HASH_LEN],
                         struct err *err) MUST_USE;

/* All tokens by id, freed with mem_free. */
bool registry_token_list(struct registry *r, struct registry_token **ret, size_t *ret_count,
                         struct err *err) MUST_USE;

/* ---- import (imports.c): the keys that others are wrapped for, and imports that were begun */

#define IMPORT_PRINCIPAL_MAX 143

/* Never renumbered. */
enum registry_import_state {
    REGISTRY_IMPORT_CURRENT = 1, /* new imports are for this one; there is at most one */
    REGISTRY_IMPORT_RETIRED = 2, /* imports that were begun with it may still come */
    REGISTRY_IMPORT_GOING = 3,   /* it is being destroyed */
};

struct registry_import_key {
    uint8_t id[KEY_ID_LEN]; /* SHA-256 over spki */
    enum registry_import_state state;
    uint64_t created;
    uint8_t cka_id[REGISTRY_CKA_ID_MAX];
    size_t cka_id_len;
    uint8_t spki[SPKI_MAX_LEN];
    size_t spki_len;
};

/* The import key in force. ERR_NOT_FOUND: none was made yet. */
bool registry_import_current(struct registry *r, struct registry_import_key *ret,
                             struct err *err) MUST_USE;

/* Finds an import key by its id, by its CKA_ID. ERR_NOT_FOUND. */
bool registry_import_by_id(struct registry *r, const uint8_t id[KEY_ID_LEN],
                           struct registry_import_key *ret, struct err *err) MUST_USE;
/* See registry_import_by_id. */
bool registry_import_by_cka_id(struct registry *r, const uint8_t *cka_id, size_t len,
                               struct registry_import_key *ret, struct err *err) MUST_USE;

/* All import keys, the oldest first, freed with mem_free. */
bool registry_import_list(struct registry *r, struct registry_import_key **ret, size_t *ret_count,
                          struct err *err) MUST_USE;

/* The intent is done: the key stands in force, the one before it is retired, and the intent is
 * gone, all or nothing. Sets `state` and `created`. */
bool registry_import_commit(struct registry *r, const uint8_t intent[INTENT_ID_LEN],
                            struct registry_import_key *key, struct err *err) MUST_USE;

/* A retired key that no begun import needs is on its way: its object may be destroyed from now on.
 * *ret_going false: an import needs it, or it is not retired. */
bool registry_import_going(struct registry *r, const uint8_t id[KEY_ID_LEN], bool *ret_going,
                           struct err *err) MUST_USE;

/* Forgets a key that is going: its object is gone. */
bool registry_import_drop(struct registry *r, const uint8_t id[KEY_ID_LEN],
                          struct err *err) MUST_USE;

struct registry_nonce {
    uint8_t nonce[IMPORT_NONCE_LEN];
    uint8_t import_key[KEY_ID_LEN];
    char principal[IMPORT_PRINCIPAL_MAX + 1]; /* who began the import */
};

/* An import is begun; nonces older than `good_s` seconds are forgotten. ERR_BUSY with the time
 * when there are too many. */
bool registry_nonce_add(struct registry *r, const struct registry_nonce *nonce, uint32_t good_s,
                        struct err *err) MUST_USE;

/* Uses a nonce up: found or not, it is good no more. ERR_NOT_FOUND for one that is not known, was
 * used, is older than `good_s` seconds, or is another principal's. */
bool registry_nonce_take(struct registry *r, const uint8_t nonce[IMPORT_NONCE_LEN],
                         const char *principal, uint32_t good_s, struct registry_nonce *ret,
                         struct err *err) MUST_USE;

/* Forgets nonces that are older than `good_s` seconds. */
bool registry_nonce_expire(struct registry *r, uint32_t good_s, struct err *err) MUST_USE;

/* Counts a failed import of the principal. It may fail `burst` times in a row, and then once in
 * `each_ms`. */
bool registry_failure_add(struct registry *r, const char *principal, uint32_t each_ms,
                          struct err *err) MUST_USE;

/* *ret_ms: how long the principal must wait before it may try again; 0: not at all. */
bool registry_failure_wait(struct registry *r, const char *principal, uint32_t burst,
                           uint32_t each_ms, uint32_t *ret_ms, struct err *err) MUST_USE;

#endif
