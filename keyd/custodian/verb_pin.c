/* SPDX-License-Identifier: Apache-2.0
 *
 * pin-change: the parent makes the new PIN and keeps it (keyd/pin.h tells the order); the custodian
 * alone can set it. Both PINs come through pipes, are wiped here at once, and what the module has
 * kept of them goes with this process: like after an import, it is replaced. Its successor proves
 * the new PIN by its login; before that the old one is not forgotten.
 */
#include <unistd.h>

#include "keyd/custodian/custodian.h"
#include "keyd/custodian/internal.h"
#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"
#include "proto/base/secret.h"

#define PIN_MAX  255
#define ROUND_MS 1000

static bool wait_parent(struct custodian *c, const bool *came, struct err *err)
{
    while (!*came && !c->parent_gone)
        peers_pump(c, ROUND_MS);
    return *came || err_set(err, ERR_UNAVAILABLE, "the parent is gone");
}

/* ---- what the parent says */

void pin_take(struct custodian *c, struct msg *m)
{
    struct pin_talk *talk = &c->pin;

    msg_get_err(m, &talk->why);
    talk->old_fd = msg_take_fd(m);
    talk->new_fd = msg_take_fd(m);
    msg_end(m, c->parent);
    if (talk->came || (talk->why.code == ERR_NONE) != (talk->new_fd >= 0))
        msg_fatal(c->parent, "a PIN that nobody asked for, or half of one");
    talk->came = true;
}

void pin_kept(struct custodian *c, struct msg *m)
{
    msg_get_err(m, &c->pin.why);
    c->pin.given = rd_u8(&m->body) != 0;
    msg_end(m, c->parent);
    c->pin.kept = true;
}

static bool ask_parent(struct custodian *c, struct err *err)
{
    const struct token_info *info = token_info(c->token);

    c->pin = (struct pin_talk){.old_fd = -1, .new_fd = -1};
    chan_put(c->parent, MSG_PIN_ASK);
    put_u32(c->parent, info->pin_min);
    put_u32(c->parent, info->pin_max);
    chan_end(c->parent);
    TRY(wait_parent(c, &c->pin.came, err));
    if (c->pin.why.code == ERR_NONE)
        return true;
    *err = c->pin.why;
    return false;
}

/* ---- the token */

static bool read_pipe(int *fd, struct secret *ret, struct err *err)
{
    bool ok = secret_read_fd(ret, *fd, PIN_MAX, "the pipe with a PIN", err);

    close(*fd);
    *fd = -1;
    return ok;
}

static bool set(struct custodian *c, struct err *err)
{
    CLEANUP(secret_free) struct secret old = {0}, new = {0};
    bool ok = read_pipe(&c->pin.old_fd, &old, err);

    ok = read_pipe(&c->pin.new_fd, &new, err) && ok;
    TRY(ok && token_set_pin(c->token, &old, &new, err));
    return softhsm_sync(c->state_dir, err);
}

static bool tell_parent(struct custodian *c, const struct err *what, struct err *err)
{
    chan_put(c->parent, MSG_PIN_SET);
    put_err(c->parent, what);
    chan_end(c->parent);
    TRY(wait_parent(c, &c->pin.kept, err));
    if (c->pin.why.code == ERR_NONE)
        return true;
    *err = c->pin.why;
    return false;
}

/* From here on, whatever happens, another custodian finds out which PIN the token has. */
static bool change(struct custodian *c, struct err *err)
{
    struct err what = {.code = ERR_NONE};

    c->worn = true;
    if (!set(c, &what) && what.code == ERR_NONE)
        err_set(&what, ERR_INTERNAL, "the PIN was not set");
    return tell_parent(c, &what, err);
}

bool verb_pin_change(struct custodian *c, const struct ask *ask, envelope *ret, struct err *err)
{
    Keyd__V1__PinChangeReply *reply = ask_alloc(ask, sizeof(*reply), err);
    char *file = ask_alloc(ask, sizeof(c->uri), err);

    TRY(reply && file);
    keyd__v1__pin_change_reply__init(reply);
    TRY(custodian_pin_source(c->uri, file, sizeof(c->uri), err));
    TRY(ask_parent(c, err));
    TRY(change(c, err));
    reply->file = file;
    reply->given = c->pin.given;
    ret->body_case = KEYD__V1__ENVELOPE__BODY_PIN_CHANGE_REPLY;
    ret->pin_change_reply = reply;
    return true;
}
