/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "keyd/custodian/custodian.h"
#include "keyd/gate/gate.h"
#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/signer/signer.h"

#define CHAN_FD 3 /* in every child */
#define LOCK_FD 4 /* held by every child: the state is free when the last one is gone */

static const char *const kinds[PROC_COUNT] = {
    "parent", "signing-gate", "control-gate", "signer", "custodian",
};

bool child_is_gate(enum proc proc)
{
    return proc == PROC_GATE_SIGNING || proc == PROC_GATE_CONTROL;
}

const char *child_name(const struct child *c, char buf[32])
{
    if (c->proc == PROC_SIGNER)
        snprintf(buf, 32, "signer %u", c->index);
    else
        snprintf(buf, 32, "%s", proc_name(c->proc));
    return buf;
}

/* ---- becoming a child */

static _Noreturn void become(int chan_fd, int lock_fd, const struct child *c)
{
    char index[16], title[48], name[32];
    sigset_t none;

    /* Neither descriptor may be overwritten before it has moved. */
    int chan = fcntl(chan_fd, F_DUPFD, 10), lock = fcntl(lock_fd, F_DUPFD, 10);
    if (chan < 0 || lock < 0 || dup2(chan, CHAN_FD) < 0 || dup2(lock, LOCK_FD) < 0)
        _exit(72);
    close_range(LOCK_FD + 1, ~0u, 0);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    snprintf(index, sizeof(index), "%u", c->index);
    snprintf(title, sizeof(title), "keyd: %s", child_name(c, name));
    char *argv[] = {title, (char *)"--child", (char *)kinds[c->proc], index, NULL};
    execv("/proc/self/exe", argv);
    _exit(72);
}

static int run_child(enum proc proc, struct chan *parent)
{
    switch (proc) {
    case PROC_GATE_SIGNING:
    case PROC_GATE_CONTROL:
        return gate_main(parent);
    case PROC_SIGNER:
        return signer_main(parent);
    case PROC_CUSTODIAN:
        return custodian_main(parent);
    case PROC_PARENT:
    case PROC_COUNT:
        break;
    }
    return 2;
}

_Noreturn void child_main(const char *kind, const char *index)
{
    struct child c = {.index = (uint32_t)strtoul(index, NULL, 10)};
    struct chan chan;
    struct err err;
    char name[32], line[600];

    for (c.proc = PROC_GATE_SIGNING; c.proc < PROC_COUNT; c.proc++) {
        if (strcmp(kind, kinds[c.proc]) == 0)
            break;
    }
    /* The parent says when to end, not the terminal that signals the whole group. */
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGPIPE, SIG_IGN);
    log_init(child_name(&c, name));
    if (c.proc == PROC_COUNT || !sandbox_basics(true, &err) ||
        !chan_open(&chan, CHAN_FD, c.proc, PROC_PARENT, 0, 0, &err)) {
        log_line(LOG_LEVEL_ERROR, "this is a part of keyd, not to be started by hand: %s",
                 c.proc == PROC_COUNT ? "unknown kind" : log_err(&err, line, sizeof(line)));
        _exit(2);
    }
    _exit(run_child(c.proc, &chan));
}

/* ---- telling it what it needs */

static void put_rule(struct chan *chan, const struct rule *r)
{
    put_str(chan, r->principal.name);
    put_u32(chan, r->principal.role);
    put_str(chan, r->principal.tenant);
    put_str(chan, r->principal.group);
    put_u8(chan, (uint8_t)r->proof);
    put_str(chan, r->text);
    put_u32(chan, r->id);
}

void spawn_put_settings(struct chan *chan, const struct config *c)
{
    put_u32(chan, c->connections);
    put_u32(chan, c->in_flight);
    put_u32(chan, c->queue);
    put_u32(chan, c->buffers_mib);
    put_u32(chan, c->default_deadline_ms);
    put_u32(chan, c->max_deadline_ms);
    put_u32(chan, c->signer_timeout_ms);
    put_u32(chan, c->principal_rate);
    put_u32(chan, c->key_rate);
    put_u32(chan, c->principal_in_flight);
    put_u32(chan, c->key_in_flight);
    put_u32(chan, (uint32_t)c->rule_count);
    for (size_t i = 0; i < c->rule_count; i++)
        put_rule(chan, &c->rules[i]);
}

static size_t socket_of(const struct child *c)
{
    return c->proc == PROC_GATE_SIGNING ? SOCKET_FRONTEND : SOCKET_CONTROL_PLANE;
}

bool spawn_send_tls(struct parent *p, struct child *c, bool with_listener)
{
    int listener = with_listener ? p->tls_listeners[socket_of(c)] : -1;
    int fds[2];
    size_t n = 0;

    if (p->tls_bundle >= 0)
        fds[n++] = p->tls_bundle;
    if (listener >= 0)
        fds[n++] = listener;
    chan_put(&c->chan, MSG_TLS);
    put_u32(&c->chan, p->config.handshakes);
    put_u8(&c->chan, p->tls_bundle >= 0);
    put_u8(&c->chan, listener >= 0);
    if (n > 0)
        return chan_end_fds(&c->chan, fds, n);
    chan_end(&c->chan);
    return true;
}

static bool send_kept(struct child *c, enum msg_type type, const struct kept *kept)
{
    if (kept->fd < 0)
        return true;
    chan_put(&c->chan, type);
    put_u64(&c->chan, kept->version);
    return chan_end_fds(&c->chan, &kept->fd, 1);
}

bool spawn_send_table(struct parent *p, struct child *c, enum msg_type type)
{
    if (!msg_allowed(type, PROC_PARENT, c->proc))
        return true;
    return send_kept(c, type, type == MSG_ACCESS ? &p->access : &p->table);
}

static bool send_tables(struct parent *p, struct child *c)
{
    return spawn_send_table(p, c, MSG_TABLE) && spawn_send_table(p, c, MSG_ACCESS);
}

static bool send_start(struct parent *p, struct child *c)
{
    int fd;

    chan_put(&c->chan, MSG_START);
    if (child_is_gate(c->proc)) {
        put_u8(&c->chan, p->config.landlock_optional);
        spawn_put_settings(&c->chan, &p->config);
        fd = p->listeners[socket_of(c)];
        return chan_end_fds(&c->chan, &fd, 1) && spawn_send_tls(p, c, true) && send_tables(p, c);
    }
    if (c->proc == PROC_SIGNER)
        put_u32(&c->chan, c->index);
    put_str(&c->chan, p->config.token_uri);
    put_str(&c->chan, p->config.state_dir);
    put_u8(&c->chan, p->config.landlock_optional);
    fd = pin_pipe(&p->pin.now);
    if (fd < 0)
        return false;
    bool ok = chan_end_fds(&c->chan, &fd, 1) && send_tables(p, c);
    close(fd);
    return ok;
}

bool spawn(struct parent *p, struct child *c, struct err *err)
{
    int ends[2];

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "no socket pair for a child");
    if (!chan_open(&c->chan, ends[0], PROC_PARENT, c->proc, c->index, 0, err)) {
        close(ends[0]);
        close(ends[1]);
        return false;
    }
    c->generation++;
    c->pid = fork();
    if (c->pid == 0)
        become(ends[1], p->lock_fd, c);
    int e = errno;
    close(ends[1]);
    if (c->pid < 0) {
        c->pid = 0;
        chan_close(&c->chan);
        return err_errno(err, ERR_INTERNAL, e, "cannot fork");
    }
    if (!send_start(p, c))
        kill(c->pid, SIGKILL);
    return true;
}
