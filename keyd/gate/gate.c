/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/gate.h"

#include <event2/event.h>
#include <event2/util.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#include "keyd/gate/call.h"
#include "keyd/gate/conn.h"
#include "keyd/gate/dispatch.h"
#include "keyd/gate/keys.h"
#include "keyd/gate/state.h"
#include "keyd/gate/status.h"
#include "keyd/gate/tls.h"
#include "keyd/gate/who.h"
#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/process/sealed.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

#define TICK_US       10000   /* while something waits: deadlines are kept to this */
#define LAST_WORDS_US 1000000 /* at a drain: for clients to read their answers */

/* First guesses, in microseconds; what signers report replaces them soon. */
static const uint32_t first_costs[KEY_TYPE_COUNT] = {
    [KEY_TYPE_RSA_2048] = 700, [KEY_TYPE_RSA_3072] = 2000, [KEY_TYPE_RSA_4096] = 4500,
    [KEY_TYPE_EC_P256] = 60,   [KEY_TYPE_EC_P384] = 900,   [KEY_TYPE_ED25519] = 100,
};

/* ---- what the parent says */

static void get_settings(struct gate *g, struct msg *m)
{
    g->limits.connections = rd_u32(&m->body);
    g->limits.in_flight = rd_u32(&m->body);
    g->limits.queue = rd_u32(&m->body);
    g->limits.buffers_mib = rd_u32(&m->body);
    g->limits.default_deadline_ms = rd_u32(&m->body);
    g->limits.max_deadline_ms = rd_u32(&m->body);
    g->limits.signer_timeout_ms = rd_u32(&m->body);
    g->limits.principal_rate = rd_u32(&m->body);
    g->limits.key_rate = rd_u32(&m->body);
    g->limits.principal_in_flight = rd_u32(&m->body);
    g->limits.key_in_flight = rd_u32(&m->body);
    who_get_rules(g, m);
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    conn_accept(arg);
}

static bool open_door(struct gate *g, enum door_kind kind, int listener)
{
    struct door *door = &g->doors[kind];

    evutil_make_socket_nonblocking(listener);
    *door = (struct door){.kind = kind, .gate = g, .fd = listener};
    door->event = event_new(g->base, listener, EV_READ | EV_PERSIST, on_accept, door);
    return door->event && event_add(door->event, NULL) == 0;
}

static void fail_start(struct gate *g, const struct err *err)
{
    chan_put(g->parent, MSG_FAILED);
    put_err(g->parent, err);
    chan_end(g->parent);
    _exit(chan_flush(g->parent) ? 1 : 2);
}

/* No file by path, no call but those of its row: everything that it needs is open. */
static bool confine(bool landlock_optional, struct err *err)
{
    const struct sandbox_files nothing = {0};
    bool confined;

    TRY(sandbox_files(&nothing, landlock_optional, &confined, err));
    return sandbox_syscalls(SANDBOX_GATE, err);
}

/* As many descriptors as may be: an ordinary shell gives fewer than there may be connections. */
static void raise_files(void)
{
    struct rlimit files;

    if (getrlimit(RLIMIT_NOFILE, &files) != 0 || files.rlim_cur == files.rlim_max)
        return;
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0)
        log_line(LOG_LEVEL_WARNING, "the limit of open files cannot be raised");
}

static void on_start(struct gate *g, struct msg *m)
{
    bool landlock_optional = rd_u8(&m->body) != 0;
    struct err err;

    get_settings(g, m);
    int listener = msg_take_fd(m);
    msg_end(m, g->parent);
    raise_files();
    if (!open_door(g, DOOR_UNIX, listener)) {
        err_set(&err, ERR_INTERNAL, "no event for the listening socket");
        fail_start(g, &err);
    }
    if (!tls_init(&err) || !confine(landlock_optional, &err))
        fail_start(g, &err);
    chan_put(g->parent, MSG_READY);
    chan_end(g->parent);
}

/* The parent has looked at the bundle: what it holds is good, unless memory is short. */
static bool read_tls(int fd, struct tls **ret, struct err *err)
{
    const uint8_t *bundle;
    size_t len;

    TRY(sealed_map("the TLS files", fd, &bundle, &len, err));
    bool ok = tls_make(ret, bundle, len, err);
    munmap((void *)bundle, len);
    return ok;
}

