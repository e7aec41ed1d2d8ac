/* SPDX-License-Identifier: Apache-2.0
 *
 * Who a connection is: found out at its hello, and asked again whenever the answer may have
 * changed.
 */
#include <string.h>
#include <time.h>

#include "keyd/gate/conn_inside.h"
#include "keyd/gate/queue.h"
#include "keyd/gate/tls.h"

static bool change_line(struct gate *g, struct conn *c, const struct principal *who)
{
    struct line *line = queue_line(&g->queue, who);

    if (!line)
        return false;
    c->line->connections--;
    line->connections++;
    c->line = line;
    return true;
}

static bool refuse_nobody(const struct gate *g, const struct conn *c, struct err *err)
{
    if (!c->identity.unix_peer && !c->identity.cert) {
        err_set(err, ERR_DENIED, "this client has shown neither a certificate nor a token");
        return err_hint(err, "over TLS one of the two says who it is");
    }
    err_set(err, ERR_DENIED, "nobody is known on %s by %s", verb_socket_name(g->socket), c->proof);
    return err_hint(err, "keyd.conf says who is who, under [principals]: %s",
                    g->socket == SOCKET_SIGNING ? "NAME = frontend user=..."
                                                : "NAME = operator user=..., or use an API token");
}

static bool refuse_denied(struct err *err)
{
    err_set(err, ERR_DENIED, "the deny list of this keyd names this client");
    return err_hint(err, "who runs keyd can say why: it is the file [tls] deny");
}

/* What the connection proves, and what is left when that is not enough. */
static bool find_out(struct gate *g, struct conn *c, const char *token, struct principal *ret,
                     enum refusal *ret_why, struct err *err)
{
    *ret_why = REFUSAL_TWO_IDENTITIES;
    if (c->stream.ssl)
        TRY(tls_identify(&c->stream, &c->identity, err));
    *ret_why = REFUSAL_TOKEN;
    if (token && *token)
        TRY(who_take_token(g, &c->identity, token, err));
    who_is(g, c->stream.fd, &c->identity, ret, c->proof);
    *ret_why = REFUSAL_DENY_LIST;
    if (tls_denies(g->tls, &c->identity, ret))
        return refuse_denied(err);
    bool shown = c->identity.unix_peer || c->identity.cert || c->identity.token;
    *ret_why = shown ? REFUSAL_NOBODY : REFUSAL_NOTHING_PROVEN;
    return ret->role != ROLE_NONE || refuse_nobody(g, c, err);
}

static void watch_time(struct gate *g, const struct conn *c)
{
    static const struct timeval second = {1, 0};

    if (c->identity.until && !event_pending(g->second, EV_TIMEOUT, NULL))
        event_add(g->second, &second);
}

bool conn_identify(struct gate *g, struct conn *c, const char *token, struct err *err)
{
    struct principal who;
    enum refusal why;

    if (!find_out(g, c, token, &who, &why, err)) {
        conn_note(g, c, why, err->text);
        return false;
    }
    if (!change_line(g, c, &who))
        return err_set(err, ERR_BUSY, "no memory for another principal");
    conn_no_stranger(g, c);
    watch_time(g, c);
    who_token_used(g, &c->identity);
    return true;
}

/* Whether he still is who he was, and may be. */
static bool holds(struct gate *g, struct conn *c, enum refusal *ret_why, struct err *err)
{
    struct principal who;
    char proof[PROOF_MAX];

    if (c->identity.cert)
        TRY(tls_still_good(g->tls, &c->stream, ret_why, err));
    who_is(g, c->stream.fd, &c->identity, &who, proof);
    *ret_why = REFUSAL_DENY_LIST;
    if (tls_denies(g->tls, &c->identity, &who))
        return refuse_denied(err);
    if (who.role == c->line->who.role && strcmp(who.name, c->line->who.name) == 0 &&
        strcmp(who.tenant, c->line->who.tenant) == 0 && change_line(g, c, &who)) {
        memcpy(c->proof, proof, sizeof(c->proof)); /* another rule, another group: still he */
        return true;
    }
    *ret_why = REFUSAL_NO_MORE;
    err_set(err, ERR_DENIED, "this connection is %s's no more", principal_text(&c->line->who));
    return err_hint(err, "a token was revoked or is over, or keyd.conf says something else now");
}

static void cut_off(struct gate *g, struct conn *c, enum refusal why, const struct err *err)
{
    conn_note(g, c, why, err->text);
    conn_lose(g, c, err);
    conn_abandon_calls(g, c);
}

static void judge(struct gate *g, struct conn *c)
{
    enum refusal why;
    struct err err;

    if (c->greeted && !c->losing && !holds(g, c, &why, &err))
        cut_off(g, c, why, &err);
}

void conn_judge_all(struct gate *g)
{
    for (struct conn *c = g->conns; c; c = c->next)
        judge(g, c);
}

void conn_set_tls(struct gate *g, struct tls *tls, uint32_t handshakes)
{
    tls_free(g->tls);
    g->tls = tls;
    g->handshakes = handshakes;
    conn_judge_all(g);
}

static void expire(struct gate *g, struct conn *c)
{
    struct err err;

    err_set(&err, ERR_DENIED, "the %s of this connection has expired",
            c->identity.cert ? "client certificate or token" : "API token");
    cut_off(g, c, c->identity.cert ? REFUSAL_CERT_EXPIRED : REFUSAL_TOKEN, &err);
}

void conn_check_second(struct gate *g)
{
    int64_t now = (int64_t)time(NULL);

    for (struct conn *c = g->conns; c; c = c->next) {
        if (!c->greeted || c->losing)
            continue;
        if (c->identity.until && c->identity.until <= now)
            expire(g, c);
        else
            watch_time(g, c);
    }
}

const char *conn_proof(const struct conn *c)
{
    return c->proof;
}
