/* SPDX-License-Identifier: Apache-2.0
 *
 * In this order: settings, files (Landlock), token and login, system calls (seccomp), then the
 * registry, the probe, reconcile; the table to the parent; ready.
 */
#include <poll.h>
#include <stdio.h>
#include <unistd.h>

#include "keyd/custodian/internal.h"
#include "keyd/process/sandbox.h"
#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"

#define PIN_MAX 255

struct settings {
    bool landlock_optional;
    int pin_fd;
};

static void settings_close(struct settings *s)
{
    if (s->pin_fd >= 0)
        close(s->pin_fd);
}

/* ---- MSG_START */

static void read_settings(struct custodian *c, struct msg *m, struct settings *ret)
{
    if (m->type != MSG_START)
        msg_fatal(c->parent, "the first message is not START");
    msg_get_str(m, c->uri, sizeof(c->uri));
    msg_get_str(m, c->state_dir, sizeof(c->state_dir));
    ret->landlock_optional = rd_u8(&m->body) != 0;
    ret->pin_fd = msg_take_fd(m);
    msg_end(m, c->parent);
    if (ret->pin_fd < 0)
        msg_fatal(c->parent, "START without the PIN");
}

static bool wait_settings(struct custodian *c, struct settings *ret, struct err *err)
{
    struct msg m;
    struct pollfd p = {.fd = c->parent->fd, .events = POLLIN};

    while (!chan_next(c->parent, &m)) {
        if (poll(&p, 1, -1) < 0)
            continue;
        if (chan_read(c->parent, err) != CHAN_OPEN) {
            c->draining = c->parent_gone = true;
            return err_set(err, ERR_UNAVAILABLE, "the parent is gone");
        }
    }
    read_settings(c, &m, ret);
    return true;
}

/* ---- confining */

static bool confine_files(const struct custodian *c, bool optional, struct err *err)
{
    char module_dir[512];
    bool applied;

    TRY(token_uri_module_dir(c->uri, module_dir, sizeof(module_dir), err));
    const char *const read_exec[] = {"/usr", "/lib", "/lib64", module_dir, NULL};
    const char *const read[] = {
        "/etc",        "/proc/self", "/proc/sys/crypto", "/proc/cpuinfo", "/dev/urandom",
        "/dev/random", NULL};
    const char *const write[] = {c->state_dir, "/dev/null", NULL};
    const struct sandbox_files files = {.read_exec = read_exec, .read = read, .write = write};
    return sandbox_files(&files, optional, &applied, err);
}

/* ---- the token */

static void forget_pin(struct secret *pin)
{
    secret_free(pin);
}

static bool open_token(struct custodian *c, int pin_fd, struct err *err)
{
    CLEANUP(forget_pin) struct secret pin = {.bytes = NULL};

    TRY(secret_read_fd(&pin, pin_fd, PIN_MAX, "the pipe with the PIN", err));
    TRY(token_open(&c->token, c->uri, c->state_dir, true, err));
    return token_login(c->token, &pin, err);
}

static bool tell_guarded_file(struct custodian *c, struct err *err)
{
    char path[768];

    TRY(softhsm_guarded_file(c->state_dir, token_info(c->token)->serial, path, sizeof(path), err));
    if (*path == '\0')
        return true;
    chan_put(c->parent, MSG_GUARD);
    put_str(c->parent, path);
    chan_end(c->parent);
    return true;
}

/* ---- the registry */

static bool open_registry(struct custodian *c, struct err *err)
{
    char path[sizeof(c->state_dir) + 16];

    snprintf(path, sizeof(path), "%s/registry.db", c->state_dir);
    return registry_open(&c->registry, path, err);
}

static bool has_registry(const struct custodian *c)
{
    char path[sizeof(c->state_dir) + 16];

    snprintf(path, sizeof(path), "%s/registry.db", c->state_dir);
    return access(path, F_OK) == 0;
}

/* A new token is no cure where keys were made already. */
void start_explain(const struct custodian *c, struct err *err)
{
    if (err->code != ERR_UNAVAILABLE && err->code != ERR_TOKEN)
        return;
    if (!softhsm_explain(c->state_dir, err) && !c->token && has_registry(c))
        err_hint(err, "keyd has keys in its registry, so there was a token: is [token] uri right? "
                      "put its folder back, or a backup (keyd --restore)");
}

bool custodian_start(struct custodian *c, struct err *err)
{
    CLEANUP(settings_close) struct settings settings = {.pin_fd = -1};

    TRY(wait_settings(c, &settings, err));
    TRY(confine_files(c, settings.landlock_optional, err));
    TRY(open_token(c, settings.pin_fd, err));
    TRY(tell_guarded_file(c, err));
    TRY(sandbox_syscalls(SANDBOX_CUSTODIAN, err));
    backup_clean(c);
    TRY(open_registry(c, err));
    TRY(token_probe(c->token, &c->abilities, err));
    TRY(import_probe(c, err));
    TRY(reconcile_all(c, err));
    publish_table(c);
    TRY(access_publish(c, err));
    if (c->parent_gone)
        return err_set(err, ERR_UNAVAILABLE, "the parent is gone");
    chan_put(c->parent, MSG_READY);
    chan_end(c->parent);
    return true;
}
