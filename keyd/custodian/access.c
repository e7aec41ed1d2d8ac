/* SPDX-License-Identifier: Apache-2.0
 *
 * Grants and tokens go out whole at every change, by the same rule as the table of keys
 * (publish.c): the parent first, for gates to come; then each gate, until it has confirmed; and
 * whichever gate's channel is new gets the latest.
 */
#include <string.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/log.h"
#include "proto/base/mem.h"

/* ---- out of the registry */

static bool load_grants(struct custodian *c, struct access *a, struct err *err)
{
    AUTO_FREE struct registry_grant *rows = NULL;
    size_t count;

    TRY(registry_grant_list(c->registry, &rows, &count, err));
    a->grants = mem_array(count + 1, sizeof(*a->grants));
    if (!a->grants)
        return err_set(err, ERR_INTERNAL, "no memory for %zu grants", count);
    for (; a->grant_count < count; a->grant_count++) {
        const struct registry_grant *row = &rows[a->grant_count];
        struct access_grant *g = &a->grants[a->grant_count];

        g->id = row->id;
        g->purposes = row->purposes;
        memcpy(g->principal, row->principal, sizeof(g->principal));
        memcpy(g->group, row->group, sizeof(g->group));
        memcpy(g->key, row->key, sizeof(g->key));
        if (!*row->key_name)
            memcpy(g->tenant, row->tenant, sizeof(g->tenant));
    }
    return true;
}

static bool load_tokens(struct custodian *c, struct access *a, struct err *err)
{
    AUTO_FREE struct registry_token *rows = NULL;
    size_t count;

    TRY(registry_token_list(c->registry, &rows, &count, err));
    a->tokens = mem_array(count + 1, sizeof(*a->tokens));
    if (!a->tokens)
        return err_set(err, ERR_INTERNAL, "no memory for %zu tokens", count);
    for (; a->token_count < count; a->token_count++) {
        const struct registry_token *row = &rows[a->token_count];
        struct access_token *t = &a->tokens[a->token_count];

        t->role = row->role;
        t->expires = row->expires;
        memcpy(t->hash, row->hash, sizeof(t->hash));
        memcpy(t->name, row->name, sizeof(t->name));
        memcpy(t->tenant, row->tenant, sizeof(t->tenant));
    }
    return true;
}

static bool load(struct custodian *c, int *ret_fd, struct err *err)
{
    CLEANUP(access_free) struct access a = {.version = c->access_version};

    TRY(load_grants(c, &a, err));
    TRY(load_tokens(c, &a, err));
    return access_to_fd(&a, ret_fd, err);
}

/* ---- out to who must know */

static bool put_access(const struct custodian *c, struct chan *to)
{
    chan_put(to, MSG_ACCESS);
    put_u64(to, c->access_version);
    return chan_end_fds(to, &c->access_fd, 1);
}

void access_send(struct custodian *c, struct peer *p)
{
    if (c->access_fd >= 0 && !put_access(c, &p->chan))
        log_line(LOG_LEVEL_INFO, "the %s is gone already", proc_name(p->chan.peer));
}

static bool tell_gates(struct custodian *c, struct err *err)
{
    bool all = true;

    for (size_t i = 0; i < PEERS_MAX; i++) {
        struct peer *p = &c->peers[i];

        if (p->chan.fd < 0 || p->chan.peer == PROC_SIGNER || !put_access(c, &p->chan))
            continue; /* who is gone comes back with what the parent has kept */
        all = publish_wait_peer(c, p, c->access_version, true, err) && all;
    }
    return all;
}

bool access_publish(struct custodian *c, struct err *err)
{
    int fd = -1;

    c->access_version = ++c->table.version; /* one count for both: the parent confirms by number */
    if (!load(c, &fd, err)) {
        c->worn = true; /* the registry has it and nobody knows: our successor publishes it */
        return false;
    }
    if (c->access_fd >= 0)
        close(c->access_fd);
    c->access_fd = fd;
    if (!c->parent_gone && put_access(c, c->parent))
        publish_wait_kept(c, c->access_version);
    return tell_gates(c, err);
}
