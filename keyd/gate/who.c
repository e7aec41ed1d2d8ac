/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/who.h"

#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "keyd/gate/conn.h"
#include "keyd/gate/dispatch.h"
#include "keyd/process/log.h"
#include "proto/base/mem.h"
#include "proto/token.h"

_Static_assert(TABLE_NAME_MAX == NAME_MAX_LEN, "one size of names");
_Static_assert(ACCESS_HASH_LEN == API_TOKEN_HASH_LEN, "one hash of tokens");

/* ---- rules */

static void get_rule(struct msg *m, struct rule *r)
{
    *r = (struct rule){0};
    msg_get_str(m, r->principal.name, sizeof(r->principal.name));
    r->principal.role = (enum role)rd_u32(&m->body);
    msg_get_str(m, r->principal.tenant, sizeof(r->principal.tenant));
    msg_get_str(m, r->principal.group, sizeof(r->principal.group));
    r->proof = (enum proof)rd_u8(&m->body);
    msg_get_str(m, r->text, sizeof(r->text));
    r->id = rd_u32(&m->body);
}

void who_get_rules(struct gate *g, struct msg *m)
{
    g->rule_count = rd_u32(&m->body);
    if (g->rule_count > RULES_MAX)
        msg_fatal(g->parent, "too many rules");
    for (size_t i = 0; i < g->rule_count; i++)
        get_rule(m, &g->rules[i]);
}

/* ---- grants and tokens */

void who_changed(struct gate *g)
{
    conn_judge_all(g);
    dispatch_judge_again(g);
}

/* Each version comes twice, from the parent and from the custodian, in any order. Taken once: what
 * lines have compiled points into the table of exactly this version. */
static void take_access(struct gate *g, struct access *now)
{
    if (now->version <= g->access.version) {
        access_free(now);
        return;
    }
    access_free(&g->access);
    g->access = *now;
    who_changed(g);
}

static _Noreturn void end_blind(const struct err *err)
{
    char line[600];

    log_line(LOG_LEVEL_ERROR, "%s; I end here", log_err(err, line, sizeof(line)));
    _exit(1);
}

void who_on_access(struct gate *g, struct chan *from, struct msg *m)
{
    struct access now = {0};
    struct err err;
    uint64_t version = rd_u64(&m->body);
    int fd = msg_take_fd(m);

    msg_end(m, from);
    if (!access_from_fd(&now, fd, &err))
        end_blind(&err);
    close(fd);
    take_access(g, &now);
    if (from->peer != PROC_CUSTODIAN)
        return;
    chan_put(from, MSG_ACCESS_DONE);
    put_u64(from, version);
    chan_end(from);
}

/* Hashes are no secrets: whoever finds one by its time has nothing. */
static bool same_hash(const uint8_t a[ACCESS_HASH_LEN], const uint8_t b[ACCESS_HASH_LEN])
{
    return memcmp(a, b, ACCESS_HASH_LEN) == 0;
}

static struct access_token *token_of(const struct gate *g, const uint8_t hash[ACCESS_HASH_LEN])
{
    for (size_t i = 0; i < g->access.token_count; i++) {
        struct access_token *t = &g->access.tokens[i];

        if (same_hash(t->hash, hash))
            return t->expires > (uint64_t)time(NULL) ? t : NULL;
    }
    return NULL;
}

/* A frontend by token is whom grants name; were it called like one by a rule, it would be that one.
 */
static bool is_taken(const struct gate *g, const char *name, uint32_t role)
{
    struct principal same;

    return role == ROLE_FRONTEND &&
           principal_named(g->rules, g->rule_count, name, ROLE_FRONTEND, &same) != NULL;
}

static bool refuse_name(const char *name, struct err *err)
{
    err_set(err, ERR_CONFLICT,
            "a rule of keyd.conf makes the frontend \"%s\"; a token must not be "
            "called the same",
            name);
    return err_hint(err, "keydctl tokens-create --name, with another name");
}

bool who_name_is_free(const struct gate *g, const Keyd__V1__TokensCreate *token, struct err *err)
{
    return !is_taken(g, token->name, (uint32_t)token->role) || refuse_name(token->name, err);
}

bool who_take_token(struct gate *g, struct identity *id, const char *text, struct err *err)
{
    uint8_t hash[ACCESS_HASH_LEN];

    if (!g->access.version) {
        err_set(err, ERR_UNAVAILABLE, "keyd is starting and does not know its tokens yet");
        return err_retry(err, 200);
    }
    const struct access_token *t = api_token_hash(text, hash) ? token_of(g, hash) : NULL;
    if (!t || role_socket((enum role)t->role) != g->socket) {
        err_set(err, ERR_DENIED, "this API token is not good here");
        return err_hint(err, "it is mistyped, revoked or expired: keydctl tokens-list; only "
                             "control.sock takes tokens of roles other than frontend");
    }
    if (is_taken(g, t->name, t->role))
        return refuse_name(t->name, err);
    memcpy(id->token_hash, hash, sizeof(id->token_hash));
    id->token = true;
    if (!id->until || (int64_t)t->expires < id->until)
        id->until = (int64_t)t->expires;
    return true;
}

void who_token_used(struct gate *g, const struct identity *id)
{
    struct access_token *t = id->token ? token_of(g, id->token_hash) : NULL;
    struct chan *c = g->self == PROC_GATE_SIGNING ? &g->custodian : &g->links[0].chan;
    int64_t now = time(NULL);

    if (!t || c->fd < 0 || (t->said_at && now >= t->said_at && now < t->said_at + TOKEN_SAY_S))
        return;
    t->said_at = now;
    chan_put(c, MSG_TOKEN_USED);
    put_raw(c, id->token_hash, sizeof(id->token_hash));
    chan_end(c);
}

