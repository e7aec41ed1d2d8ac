/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/children.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "keyd/pin_change.h"
#include "keyd/process/log.h"
#include "keyd/spawn.h"
#include "proto/base/clock.h"

#define FIRST_TRIES      6
#define LAST_READS       16
#define BACKOFF_FIRST_MS 50
#define GATE_DELAY_MS    100
#define ALIVE_US         (10 * 1000000ull) /* back-off begins anew after this long alive */
#define START_US         (60 * 1000000ull) /* a start may take this long */
#define DRAIN_GATES_US   (10 * 1000000ull)
#define DRAIN_REST_US    (10 * 1000000ull)

static bool has_token(enum proc proc)
{
    return proc == PROC_SIGNER || proc == PROC_CUSTODIAN;
}

/* Which two kinds of process talk to each other. */
static bool neighbours(enum proc a, enum proc b)
{
    unsigned both = 1u << a | 1u << b;

    return both == (1u << PROC_GATE_SIGNING | 1u << PROC_SIGNER) ||
           both == (1u << PROC_GATE_SIGNING | 1u << PROC_CUSTODIAN) ||
           both == (1u << PROC_GATE_CONTROL | 1u << PROC_CUSTODIAN) ||
           both == (1u << PROC_SIGNER | 1u << PROC_CUSTODIAN);
}

static void add(struct parent *p, enum proc proc, uint32_t index)
{
    struct child *c = &p->children[p->child_count++];

    *c = (struct child){.proc = proc, .index = index, .chan = {.fd = -1}};
}

void children_init(struct parent *p)
{
    add(p, PROC_CUSTODIAN, 0);
    add(p, PROC_GATE_SIGNING, 0);
    add(p, PROC_GATE_CONTROL, 0);
    for (uint32_t i = 0; i < p->config.signers; i++)
        add(p, PROC_SIGNER, i);
}

/* ---- starting */

/* A gate harms no token by starting often, and without it nobody is served. */
static uint32_t longest_delay(const struct parent *p, const struct child *c)
{
    uint32_t longest = p->config.restart_delay_max_ms;

    return child_is_gate(c->proc) && longest > GATE_DELAY_MS ? GATE_DELAY_MS : longest;
}

static void plan_restart(const struct parent *p, struct child *c)
{
    uint64_t now = clock_us();

    if (now - c->started > ALIVE_US)
        c->backoff_ms = 0;
    c->start_at = now + (uint64_t)c->backoff_ms * 1000;
    c->backoff_ms = c->backoff_ms ? c->backoff_ms * 2 : BACKOFF_FIRST_MS;
    if (c->backoff_ms > longest_delay(p, c))
        c->backoff_ms = longest_delay(p, c);
    c->state = CHILD_WAITING;
}

static void start(struct parent *p, struct child *c)
{
    struct err err;
    char line[600];

    c->started = clock_us();
    c->why = (struct err){0};
    if (spawn(p, c, &err)) {
        c->state = CHILD_STARTING;
        return;
    }
    log_line(LOG_LEVEL_ERROR, "%s", log_err(&err, line, sizeof(line)));
    plan_restart(p, c);
}

static bool token_process_starting(const struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        const struct child *c = &p->children[i];

        if (has_token(c->proc) && c->state == CHILD_STARTING)
            return true;
    }
    return false;
}

static void mend_token(struct parent *p)
{
    struct err err;
    bool mended;
    char line[600];

    if (!guard_mend(&p->guard, &mended, &err))
        log_line(LOG_LEVEL_ERROR, "%s", log_err(&err, line, sizeof(line)));
    else if (mended)
        log_line(LOG_LEVEL_WARNING,
                 "the token's master-key file %s was cut short by a killed login; put back",
                 p->guard.path);
}

/* Whether nothing but the time keeps it from being started. */
static bool only_waits(const struct parent *p, const struct child *c)
{
    if (c->state != CHILD_WAITING || p->phase != RUN)
        return false;
    if (!has_token(c->proc))
        return true;
    if (p->starts_stopped || token_process_starting(p) || pin_change_holds(p, c))
        return false;
    return c->proc == PROC_CUSTODIAN || p->table.fd >= 0;
}

