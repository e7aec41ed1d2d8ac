/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/pin_change.h"

#include <unistd.h>

#include "keyd/process/log.h"

static struct child *custodian(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].proc == PROC_CUSTODIAN)
            return &p->children[i];
    }
    return NULL;
}

static void log_problem(const char *what, const struct err *err)
{
    char line[600];

    log_line(LOG_LEVEL_WARNING, "%s: %s", what, log_err(err, line, sizeof(line)));
}

bool pin_change_holds(const struct parent *p, const struct child *c)
{
    switch (p->pin.state) {
    case PIN_SETTLED:
    case PIN_SET:
        return false;
    case PIN_OPEN:
        return c->proc != PROC_CUSTODIAN;
    case PIN_ASKED:
    case PIN_GIVEN:
        break;
    }
    return true;
}

/* ---- the change */

static void refuse(struct parent *p, const struct err *err)
{
    struct chan *to = &custodian(p)->chan;

    chan_put(to, MSG_PIN);
    put_err(to, err);
    chan_end(to);
}

void pin_change_ask(struct parent *p, uint32_t least, uint32_t most)
{
    struct err err;

    if (p->pin.state != PIN_SETTLED) {
        err_set(&err, ERR_BUSY, "the last change of the PIN is not proven yet");
        err_hint(&err, "a moment later it is; else the log of keyd says what keeps it");
        err_retry(&err, 1000);
        refuse(p, &err);
        return;
    }
    p->pin.least = least;
    p->pin.most = most;
    p->pin.state = PIN_ASKED;
}

/* The old PIN and the new one, each through a pipe. */
static bool hand_over(struct parent *p)
{
    struct chan *to = &custodian(p)->chan;
    struct err none = {.code = ERR_NONE};
    int fds[2] = {pin_pipe(&p->pin.now), pin_pipe(&p->pin.other)};
    bool ok = fds[0] >= 0 && fds[1] >= 0;

    if (ok) {
        chan_put(to, MSG_PIN);
        put_err(to, &none);
        ok = chan_end_fds(to, fds, 2);
    }
    for (size_t i = 0; i < 2; i++) {
        if (fds[i] >= 0)
            close(fds[i]);
    }
    return ok;
}

void pin_change_step(struct parent *p, bool starting)
{
    struct err err;

    if (p->pin.state != PIN_ASKED || starting)
        return;
    if (p->phase != RUN) {
        err_set(&err, ERR_UNAVAILABLE, "keyd is about to end");
        p->pin.state = PIN_SETTLED;
        refuse(p, &err);
    } else if (!pin_offer(&p->pin, p->pin.least, p->pin.most, &err)) {
        p->pin.state = PIN_SETTLED;
        refuse(p, &err);
    } else if (!hand_over(p)) {
        /* It is as good as gone; its successor finds out that nothing has changed. */
        log_line(LOG_LEVEL_WARNING, "the custodian does not take the new PIN");
    }
}

/* The copy first: as long as it may be of the old token, both PINs are kept. */
static void keep(struct parent *p)
{
    struct err err;

    if (*p->guard.path && !guard_learn(&p->guard, p->guard.path, &err))
        log_problem("no copy of the token's master-key file", &err);
    if (!pin_swap(&p->pin, &err))
        log_problem("the token has the new PIN", &err);
    p->pin.state = PIN_SET;
}

void pin_change_set(struct parent *p, const struct err *why)
{
    struct chan *to = &custodian(p)->chan;
    struct err none = {.code = ERR_NONE};

    if (p->pin.state != PIN_GIVEN)
        msg_fatal(to, "a PIN was set that nobody gave");
    /* Whatever went wrong, the token may have the new one: the custodian ends, the next finds out.
     */
    if (why->code == ERR_NONE)
        keep(p);
    chan_put(to, MSG_PIN_KEPT);
    put_err(to, why->code == ERR_NONE ? &none : why);
    put_u8(to, p->pin.given);
    chan_end(to);
}

/* ---- which of the two */

bool pin_change_refused(struct parent *p)
{
    struct err err;

    if (p->pin.other.len == 0 || p->pin.refused || p->pin.state == PIN_GIVEN)
        return false;
    log_line(LOG_LEVEL_WARNING,
             "the token refused one of the two PINs in %s and %s.new; "
             "the other one is tried, once",
             p->pin.path, p->pin.path);
    if (!pin_swap(&p->pin, &err))
        log_problem("which PIN was refused cannot be remembered", &err);
    p->pin.refused = true;
    p->pin.state = PIN_OPEN;
    return true;
}

static const char *outcome(const struct pin *pin)
{
    if (pin->state == PIN_SET)
        return "the token's user PIN is changed; the new one is in";
    return pin_is_new(pin)
               ? "a change of the token's PIN was cut short, and is finished now: the new one is in"
               : "a change of the token's PIN was cut short, and is undone: the old one is in";
}

void pin_change_ready(struct parent *p)
{
    const char *what;
    struct err err;

    if (p->pin.state != PIN_OPEN && p->pin.state != PIN_SET)
        return;
    if (p->guard_stale) {
        log_line(LOG_LEVEL_WARNING,
                 "both PINs are kept, in %s and %s.new, until there is a copy "
                 "of the token's master-key file",
                 p->pin.path, p->pin.path);
        p->pin.state = PIN_SET; /* who starts next uses the one that was taken */
        return;
    }
    what = outcome(&p->pin);
    if (!pin_settle(&p->pin, &err)) {
        log_problem("the change of the PIN is not tidied up", &err);
        p->pin.state = p->pin.other.len ? PIN_SET : PIN_SETTLED;
        return;
    }
    log_line(LOG_LEVEL_NOTICE, "%s %s", what, p->pin.path);
}

void pin_change_ended(struct parent *p)
{
    if (p->pin.state == PIN_ASKED)
        p->pin.state = PIN_SETTLED;
    else if (p->pin.state == PIN_GIVEN)
        p->pin.state = PIN_OPEN;
}