/* ---- identity */

bool who_unix(int fd, struct identity *ret)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) != 0)
        return false;
    *ret = (struct identity){.unix_peer = true, .uid = peer.uid, .gid = peer.gid};
    return true;
}

static void by_token(const struct gate *g, const struct identity *id, struct principal *ret,
                     char proof[PROOF_MAX])
{
    const struct access_token *t = token_of(g, id->token_hash);
    char hex[2 * 4 + 1];

    snprintf(proof, PROOF_MAX, "API token %s", hex_encode(id->token_hash, 4, hex));
    if (!t || role_socket((enum role)t->role) != g->socket || is_taken(g, t->name, t->role))
        return;
    ret->role = (enum role)t->role;
    snprintf(ret->name, sizeof(ret->name), "%s", t->name);
    snprintf(ret->tenant, sizeof(ret->tenant), "%s", t->tenant);
}

static void by_rules(const struct gate *g, int fd, const struct identity *id, struct principal *ret,
                     char proof[PROOF_MAX])
{
    uint32_t groups[GROUPS_MAX];
    socklen_t len = sizeof(groups);
    struct evidence e = {.socket = g->socket,
                         .unix_peer = id->unix_peer,
                         .uid = id->uid,
                         .gid = id->gid,
                         .groups = groups,
                         .uri = id->cert && *id->uri ? id->uri : NULL,
                         .spki = id->cert ? id->spki : NULL};

    if (id->unix_peer && getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) == 0)
        e.group_count = len / sizeof(groups[0]);
    else
        e.unix_peer = false; /* half known is not known: the first rule that fits decides */
    const struct rule *rule = principal_find(g->rules, g->rule_count, &e, ret);
    if (rule)
        rule_proof_text(rule, proof, PROOF_MAX);
    else if (id->unix_peer)
        snprintf(proof, PROOF_MAX, "uid %u", id->uid);
    else if (id->cert)
        snprintf(proof, PROOF_MAX, "certificate of %s", *id->uri ? id->uri : "no URI");
    else
        snprintf(proof, PROOF_MAX, "nothing");
}

void who_is(const struct gate *g, int fd, const struct identity *id, struct principal *ret,
            char proof[PROOF_MAX])
{
    *ret = (struct principal){.role = ROLE_NONE};
    if (id->token)
        by_token(g, id, ret, proof);
    else
        by_rules(g, fd, id, ret, proof);
    if ((ret->role == ROLE_TENANT) != (*ret->tenant != '\0'))
        *ret = (struct principal){.role = ROLE_NONE}; /* no tenant would be every tenant */
}

/* ---- grants
 *
 * What a line was granted is found by two look-ups, by key and by tenant, in a table of its own,
 * which is made anew when grants have changed and it signs again. */

static size_t hash_of(const void *p, size_t n)
{
    const uint8_t *byte = p;
    uint64_t h = 14695981039346656037u; /* FNV-1a */

    for (size_t i = 0; i < n; i++)
        h = (h ^ byte[i]) * 1099511628211u;
    return (size_t)(h ^ h >> 32);
}

static size_t hash_of_grant(const struct access_grant *grant)
{
    return *grant->tenant ? hash_of(grant->tenant, strlen(grant->tenant))
                          : hash_of(grant->key, sizeof(grant->key));
}

static bool is_for(const struct access_grant *grant, const struct principal *who)
{
    if (*grant->principal)
        return strcmp(grant->principal, who->name) == 0;
    return *who->group && strcmp(grant->group, who->group) == 0;
}

static size_t count_for(const struct access *a, const struct principal *who)
{
    size_t n = 0;

    for (size_t i = 0; i < a->grant_count; i++)
        n += is_for(&a->grants[i], who);
    return n;
}

/* Without memory it stays empty, and is tried again. */
static void compile(const struct gate *g, struct line *line)
{
    size_t slots = 8, wanted = 2 * count_for(&g->access, &line->who);

    while (slots < wanted)
        slots *= 2;
    who_forget(line);
    line->granted = mem_array(slots, sizeof(*line->granted));
    if (!line->granted)
        return;
    line->granted_slots = slots;
    line->granted_version = g->access.version;
    for (size_t i = 0; i < g->access.grant_count; i++) {
        const struct access_grant *grant = &g->access.grants[i];

        if (!is_for(grant, &line->who))
            continue;
        size_t at = hash_of_grant(grant) & (slots - 1);
        while (line->granted[at])
            at = (at + 1) & (slots - 1);
        line->granted[at] = grant;
    }
}

static bool is_on(const struct access_grant *grant, const struct table_key *key, bool tenant)
{
    if (tenant)
        return strcmp(grant->tenant, key->tenant) == 0;
    return !*grant->tenant && memcmp(grant->key, key->id, sizeof(grant->key)) == 0;
}

static uint32_t look_up(const struct line *line, const struct table_key *key, bool tenant,
                        size_t hash)
{
    uint32_t purposes = 0;

    for (size_t at = hash & (line->granted_slots - 1); line->granted[at];
         at = (at + 1) & (line->granted_slots - 1)) {
        if (is_on(line->granted[at], key, tenant))
            purposes |= line->granted[at]->purposes;
    }
    return purposes;
}

uint32_t who_granted(const struct gate *g, struct line *line, const struct table_key *key)
{
    if (line->granted_version != g->access.version || !line->granted_slots)
        compile(g, line);
    if (!line->granted_slots)
        return 0;
    return look_up(line, key, false, hash_of(key->id, sizeof(key->id))) |
           look_up(line, key, true, hash_of(key->tenant, strlen(key->tenant)));
}

void who_forget(struct line *line)
{
    mem_free(line->granted);
    line->granted = NULL;
    line->granted_slots = 0;
}