void children_start(struct parent *p)
{
    pin_change_step(p, token_process_starting(p));
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (!only_waits(p, c) || c->start_at > clock_us())
            continue;
        if (has_token(c->proc))
            mend_token(p);
        start(p, c);
    }
}

/* ---- what a child says */

static bool send_peer(struct child *to, const struct child *peer, int fd)
{
    chan_put(&to->chan, MSG_PEER);
    put_u8(&to->chan, (uint8_t)peer->proc);
    put_u32(&to->chan, peer->index);
    put_u32(&to->chan, peer->generation);
    return chan_end_fds(&to->chan, &fd, 1);
}

static void introduce(struct child *a, struct child *b)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        log_line(LOG_LEVEL_ERROR, "no socket pair for two children: %s", strerror(errno));
        kill(a->pid, SIGKILL); /* its replacement gets another chance */
        return;
    }
    if (!send_peer(a, b, ends[0]) || !send_peer(b, a, ends[1]))
        log_line(LOG_LEVEL_INFO, "a child ended while it was introduced");
    close(ends[0]);
    close(ends[1]);
}

static void on_ready(struct parent *p, struct child *c)
{
    char name[32];

    c->state = CHILD_READY;
    log_line(LOG_LEVEL_INFO, "%s ready, pid %d, after %llu ms", child_name(c, name), (int)c->pid,
             (unsigned long long)(clock_us() - c->started) / 1000);
    if (c->proc == PROC_CUSTODIAN)
        pin_change_ready(p);
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *other = &p->children[i];

        if (other->state == CHILD_READY && neighbours(c->proc, other->proc))
            introduce(other, c);
    }
}

/* The parent keeps a table for processes to come, hands it to those that are there, and then tells
 * the custodian: from that moment no process can miss what it holds. */
static void on_table(struct parent *p, struct child *custodian, enum msg_type type,
                     uint64_t version, int fd)
{
    struct kept *kept = type == MSG_ACCESS ? &p->access : &p->table;

    if (kept->fd >= 0)
        close(kept->fd);
    *kept = (struct kept){.fd = fd, .version = version};
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (c->state != CHILD_WAITING && !spawn_send_table(p, c, type))
            kill(c->pid, SIGKILL);
    }
    chan_put(&custodian->chan, MSG_TABLE_KEPT);
    put_u64(&custodian->chan, version);
    chan_end(&custodian->chan);
}

static void on_guard(struct parent *p, const char *path)
{
    struct err err;
    char line[600];

    p->guard_stale = !guard_learn(&p->guard, path, &err);
    if (p->guard_stale)
        log_line(LOG_LEVEL_WARNING, "no copy of the token's master-key file: %s",
                 log_err(&err, line, sizeof(line)));
}

static struct child *find(struct parent *p, enum proc proc, uint32_t index)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].proc == proc && p->children[i].index == index)
            return &p->children[i];
    }
    return NULL;
}

static void on_overdue(struct parent *p, const struct child *from, enum proc proc, uint32_t index,
                       uint32_t generation)
{
    struct child *c = find(p, proc, index);
    char name[32];

    if (!c || c->generation != generation || !c->pid)
        return;
    log_line(LOG_LEVEL_WARNING, "the %s says that %s overstays: killed", proc_name(from->proc),
             child_name(c, name));
    err_set(&c->why, ERR_DEADLINE, "it overstayed");
    kill(c->pid, SIGKILL);
}

/* ---- status */

static const char *state_words(const struct child *c)
{
    static const char *const words[] = {"waiting to start", "starting", "ready"};

    return c->draining ? "draining" : words[c->state];
}