static void take_tls(struct gate *g, int bundle, uint32_t handshakes)
{
    struct tls *tls = NULL;
    struct err err;
    char line[600];

    if (bundle < 0 || read_tls(bundle, &tls, &err))
        conn_set_tls(g, tls, handshakes);
    else
        log_line(LOG_LEVEL_ERROR, "TLS stays as it was: %s", log_err(&err, line, sizeof(line)));
    if (bundle >= 0)
        close(bundle);
}

static void on_tls(struct gate *g, struct msg *m)
{
    uint32_t handshakes = rd_u32(&m->body);
    bool has_bundle = rd_u8(&m->body) != 0, has_listener = rd_u8(&m->body) != 0;
    int bundle = has_bundle ? msg_take_fd(m) : -1, listener = has_listener ? msg_take_fd(m) : -1;

    msg_end(m, g->parent);
    if ((has_bundle && bundle < 0) || (has_listener && listener < 0))
        msg_fatal(g->parent, "TLS without its descriptors");
    take_tls(g, bundle, handshakes);
    if (has_listener && !open_door(g, DOOR_TLS, listener))
        log_line(LOG_LEVEL_ERROR, "no event for the TLS socket: nobody is let in there");
}

static void drop_custodian(struct gate *g)
{
    if (g->custodian_event)
        event_free(g->custodian_event);
    g->custodian_event = NULL;
    chan_close(&g->custodian);
}

static void on_custodian(evutil_socket_t fd, short what, void *arg)
{
    struct gate *g = arg;
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&g->custodian, &err);

    (void)fd, (void)what;
    while (chan_next(&g->custodian, &m)) {
        if (m.type == MSG_ACCESS)
            who_on_access(g, &g->custodian, &m);
        else
            keys_on_change(g, &g->custodian, &m);
    }
    if (state != CHAN_OPEN || !chan_flush(&g->custodian))
        drop_custodian(g);
}

static bool connect_custodian(struct gate *g, uint32_t generation, int fd, struct err *err)
{
    drop_custodian(g);
    if (!chan_open(&g->custodian, fd, g->self, PROC_CUSTODIAN, 0, generation, err)) {
        close(fd);
        return false;
    }
    g->custodian_event = event_new(g->base, fd, EV_READ | EV_PERSIST, on_custodian, g);
    if (g->custodian_event && event_add(g->custodian_event, NULL) == 0)
        return true;
    drop_custodian(g);
    return err_set(err, ERR_INTERNAL, "no event for the custodian");
}

static void on_peer(struct gate *g, struct msg *m)
{
    enum proc peer = (enum proc)rd_u8(&m->body);
    uint32_t index = rd_u32(&m->body), generation = rd_u32(&m->body);
    int fd = msg_take_fd(m);
    struct err err;
    char line[600];
    bool ok;

    msg_end(m, g->parent);
    if (g->self == PROC_GATE_SIGNING && peer == PROC_CUSTODIAN)
        ok = connect_custodian(g, generation, fd, &err);
    else
        ok = dispatch_connect(g, index, generation, fd, &err);
    if (!ok)
        log_line(LOG_LEVEL_ERROR, "%s", log_err(&err, line, sizeof(line)));
}

static void on_status(struct gate *g, struct msg *m)
{
    uint64_t ask = rd_u64(&m->body);

    msg_end(m, g->parent);
    status_report(g, ask);
}

static void on_drain(struct gate *g, struct msg *m)
{
    msg_end(m, g->parent);
    for (int i = 0; i < DOORS; i++)
        if (g->doors[i].event)
            event_del(g->doors[i].event);
    g->draining = true;
}

