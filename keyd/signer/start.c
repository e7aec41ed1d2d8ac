/* SPDX-License-Identifier: Apache-2.0
 *
 * The order matters (facts: tokens.md). The login must be able to write: SoftHSM rewrites the
 * token's master-key file, and a process whose write is refused never sees a key that another
 * makes. Right after it nothing needs to be written any more.
 */
#include "keyd/signer/start.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "keyd/process/sandbox.h"
#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"

#define PIN_MAX 256

struct settings {
    char uri[2048];
    char state_dir[512];
    bool landlock_optional;
    int pin_fd;
};

static void read_settings(struct signer *s, struct msg *m, struct settings *ret)
{
    s->index = rd_u32(&m->body);
    msg_get_str(m, ret->uri, sizeof(ret->uri));
    msg_get_str(m, ret->state_dir, sizeof(ret->state_dir));
    ret->landlock_optional = rd_u8(&m->body) != 0;
    ret->pin_fd = msg_take_fd(m);
    msg_end(m, s->parent);
}

/* ---- the sandbox */

struct places {
    char module_dir[PATH_MAX], tokens[PATH_MAX], softhsm_conf[PATH_MAX];
};

static bool find_places(const struct settings *c, struct places *ret, struct err *err)
{
    TRY(token_uri_module_dir(c->uri, ret->module_dir, sizeof(ret->module_dir), err));
    snprintf(ret->tokens, sizeof(ret->tokens), "%s/tokens", c->state_dir);
    snprintf(ret->softhsm_conf, sizeof(ret->softhsm_conf), "%s/softhsm2.conf", c->state_dir);
    return true;
}

/* Until the login: shared libraries and their settings, and the token. */
static bool confine_for_login(const struct settings *c, const struct places *p, struct err *err)
{
    const char *const read[] = {"/usr",
                                "/lib",
                                "/lib64",
                                "/etc",
                                "/proc/self",
                                "/proc/sys",
                                "/sys/devices/system/cpu",
                                "/dev/urandom",
                                "/dev/null",
                                p->module_dir,
                                p->softhsm_conf,
                                NULL};
    const char *const write[] = {p->tokens, NULL};
    const struct sandbox_files files = {.read = read, .write = write};
    bool applied;

    return sandbox_files(&files, c->landlock_optional, &applied, err);
}

/* From the login on: the token's files, to read. */
static bool confine_for_work(const struct settings *c, const struct places *p, struct err *err)
{
    const char *const read[] = {p->tokens, "/dev/urandom", NULL};
    const struct sandbox_files files = {.read = read};
    bool applied;

    TRY(sandbox_files(&files, c->landlock_optional, &applied, err));
    return sandbox_syscalls(SANDBOX_SIGNER, err);
}

/* ---- the token */

static bool open_token(struct signer *s, const struct settings *c, const struct secret *pin,
                       struct err *err)
{
    TRY(token_open(&s->token, c->uri, c->state_dir, false, err));
    return token_login(s->token, pin, err);
}

static bool start_with(struct signer *s, const struct settings *c, const struct secret *pin,
                       struct err *err)
{
    struct places places;

    TRY(find_places(c, &places, err));
    TRY(confine_for_login(c, &places, err));
    TRY(open_token(s, c, pin, err));
    return confine_for_work(c, &places, err);
}

bool start_up(struct signer *s, struct msg *m, struct err *err)
{
    struct settings c;
    CLEANUP(secret_free) struct secret pin = {0};

    read_settings(s, m, &c);
    if (c.pin_fd < 0)
        msg_fatal(s->parent, "a start without a PIN");
    bool ok = secret_read_fd(&pin, c.pin_fd, PIN_MAX, "the pipe with the PIN", err);
    close(c.pin_fd);
    return ok && start_with(s, &c, &pin, err);
}