static void put_processes(struct parent *p, struct chan *to, uint64_t now)
{
    put_u32(to, (uint32_t)p->child_count + 1);
    put_str(to, "parent");
    put_u32(to, (uint32_t)getpid());
    put_str(to, state_words(&(struct child){.state = CHILD_READY}));
    put_u64(to, (now - p->started) / 1000);
    put_u32(to, 0);
    put_str(to, "");
    for (size_t i = 0; i < p->child_count; i++) {
        const struct child *c = &p->children[i];
        char name[32];

        put_str(to, child_name(c, name));
        put_u32(to, (uint32_t)c->pid);
        put_str(to, state_words(c));
        put_u64(to, c->pid ? (now - c->started) / 1000 : 0);
        put_u32(to, c->generation ? c->generation - 1 : 0);
        put_str(to, c->last_exit);
    }
}

/* The last first. */
static void put_exits(const struct parent *p, struct chan *to)
{
    uint32_t kept = p->exit_count < EXITS_KEPT ? (uint32_t)p->exit_count : EXITS_KEPT;

    put_u32(to, kept);
    for (uint64_t i = 1; i <= kept; i++) {
        const struct exit_note *e = &p->exits[(p->exit_count - i) % EXITS_KEPT];

        put_u64(to, e->at);
        put_str(to, e->name);
        put_str(to, e->why);
    }
}

/* Asks everyone for figures and tells the control gate how many answers it may expect. */
static void on_status_ask(struct parent *p, struct child *gate, uint64_t ask)
{
    uint32_t asked = 0;

    p->status_gate = gate->generation;
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (c->state != CHILD_READY || c->proc == PROC_GATE_CONTROL)
            continue;
        chan_put(&c->chan, MSG_STATUS_ASK);
        put_u64(&c->chan, ask);
        chan_end(&c->chan);
        asked++;
    }
    chan_put(&gate->chan, MSG_PROCESSES);
    put_u64(&gate->chan, ask);
    put_u32(&gate->chan, asked);
    put_processes(p, &gate->chan, clock_us());
    put_exits(p, &gate->chan);
    chan_end(&gate->chan);
}

static void pass_stats(struct parent *p, struct msg *m)
{
    struct child *gate = find(p, PROC_GATE_CONTROL, 0);
    size_t len = rd_left(&m->body);
    const uint8_t *body = rd_bytes(&m->body, len);

    if (gate->state != CHILD_READY || gate->generation != p->status_gate)
        return;
    chan_put(&gate->chan, MSG_STATS);
    put_raw(&gate->chan, body, len);
    chan_end(&gate->chan);
}

/* ---- messages */

static void on_table_msg(struct parent *p, struct child *c, struct msg *m)
{
    uint64_t version = rd_u64(&m->body);
    int fd = msg_take_fd(m);

    msg_end(m, &c->chan);
    if (fd < 0)
        msg_fatal(&c->chan, "a table without a file");
    on_table(p, c, m->type, version, fd);
}

static void on_overdue_msg(struct parent *p, struct child *c, struct msg *m)
{
    enum proc proc = (enum proc)rd_u8(&m->body);
    uint32_t index = rd_u32(&m->body), generation = rd_u32(&m->body);

    msg_end(m, &c->chan);
    on_overdue(p, c, proc, index, generation);
}

static void on_guard_msg(struct parent *p, struct child *c, struct msg *m)
{
    char path[768];

    msg_get_str(m, path, sizeof(path));
    msg_end(m, &c->chan);
    on_guard(p, path);
}

static void on_pin_ask_msg(struct parent *p, struct child *c, struct msg *m)
{
    uint32_t least = rd_u32(&m->body), most = rd_u32(&m->body);

    msg_end(m, &c->chan);
    pin_change_ask(p, least, most);
}

static void on_pin_set_msg(struct parent *p, struct child *c, struct msg *m)
{
    struct err why;

    msg_get_err(m, &why);
    msg_end(m, &c->chan);
    pin_change_set(p, &why);
}

