/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/parent/pins.h"

#include <sys/socket.h>

#include "keyd/pin_change.h"

/* A parent with two children, whose custodian is the test. */
struct rig {
    struct parent p;
    struct chan custodian;
};

static void begin(struct rig *r)
{
    struct err err;
    int ends[2];

    *r = (struct rig){.p = {.child_count = 2}};
    r->p.children[0] = (struct child){.proc = PROC_CUSTODIAN, .chan = {.fd = -1}};
    r->p.children[1] = (struct child){.proc = PROC_SIGNER, .chan = {.fd = -1}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(
        chan_open(&r->p.children[0].chan, ends[0], PROC_PARENT, PROC_CUSTODIAN, 0, 0, &err));
    assert_true(chan_open(&r->custodian, ends[1], PROC_CUSTODIAN, PROC_PARENT, 0, 0, &err));
    assert_true(pin_read(&r->p.pin, file, &err));
    assert_true(guard_open(&r->p.guard, folder, &err));
}

static void end(struct rig *r)
{
    chan_close(&r->p.children[0].chan);
    chan_close(&r->custodian);
    pin_free(&r->p.pin);
}

/* Which of the two kinds may be started: "CS", "C", "". */
static const char *may_start(const struct rig *r)
{
    bool c = !pin_change_holds(&r->p, &r->p.children[0]);
    bool s = !pin_change_holds(&r->p, &r->p.children[1]);

    return c && s ? "CS" : c ? "C" : s ? "S" : "";
}

static struct msg hear(struct rig *r, enum msg_type type)
{
    struct msg m;
    struct err err;

    assert_true(chan_flush(&r->p.children[0].chan));
    assert_int_equal(chan_read(&r->custodian, &err), CHAN_OPEN);
    assert_true(chan_next(&r->custodian, &m));
    assert_int_equal(m.type, type);
    return m;
}

static void hear_nothing(struct rig *r)
{
    struct msg m;
    struct err err;

    assert_true(chan_flush(&r->p.children[0].chan));
    assert_int_equal(chan_read(&r->custodian, &err), CHAN_OPEN);
    assert_false(chan_next(&r->custodian, &m));
}

static void piped(int fd, const char *want)
{
    char text[300] = "";

    assert_true(read(fd, text, sizeof(text) - 1) >= 0);
    assert_string_equal(text, want);
    close(fd);
}

static struct err hear_refusal(struct rig *r, enum msg_type type)
{
    struct msg m = hear(r, type);
    struct err why;

    msg_get_err(&m, &why);
    if (type == MSG_PIN_KEPT)
        (void)rd_u8(&m.body);
    msg_end(&m, &r->custodian);
    return why;
}

/* The custodian asks, and gets both. */
static void given(struct rig *r)
{
    struct err why;

    pin_change_ask(&r->p, 4, 255);
    pin_change_step(&r->p, false);
    struct msg m = hear(r, MSG_PIN);
    msg_get_err(&m, &why);
    assert_int_equal(why.code, ERR_NONE);
    piped(msg_take_fd(&m), "old");
    piped(msg_take_fd(&m), in_file(".new"));
    msg_end(&m, &r->custodian);
}

static void a_change(void **state)
{
    struct err none = {.code = ERR_NONE};
    struct rig r;
    char new[300];

    (void)state;
    begin(&r);
    assert_string_equal(may_start(&r), "CS");
    pin_change_ask(&r.p, 4, 255);
    assert_string_equal(may_start(&r), "");
    pin_change_step(&r.p, true); /* a signer is just logging in */
    hear_nothing(&r);
    assert_null(in_file(".new"));
    pin_change_ended(&r.p); /* and it did not wait */
    assert_string_equal(may_start(&r), "CS");
    given(&r);
    assert_string_equal(may_start(&r), "");
    snprintf(new, sizeof(new), "%s", in_file(".new"));
    pin_change_set(&r.p, &none);
    assert_int_equal(hear_refusal(&r, MSG_PIN_KEPT).code, ERR_NONE);
    assert_string_equal(in_file(""), new);
    assert_string_equal(in_file(".new"), "old");
    assert_true(is(&r.p.pin.now, new));
    assert_string_equal(may_start(&r), "CS");
    pin_change_ended(&r.p);
    pin_change_ready(&r.p);
    assert_null(in_file(".new"));
    assert_int_equal(r.p.pin.other.len, 0);
    assert_int_equal(r.p.pin.state, PIN_SETTLED);
    end(&r);
}

static void one_at_a_time(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    given(&r);
    pin_change_ask(&r.p, 4, 255);
    assert_int_equal(hear_refusal(&r, MSG_PIN).code, ERR_BUSY);
    pin_change_ended(&r.p);
    pin_change_ask(&r.p, 4, 255);
    assert_int_equal(hear_refusal(&r, MSG_PIN).code, ERR_BUSY);
    end(&r);
}

static void what_cannot_be_is_refused(void **state)
{
    struct rig r;

    (void)state;
    begin(&r);
    pin_change_ask(&r.p, 4, 8);
    pin_change_step(&r.p, false);
    assert_int_equal(hear_refusal(&r, MSG_PIN).code, ERR_UNSUPPORTED);
    assert_string_equal(may_start(&r), "CS");
    r.p.phase = DRAIN_GATES;
    pin_change_ask(&r.p, 4, 255);
    pin_change_step(&r.p, false);
    assert_int_equal(hear_refusal(&r, MSG_PIN).code, ERR_UNAVAILABLE);
    assert_null(in_file(".new"));
    end(&r);
}

/* C_SetPIN failed, or nobody knows: the next custodian finds out, and only it. */
static void undone(void **state)
{
    struct err why;
    struct rig r;

    (void)state;
    begin(&r);
    given(&r);
    err_set(&why, ERR_TOKEN, "C_SetPIN: CKR_GENERAL_ERROR");
    pin_change_set(&r.p, &why);
    assert_contains(hear_refusal(&r, MSG_PIN_KEPT).text, "CKR_GENERAL_ERROR");
    assert_string_equal(in_file(""), "old");
    assert_non_null(in_file(".new"));
    pin_change_ended(&r.p);
    assert_string_equal(may_start(&r), "C");
    pin_change_ready(&r.p); /* the old one was taken */
    assert_string_equal(in_file(""), "old");
    assert_null(in_file(".new"));
    assert_string_equal(may_start(&r), "CS");
    end(&r);
}

static void finished(void **state)
{
    struct rig r;
    char new[300];

    (void)state;
    begin(&r);
    given(&r);
    snprintf(new, sizeof(new), "%s", in_file(".new"));
    pin_change_ended(&r.p);
    assert_true(pin_change_refused(&r.p)); /* the old one */
    assert_string_equal(in_file(""), new); /* before the other one is tried */
    assert_true(is(&r.p.pin.now, new));
    assert_string_equal(may_start(&r), "C");
    pin_change_ready(&r.p);
    assert_string_equal(in_file(""), new);
    assert_null(in_file(".new"));
    end(&r);
}

static void neither_fits(void **state)
{
    struct rig r;

    (void)state;
    put_file(".new", "new\n", 0600);
    begin(&r);
    assert_string_equal(may_start(&r), "C");
    assert_true(pin_change_refused(&r.p));
    assert_false(pin_change_refused(&r.p));
    assert_non_null(in_file("")); /* and both are kept */
    assert_non_null(in_file(".new"));
    end(&r);
    unlink(beside(".new"));
    begin(&r);
    assert_false(pin_change_refused(&r.p)); /* there is one only */
    end(&r);
}

/* A token that says yes and does not do it: who logs in next finds out. */
static void a_token_that_lies(void **state)
{
    struct err none = {.code = ERR_NONE};
    struct rig r;

    (void)state;
    begin(&r);
    given(&r);
    pin_change_set(&r.p, &none);
    assert_true(pin_change_refused(&r.p));
    assert_true(is(&r.p.pin.now, "old"));
    assert_string_equal(in_file(""), "old");
    assert_string_equal(may_start(&r), "C");
    pin_change_ended(&r.p);
    pin_change_ready(&r.p);
    assert_null(in_file(".new"));
    assert_string_equal(in_file(""), "old");
    end(&r);
}

/* As long as the guarded copy may be of the old token, the old PIN is kept. */
static void no_copy(void **state)
{
    struct err none = {.code = ERR_NONE};
    struct rig r;

    (void)state;
    begin(&r);
    given(&r);
    pin_change_set(&r.p, &none);
    r.p.guard_stale = true;
    pin_change_ready(&r.p);
    assert_string_equal(in_file(".new"), "old");
    assert_string_equal(may_start(&r), "CS");
    r.p.guard_stale = false;
    pin_change_ready(&r.p);
    assert_null(in_file(".new"));
    end(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(a_change), T(one_at_a_time), T(what_cannot_be_is_refused), T(undone),
        T(finished), T(neither_fits),  T(a_token_that_lies),         T(no_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
