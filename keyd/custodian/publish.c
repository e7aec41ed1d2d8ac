/* SPDX-License-Identifier: Apache-2.0
 *
 * How no process can miss a change: a process gets the table that the parent keeps when it is
 * started, and changes over its channel to us afterwards. A change goes to the parent first; once
 * it is kept, who starts later has it. Who was started before that, but gets its channel after we
 * have told everyone, has missed it: so whoever gets a channel is told the latest changes first.
 * Telling twice is harmless: entries carry versions.
 *
 * Versions begin at the time since boot: no process that knows an older table outlives a boot, and
 * a custodian that is replaced begins above its predecessor.
 */
#include <string.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "proto/base/clock.h"

#define RECENT       1000           /* changes that a new channel is told */
#define KEPT_WAIT_US (5 * 1000000u) /* the parent only copies a descriptor */
#define DONE_WAIT_US (2 * 1000000u) /* a signer looks the key up and makes a test signature */
#define GONE_WAIT_US (5 * 1000000u) /* the parent kills who overstays at once */

/* ---- the parent */

static bool send_table(struct custodian *c, struct err *err)
{
    int fd = -1;

    TRY(table_to_fd(&c->table, &fd, err));
    chan_put(c->parent, MSG_TABLE);
    put_u64(c->parent, c->table.version);
    bool ok = chan_end_fds(c->parent, &fd, 1);
    close(fd);
    return ok || err_set(err, ERR_UNAVAILABLE, "the parent does not take the table");
}

void publish_wait_kept(struct custodian *c, uint64_t version)
{
    uint64_t until = clock_us() + KEPT_WAIT_US;

    while (c->kept < version && !c->parent_gone && clock_us() < until)
        peers_pump(c, clock_wait_ms(until));
    if (c->kept < version && !c->parent_gone)
        log_line(LOG_LEVEL_WARNING, "the parent has not kept version %llu of our tables in time",
                 (unsigned long long)version);
}

void publish_table(struct custodian *c)
{
    struct err err;
    char line[600];

    if (c->parent_gone)
        return;
    if (!send_table(c, &err)) {
        log_line(LOG_LEVEL_WARNING, "%s", log_err(&err, line, sizeof(line)));
        return;
    }
    publish_wait_kept(c, c->table.version);
}

/* ---- gates and signers */

static void put_key(struct peer *p, const struct table_key *key)
{
    chan_put(&p->chan, MSG_KEY);
    put_u64(&p->chan, key->version);
    table_put_msg(&p->chan, key);
    chan_end(&p->chan);
}

static void overdue(struct custodian *c, const struct peer *p)
{
    if (c->parent_gone)
        return;
    chan_put(c->parent, MSG_OVERDUE);
    put_u8(c->parent, (uint8_t)p->chan.peer);
    put_u32(c->parent, p->chan.index);
    put_u32(c->parent, p->chan.generation);
    chan_end(c->parent);
}

/* Waits until the peer has confirmed this version, or is gone: its successor gets the table. */
static bool confirmed(struct custodian *c, struct peer *p, uint64_t version, uint32_t generation,
                      uint64_t until)
{
    while (p->awaited == version && p->chan.generation == generation && clock_us() < until)
        peers_pump(c, clock_wait_ms(until));
    return p->awaited != version || p->chan.generation != generation;
}

bool publish_wait_peer(struct custodian *c, struct peer *p, uint64_t version, bool must,
                       struct err *err)
{
    uint32_t generation = p->chan.generation, index = p->chan.index;
    enum proc proc = p->chan.peer;

    p->awaited = version;
    if (confirmed(c, p, version, generation, clock_us() + DONE_WAIT_US))
        return true;
    overdue(c, p);
    bool gone = !must || confirmed(c, p, version, generation, clock_us() + GONE_WAIT_US);
    p->awaited = 0;
    if (gone)
        return true;
    err_set(err, ERR_UNAVAILABLE, "%s %u has not confirmed the change, and was not replaced yet",
            proc_name(proc), index);
    return err_hint(err, "repeat it: the change is made, but may not be true everywhere");
}

/* A key that is given need not wait for who overstays; one that is taken away must. */
static bool tell(struct custodian *c, struct peer *p, const struct table_key *key, struct err *err)
{
    put_key(p, key);
    return publish_wait_peer(c, p, key->version, key->state != KEY_ENABLED, err);
}

static bool is_a(const struct peer *p, bool signer)
{
    return p->chan.fd >= 0 && (p->chan.peer == PROC_SIGNER) == signer;
}

/* Signers before gates: when a gate offers a key, the signers can use it. One signer after another:
 * looking a key up is a scan, and must not stop all of them at once. */
static bool tell_all(struct custodian *c, const struct table_key *key, struct err *err)
{
    bool all = true;

    for (size_t i = 0; i < PEERS_MAX; i++)
        if (is_a(&c->peers[i], true))
            all = tell(c, &c->peers[i], key, err) && all;
    for (size_t i = 0; i < PEERS_MAX; i++)
        if (is_a(&c->peers[i], false))
            all = tell(c, &c->peers[i], key, err) && all;
    return all;
}

void publish_recent(struct custodian *c, struct peer *p)
{
    uint64_t after = c->first_version;

    if (c->table.version > after + RECENT)
        after = c->table.version - RECENT;
    for (size_t i = 0; i < c->table.slot_count; i++) {
        const struct table_key *key = table_at(&c->table, i);
        if (key && key->version > after)
            put_key(p, key);
    }
}

/* ---- a key */

bool publish_put(struct custodian *c, const struct registry_key *key, enum key_state state,
                 uint64_t version, token_handle handle, struct err *err)
{
    struct table_key entry = {.version = version,
                              .type = (uint8_t)key->type,
                              .state = state,
                              .purposes = key->purposes,
                              .cka_id_len = key->cka_id_len,
                              .spki_len = key->spki_len};

    memcpy(entry.id, key->id, sizeof(entry.id));
    memcpy(entry.tenant, key->tenant, sizeof(entry.tenant));
    memcpy(entry.name, key->name, sizeof(entry.name));
    memcpy(entry.cka_id, key->cka_id, sizeof(entry.cka_id));
    memcpy(entry.spki, key->spki, sizeof(entry.spki));
    struct table_key *put = table_put(&c->table, &entry);
    if (!put)
        return err_set(err, ERR_INTERNAL, "no memory for the table of keys");
    put->user = (void *)(uintptr_t)handle;
    return true;
}

bool publish_key(struct custodian *c, const struct registry_key *key, enum key_state state,
                 token_handle handle, struct err *err)
{
    TRY(publish_put(c, key, state, c->table.version + 1, handle, err));
    publish_table(c);
    return tell_all(c, table_find(&c->table, key->id), err);
}