static void on_parent_msg(struct gate *g, struct msg *m)
{
    switch (m->type) {
    case MSG_START:
        on_start(g, m);
        return;
    case MSG_TABLE:
        keys_on_table(g, m);
        return;
    case MSG_PEER:
        on_peer(g, m);
        return;
    case MSG_ACCESS:
        who_on_access(g, g->parent, m);
        return;
    case MSG_RELOAD:
        get_settings(g, m);
        msg_end(m, g->parent);
        who_changed(g);
        return;
    case MSG_TLS:
        on_tls(g, m);
        return;
    case MSG_DRAIN:
        on_drain(g, m);
        return;
    case MSG_STATUS_ASK:
        on_status(g, m);
        return;
    case MSG_PROCESSES:
        status_on_processes(g, m);
        return;
    case MSG_STATS:
        status_on_stats(g, m);
        return;
    default:
        msg_fatal(g->parent, "a message that no gate knows");
    }
}

static void on_parent(evutil_socket_t fd, short what, void *arg)
{
    struct gate *g = arg;
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(g->parent, &err);

    (void)fd, (void)what;
    while (chan_next(g->parent, &m))
        on_parent_msg(g, &m);
    if (state != CHAN_OPEN)
        _exit(0); /* nobody is left to serve for */
}

/* ---- loop */

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    struct gate *g = arg;

    (void)fd, (void)what;
    g->ticking = false;
    dispatch_check_time(g);
    status_check_time(g);
    for (int i = 0; i < DOORS; i++)
        if (g->doors[i].paused && !g->draining && event_add(g->doors[i].event, NULL) == 0)
            g->doors[i].paused = false;
}

static void on_second(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    conn_check_second(arg);
}

/* The tick runs only while something waits: calls, or bytes for another process whose socket was
 * full. */
static void set_tick(struct gate *g)
{
    static const struct timeval period = {0, TICK_US};
    bool paused = g->doors[DOOR_UNIX].paused || g->doors[DOOR_TLS].paused;
    bool waits = g->open_calls > 0 || paused || g->draining || dispatch_unsent(g) ||
                 chan_pending(g->parent) || chan_pending(&g->custodian);

    if (!waits || g->ticking)
        return;
    event_add(g->tick, &period);
    g->ticking = true;
}

/* No call is open, and the answers were read; who does not read them is not waited for long. */
static bool drained(struct gate *g)
{
    if (!g->draining || g->open_calls > 0)
        return false;
    if (!conn_unread(g))
        return true;
    if (g->drain_until == 0)
        g->drain_until = clock_us() + LAST_WORDS_US;
    return clock_us() >= g->drain_until;
}

/* After each batch of events: what they made ready goes out together, first of all work for servers
 * that have none. Answers that leave make room for frames that wait, and these for more work. */
static void after_events(struct gate *g)
{
    dispatch_pump(g);
    conn_flush_dirty(g);
    dispatch_pump(g);
    if (g->custodian.fd >= 0 && !chan_flush(&g->custodian))
        drop_custodian(g);
    if (!chan_flush(g->parent))
        _exit(0);
    set_tick(g);
}

static bool set_up(struct gate *g, struct chan *parent)
{
    g->self = parent->self;
    g->socket = g->self == PROC_GATE_SIGNING ? SOCKET_SIGNING : SOCKET_CONTROL;
    g->parent = parent;
    g->custodian.fd = -1;
    for (size_t i = 0; i < LINKS_MAX; i++)
        g->links[i].chan.fd = -1;
    for (size_t i = 0; i < KEY_TYPE_COUNT; i++)
        g->cost_us[i] = first_costs[i];
    g->base = event_base_new();
    if (!g->base)
        return false;
    g->parent_event = event_new(g->base, parent->fd, EV_READ | EV_PERSIST, on_parent, g);
    g->tick = event_new(g->base, -1, 0, on_tick, g);
    g->second = event_new(g->base, -1, 0, on_second, g);
    return g->parent_event && g->tick && g->second && event_add(g->parent_event, NULL) == 0;
}

int gate_main(struct chan *parent)
{
    struct gate *g = mem_new(sizeof(*g));

    if (!g || !set_up(g, parent)) {
        log_line(LOG_LEVEL_ERROR, "the event loop cannot be set up");
        return 1;
    }
    while (!drained(g)) {
        if (event_base_loop(g->base, EVLOOP_ONCE) < 0)
            return 1;
        after_events(g);
    }
    conn_flush_dirty(g);
    conn_close_all(g);
    return 0;
}