static void on_msg(struct parent *p, struct child *c, struct msg *m)
{
    uint64_t ask;

    switch (m->type) {
    case MSG_READY:
        msg_end(m, &c->chan);
        on_ready(p, c);
        return;
    case MSG_FAILED:
        msg_get_err(m, &c->why);
        msg_end(m, &c->chan);
        return;
    case MSG_TABLE:
    case MSG_ACCESS:
        on_table_msg(p, c, m);
        return;
    case MSG_GUARD:
        on_guard_msg(p, c, m);
        return;
    case MSG_PIN_ASK:
        on_pin_ask_msg(p, c, m);
        return;
    case MSG_PIN_SET:
        on_pin_set_msg(p, c, m);
        return;
    case MSG_OVERDUE:
        on_overdue_msg(p, c, m);
        return;
    case MSG_STATUS_ASK:
        ask = rd_u64(&m->body);
        msg_end(m, &c->chan);
        on_status_ask(p, c, ask);
        return;
    case MSG_STATS:
        pass_stats(p, m);
        msg_end(m, &c->chan);
        return;
    default:
        msg_fatal(&c->chan, "a message that nobody sends to the parent");
    }
}

void child_readable(struct parent *p, struct child *c)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&c->chan, &err);

    while (chan_next(&c->chan, &m))
        on_msg(p, c, &m);
    if (state != CHAN_OPEN) /* SIGCHLD tells the rest; if it lives without us, it is lost */
        kill(c->pid, SIGKILL);
}

/* ---- ending */

/* The custodian ends with 0 and unasked when it wants to be replaced: after an import or a change
 * of the PIN, so that what the token's module left in its memory is gone (design D2). Nothing is
 * wrong then. */
static bool is_renewal(const struct parent *p, const struct child *c, int status)
{
    return c->proc == PROC_CUSTODIAN && c->state == CHILD_READY && !c->draining &&
           p->phase == RUN && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static void describe_exit(struct child *c, int status)
{
    char line[360] = "";

    if (c->why.code)
        log_err(&c->why, line, sizeof(line));
    if (WIFSIGNALED(status))
        snprintf(c->last_exit, sizeof(c->last_exit), "killed by signal %d (%s)%s%s",
                 WTERMSIG(status), strsignal(WTERMSIG(status)), *line ? ": " : "", line);
    else
        snprintf(c->last_exit, sizeof(c->last_exit), "exit status %d%s%s", WEXITSTATUS(status),
                 *line ? ": " : "", line);
}

/* Before keyd was ready once, what cannot mend itself ends the start. */
static void judge_first_start(struct parent *p, const struct child *c)
{
    bool mends_itself = c->why.code == ERR_NONE || c->why.code == ERR_UNAVAILABLE ||
                        c->why.code == ERR_TOKEN || c->why.code == ERR_INTERNAL;

    if (p->announced || p->failed || !has_token(c->proc))
        return;
    if (mends_itself && ++p->first_tries < FIRST_TRIES)
        return;
    char name[32];
    p->failed = true;
    p->first_error = c->why;
    if (!c->why.code)
        err_set(&p->first_error, ERR_INTERNAL, "the %s does not start: %s", child_name(c, name),
                c->last_exit);
}

/* What it said before it ended may still wait in the channel. */
static void last_words(struct parent *p, struct child *c)
{
    struct err err;
    struct msg m;
    enum chan_state state = CHAN_OPEN;

    for (int i = 0; i < LAST_READS && state == CHAN_OPEN; i++) {
        state = chan_read(&c->chan, &err);
        while (chan_next(&c->chan, &m))
            on_msg(p, c, &m);
    }
}

static void note_exit(struct parent *p, const struct child *c)
{
    struct exit_note *e = &p->exits[p->exit_count++ % EXITS_KEPT];

    e->at = (uint64_t)time(NULL);
    child_name(c, e->name);
    snprintf(e->why, sizeof(e->why), "%s", c->last_exit);
}

static void stop_starts(struct parent *p)
{
    if (p->starts_stopped)
        return;
    p->starts_stopped = true;
    log_line(LOG_LEVEL_ERROR,
             "the token refused the PIN from %s%s: no more starts, so that it is not locked; mend "
             "the PIN and restart keyd",
             p->pin.path, p->pin.other.len ? " and the one beside it (.new)" : "");
}

static void on_exit_of(struct parent *p, struct child *c, int status)
{
    char name[32];
    bool renewal = is_renewal(p, c, status);
    bool expected = c->draining || p->phase != RUN || renewal;

    last_words(p, c);
    describe_exit(c, status);
    if (renewal)
        snprintf(c->last_exit, sizeof(c->last_exit), "replaced after a secret was in its memory");
    log_line(expected ? LOG_LEVEL_INFO : LOG_LEVEL_WARNING, "%s (pid %d) ended: %s",
             child_name(c, name), (int)c->pid, c->last_exit);
    if (!expected)
        note_exit(p, c);
    chan_close(&c->chan);
    c->pid = 0;
    c->draining = false;
    if (c->proc == PROC_CUSTODIAN)
        pin_change_ended(p);
    bool refused = has_token(c->proc) && c->why.code == ERR_DENIED;
    bool another = refused && pin_change_refused(p);
    if (refused && !another)
        stop_starts(p);
    if (renewal || another)
        c->backoff_ms = 0; /* at once, however short its life was */
    else
        judge_first_start(p, c);
    plan_restart(p, c);
}

void children_reap(struct parent *p)
{
    int status;
    pid_t pid;

    while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
        for (size_t i = 0; i < p->child_count; i++) {
            if (p->children[i].pid == pid)
                on_exit_of(p, &p->children[i], status);
        }
    }
}

