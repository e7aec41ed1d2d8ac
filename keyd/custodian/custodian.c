/* SPDX-License-Identifier: Apache-2.0
 *
 * One verb after another. Channels are read whenever something is waited for (peers_pump), so no
 * peer is ever stuck because another one is slow; requests that come meanwhile wait in a queue.
 *
 * A token that computes inside our process leaves what it unwrapped in our memory. So after an
 * import the custodian asks for its replacement: it takes nothing new, finishes what waits and ends
 * with 0, and the parent starts another one at once (design D2). What the token refused may have
 * been unwrapped before it was refused; but whoever sends that must not be able to have us replaced
 * all the time, so then it happens a while later, once for all of them.
 */
#include "keyd/custodian/custodian.h"

#include <sys/stat.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define LAST_WORDS_MS 1000

static int next_wait_ms(const struct custodian *c)
{
    uint64_t next = c->tidy_at;

    if (c->first)
        return 0;
    if (c->snapshot.fd >= 0 && (!next || c->snapshot.until < next))
        next = c->snapshot.until;
    if (c->wears_at && !c->worn && (!next || c->wears_at < next))
        next = c->wears_at;
    return next ? clock_wait_ms(next) : -1;
}

static void serve(struct custodian *c)
{
    while (!c->draining) {
        c->worn = c->worn || (c->wears_at && clock_us() >= c->wears_at);
        if (c->worn && peers_leave(c) && !c->first)
            return;
        peers_pump(c, next_wait_ms(c));
        if (!c->draining && c->tidy_at && clock_us() >= c->tidy_at)
            import_tidy(c);
        if (c->snapshot.fd >= 0 && clock_us() >= c->snapshot.until)
            backup_forget(c);
        if (!c->draining)
            request_serve(c);
    }
}

/* Says why, and ends. */
static int fail(struct custodian *c, const struct err *err)
{
    if (c->parent_gone)
        return 1;
    chan_put(c->parent, MSG_FAILED);
    put_err(c->parent, err);
    chan_end(c->parent);
    return 1;
}

static int live(struct custodian *c)
{
    struct err err = {.code = ERR_NONE};

    if (!custodian_start(c, &err)) {
        start_explain(c, &err);
        return c->draining ? 0 : fail(c, &err);
    }
    serve(c);
    if (!token_lost(c->token))
        return 0;
    err_set(&err, ERR_UNAVAILABLE, "the token's session is lost");
    return fail(c, &err);
}

int custodian_main(struct chan *parent)
{
    struct custodian *c = mem_new(sizeof(*c));

    if (!c)
        return 1;
    umask(077);
    c->parent = parent;
    c->access_fd = -1;
    c->snapshot.fd = -1;
    for (size_t i = 0; i < PEERS_MAX; i++)
        c->peers[i].chan.fd = -1;
    int status = live(c);
    peers_flush(c, LAST_WORDS_MS);
    peers_free(c);
    backup_forget(c);
    table_free(&c->table);
    if (c->access_fd >= 0)
        close(c->access_fd);
    registry_close(c->registry);
    token_close(c->token);
    mem_free(c);
    return status;
}

bool custodian_uri_check(const char *uri, struct err *err)
{
    return token_uri_check(uri, err);
}

bool custodian_pin_source(const char *uri, char *path, size_t size, struct err *err)
{
    return token_uri_pin_source(uri, path, size, err);
}
