/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/keys.h"

#include <string.h>
#include <unistd.h>

#include "keyd/process/log.h"
#include "proto/base/mem.h"

#define RETRY_START_MS 200
#define NAMED_MIN      8 /* hex digits */

_Static_assert(TABLE_ID_LEN == KEY_ID_LEN && TABLE_SPKI_MAX == SPKI_MAX_LEN, "one size of keys");

/* Each entry carries what is in hand of its key, so that nothing is allocated for a signature. */
static bool give_load(struct table_key *key)
{
    if (key && !key->user)
        key->user = mem_new(sizeof(struct load));
    return !key || key->user;
}

static bool give_loads(const struct table *t, struct err *err)
{
    bool all = true;

    for (size_t i = 0; i < t->slot_count; i++)
        all = give_load(table_at(t, i)) && all;
    return all || err_set(err, ERR_INTERNAL, "no memory to hold some keys to their limits");
}

void keys_on_table(struct gate *g, struct msg *m)
{
    struct err err;
    char line[600];

    (void)rd_u64(&m->body); /* the file holds the version too */
    int fd = msg_take_fd(m);
    msg_end(m, g->parent);
    bool ok = table_from_fd(&g->table, fd, &err);
    g->has_table = g->has_table || ok;
    if (!ok || !give_loads(&g->table, &err))
        log_line(LOG_LEVEL_ERROR, "%s", log_err(&err, line, sizeof(line)));
    close(fd);
}

void keys_on_change(struct gate *g, struct chan *c, struct msg *m)
{
    struct table_key key;
    struct err err = {0};
    uint64_t version = rd_u64(&m->body);

    table_get_msg(m, &key);
    msg_end(m, c);
    struct table_key *there = table_put(&g->table, &key);
    if (!there || !give_load(there))
        err_set(&err, ERR_INTERNAL, "no memory for another key");
    chan_put(c, MSG_KEY_DONE);
    put_u64(c, version);
    put_raw(c, key.id, sizeof(key.id));
    put_err(c, &err);
    chan_end(c);
}

/* The type is the custodian's word: a number that is none of ours must not reach past the end. */
uint32_t *keys_cost(struct gate *g, const struct table_key *key)
{
    return &g->cost_us[key->type < KEY_TYPE_COUNT ? key->type : KEY_TYPE_NONE];
}

void keys_unknown(const ProtobufCBinaryData *id, struct err *err)
{
    char hex[KEY_ID_HEX_LEN + 1];

    err_set(err, ERR_NOT_FOUND, "no key that you may use has the id %.16s...",
            hex_encode(id->data, KEY_ID_LEN, hex));
    err_hint(err, "keydctl keys-list shows the keys there are, grants-list who may use them");
}

const struct table_key *keys_find(const struct gate *g, const ProtobufCBinaryData *id,
                                  struct err *err)
{
    if (id->len != KEY_ID_LEN) {
        err_set(err, ERR_BAD_REQUEST, "a key id of %zu bytes; it has %d", id->len, KEY_ID_LEN);
        err_hint(err, "it is the SHA-256 over the DER SubjectPublicKeyInfo");
        return NULL;
    }
    if (!g->has_table) {
        err_set(err, ERR_UNAVAILABLE, "keyd is starting and does not know its keys yet");
        err_retry(err, RETRY_START_MS);
        return NULL;
    }
    const struct table_key *key = table_find(&g->table, id->data);
    if (!key)
        keys_unknown(id, err);
    return key;
}

/* ---- by name */

static bool is_named(const struct table_key *key, const char *name, const char *within)
{
    char hex[KEY_ID_HEX_LEN + 1];
    size_t len = strlen(key->tenant);

    if (*within && strcmp(key->tenant, within) != 0)
        return false;
    if (strchr(name, '/'))
        return strncmp(name, key->tenant, len) == 0 && name[len] == '/' &&
               strcmp(name + len + 1, key->name) == 0;
    return strncmp(hex_encode(key->id, KEY_ID_LEN, hex), name, strlen(name)) == 0;
}

const struct table_key *keys_named(const struct gate *g, const char *name, const char *within,
                                   struct err *err)
{
    const struct table_key *found = NULL;

    if (!strchr(name, '/') && strlen(name) < NAMED_MIN) {
        err_set(err, ERR_BAD_REQUEST, "\"%.140s\" names no key", name);
        err_hint(err, "a key is tenant/name, or %d or more hex digits of its id", NAMED_MIN);
        return NULL;
    }
    for (size_t i = 0; i < g->table.slot_count; i++) {
        const struct table_key *key = table_at(&g->table, i);

        if (!key || key->state == KEY_DESTROYED || !is_named(key, name, within))
            continue;
        if (found) {
            err_set(err, ERR_AMBIGUOUS, "more than one key id starts with %.64s", name);
            return NULL;
        }
        found = key;
    }
    if (!found) {
        err_set(err, ERR_NOT_FOUND, "there is no key %.140s", name);
        err_hint(err, "keydctl keys-list");
    }
    return found;
}