bool children_gone(const struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].pid)
            return false;
    }
    return true;
}

/* ---- drains */

static void drain(struct parent *p, bool gates)
{
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (!c->pid || child_is_gate(c->proc) != gates || c->draining)
            continue;
        c->draining = true;
        chan_put(&c->chan, MSG_DRAIN);
        chan_end(&c->chan);
    }
}

void children_drain(struct parent *p)
{
    uint64_t now = clock_us();

    if (p->phase == RUN) {
        p->phase = DRAIN_GATES;
        p->drain_until = now + DRAIN_GATES_US;
        drain(p, true);
    } else {
        p->drain_until = now;
    }
}

static bool gates_gone(const struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (child_is_gate(p->children[i].proc) && p->children[i].pid)
            return false;
    }
    return true;
}

static void kill_all(struct parent *p, bool gates)
{
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (c->pid && child_is_gate(c->proc) == gates)
            kill(c->pid, SIGKILL);
    }
}

void children_check_time(struct parent *p)
{
    uint64_t now = clock_us();

    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (c->state == CHILD_STARTING && now - c->started > START_US && !c->why.code) {
            err_set(&c->why, ERR_DEADLINE, "it was not ready after %llu s", START_US / 1000000);
            kill(c->pid, SIGKILL);
        }
    }
    if (p->phase == DRAIN_GATES && now >= p->drain_until)
        kill_all(p, true);
    if (p->phase == DRAIN_GATES && gates_gone(p)) {
        p->phase = DRAIN_REST;
        p->drain_until = now + DRAIN_REST_US;
        drain(p, false);
    }
    if (p->phase == DRAIN_REST && now >= p->drain_until)
        kill_all(p, false);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

uint64_t children_next_time(const struct parent *p)
{
    uint64_t next = UINT64_MAX;

    if (p->phase != RUN)
        return p->drain_until;
    for (size_t i = 0; i < p->child_count; i++) {
        const struct child *c = &p->children[i];

        if (only_waits(p, c))
            next = earlier(next, c->start_at);
        if (c->state == CHILD_STARTING)
            next = earlier(next, c->started + START_US);
    }
    return next;
}

void children_reload(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (!child_is_gate(c->proc) || !c->pid)
            continue;
        chan_put(&c->chan, MSG_RELOAD);
        spawn_put_settings(&c->chan, &p->config);
        chan_end(&c->chan);
        if (!spawn_send_tls(p, c, false))
            continue; /* it is gone: its successor gets everything */
    }
}
