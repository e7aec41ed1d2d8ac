/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/custodian/rig.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/process/tally.h"
#include "proto/base/clock.h"
#include "proto/base/mem.h"

struct rig rig;
struct rig_tracer rig_tracer = {.fd = -1};

/* ---- processes */

/* A process that crashes ends: cmocka's handlers would go on with the test, in the child. */
static void own_signals(void)
{
    signal(SIGSEGV, SIG_DFL);
    signal(SIGBUS, SIG_DFL);
    signal(SIGFPE, SIG_DFL);
    signal(SIGILL, SIG_DFL);
}

/* SoftHSM crashes in exit(3), and one C_Initialize is all it takes well: so each use of the token
 * is a process of its own. Returns what fn returned. */
static int in_child(int (*fn)(void *), void *arg)
{
    pid_t pid = fork();
    int status;

    assert_true(pid >= 0);
    if (pid == 0) {
        own_signals();
        _exit(fn(arg));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static int complain(const struct err *err)
{
    fprintf(stderr, "%s (%s; %s)\n", err->text, err_name(err->code), err->hint);
    return err->code ? (int)err->code : 1;
}

static int init_token(void *arg)
{
    struct err err = {.code = ERR_NONE};

    (void)arg;
    return custodian_init_token(rig.uri, rig.state, &err) ? 0 : complain(&err);
}

int rig_setup(void **state)
{
    const char *tmp = getenv("TMPDIR");

    (void)state;
    rig = (struct rig){.parent = {.fd = -1}, .keeps = true, .arena = arena_of(8u << 20)};
    for (size_t i = 0; i < ENDS_MAX; i++)
        rig.ends[i].chan.fd = -1;
    snprintf(rig.dir, sizeof(rig.dir), "%s/keyd-custodian-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(rig.dir));
    snprintf(rig.state, sizeof(rig.state), "%s/state", rig.dir);
    snprintf(rig.uri, sizeof(rig.uri), "%s&pin-source=file:%s/user.pin", URI, rig.state);
    assert_int_equal(in_child(init_token, NULL), 0);
    return 0;
}

static void close_ends(void)
{
    for (size_t i = 0; i < ENDS_MAX; i++) {
        chan_close(&rig.ends[i].chan);
        table_free(&rig.ends[i].table);
        access_free(&rig.ends[i].access);
        rig.ends[i] = (struct end){.chan = {.fd = -1}};
    }
    chan_close(&rig.parent);
    table_free(&rig.table);
    access_free(&rig.access);
}

int rig_teardown(void **state)
{
    (void)state;
    if (rig.pid)
        rig_kill();
    close_ends();
    arena_free(&rig.arena);
    remove_tree(rig.dir);
    return 0;
}

static void become_custodian(int fd)
{
    struct chan parent;
    struct err err;

    if (rig_tracer.child)
        rig_tracer.child();
    own_signals();
    signal(SIGPIPE, SIG_IGN);
    log_init("custodian");
    if (!sandbox_basics(true, &err) ||
        !chan_open(&parent, fd, PROC_CUSTODIAN, PROC_PARENT, 0, 0, &err))
        _exit(complain(&err));
    for (size_t i = 0; i < ENDS_MAX; i++)
        chan_close(&rig.ends[i].chan);
    _exit(custodian_main(&parent));
}

static void send_start(const char *pin)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], pin, strlen(pin)), strlen(pin));
    close(ends[1]);
    chan_put(&rig.parent, MSG_START);
    put_str(&rig.parent, rig.uri);
    put_str(&rig.parent, rig.state);
    put_u8(&rig.parent, 0);
    assert_true(chan_end_fds(&rig.parent, ends, 1));
    close(ends[0]);
}

void rig_start_with_pin(const char *pin)
{
    int ends[2];
    struct err err;

    close_ends();
    rig.ready = rig.over = false;
    rig.failed = (struct err){.code = ERR_NONE};
    rig.tables = rig.overdue = 0;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    rig.pid = fork();
    assert_true(rig.pid >= 0);
    if (rig.pid == 0) {
        close(ends[0]);
        become_custodian(ends[1]);
    }
    close(ends[1]);
    if (rig_tracer.started)
        rig_tracer.started(rig.pid);
    must(chan_open(&rig.parent, ends[0], PROC_PARENT, PROC_CUSTODIAN, 0, 0, &err), &err);
    send_start(pin);
    rig_pump(WAIT_MS, &rig.ready);
}

void rig_start(void)
{
    char path[300], pin[64] = "";

    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(pin, sizeof(pin), f));
    fclose(f);
    rig_start_with_pin(pin);
}

void rig_serve(void)
{
    rig_start();
    if (!rig.ready)
        fail_msg("the custodian did not start: %s", rig.failed.text);
    rig_connect(0, PROC_GATE_CONTROL, 0, 1);
}

int rig_wait(void)
{
    int status = -1;
    pid_t pid = rig.pid;

    rig.pid = 0;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    while (WIFSTOPPED(status)) {
        rig_tracer.stopped(pid, status);
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    return status;
}

void rig_stop(void)
{
    chan_put(&rig.parent, MSG_DRAIN);
    chan_end(&rig.parent);
    rig_pump(WAIT_MS, &rig.over);
    int status = rig_wait();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void rig_renewed(void)
{
    struct end *e = &rig.ends[0];

    rig_pump(WAIT_MS, &e->leave);
    assert_true(e->leave);
    e->leave = false;
    chan_put(&e->chan, MSG_LEFT);
    chan_end(&e->chan);
    rig_pump(WAIT_MS, &rig.over);
    int status = rig_wait();
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    rig_serve();
}

void rig_kill(void)
{
    kill(rig.pid, SIGKILL);
    (void)rig_wait();
}

struct with_token {
    bool (*fn)(struct token *t, struct registry *r, struct err *err);
};

static int use_token(void *arg)
{
    struct with_token *w = arg;
    struct token *t = NULL;
    struct registry *r = NULL;
    struct secret pin = {.bytes = NULL};
    struct err err = {.code = ERR_NONE};
    char path[300];

    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    bool ok = secret_read_file(&pin, path, 64, &err) &&
              token_open(&t, rig.uri, rig.state, true, &err) && token_login(t, &pin, &err);
    snprintf(path, sizeof(path), "%s/registry.db", rig.state);
    ok = ok && registry_open(&r, path, &err) && w->fn(t, r, &err);
    registry_close(r);
    token_close(t);
    return ok ? 0 : complain(&err);
}

void rig_with_token(bool (*fn)(struct token *t, struct registry *r, struct err *err))
{
    struct with_token w = {fn};

    assert_int_equal(in_child(use_token, &w), 0);
}

/* ---- what the custodian says */

static void on_table(struct msg *m)
{
    uint64_t version = rd_u64(&m->body);
    int fd = msg_take_fd(m);
    struct err err;

    msg_end(m, &rig.parent);
    must(table_from_fd(&rig.table, fd, &err), &err);
    close(fd);
    assert_int_equal(rig.table.version, version);
    rig.tables++;
    if (!rig.keeps)
        return;
    chan_put(&rig.parent, MSG_TABLE_KEPT);
    put_u64(&rig.parent, version);
    chan_end(&rig.parent);
}

/* Takes what it publishes of grants and tokens, from whatever channel; gives its version. */
static uint64_t take_access(struct access *ret, struct msg *m, const struct chan *from)
{
    uint64_t version = rd_u64(&m->body);
    int fd = msg_take_fd(m);
    struct err err;

    msg_end(m, from);
    access_free(ret);
    must(access_from_fd(ret, fd, &err), &err);
    close(fd);
    assert_int_equal(ret->version, version);
    return version;
}

static void on_kept_access(struct msg *m)
{
    uint64_t version = take_access(&rig.access, m, &rig.parent);

    if (!rig.keeps)
        return;
    chan_put(&rig.parent, MSG_TABLE_KEPT);
    put_u64(&rig.parent, version);
    chan_end(&rig.parent);
}

static void on_gate_access(struct end *e, struct msg *m)
{
    uint64_t version = take_access(&e->access, m, &e->chan);

    if (e->mute)
        return;
    chan_put(&e->chan, MSG_ACCESS_DONE);
    put_u64(&e->chan, version);
    chan_end(&e->chan);
}

static int piped(const char *text)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], text, strlen(text)), strlen(text));
    close(ends[1]);
    return ends[0];
}

static void on_pin_ask(void)
{
    char path[300], old[64] = "";

    chan_put(&rig.parent, MSG_PIN);
    put_err(&rig.parent, &rig.no_pin);
    if (rig.no_pin.code) {
        chan_end(&rig.parent);
        return;
    }
    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(old, sizeof(old), f));
    fclose(f);
    old[strcspn(old, "\n")] = 0;
    int fds[2] = {piped(old), piped(rig.new_pin)};
    assert_true(chan_end_fds(&rig.parent, fds, 2));
    close(fds[0]);
    close(fds[1]);
}

static void on_pin_set(void)
{
    char path[300];

    rig.pins_set++;
    if (rig.pin_set.code == ERR_NONE) {
        snprintf(path, sizeof(path), "%s/user.pin", rig.state);
        FILE *f = fopen(path, "w");
        assert_non_null(f);
        assert_true(fprintf(f, "%s\n", rig.new_pin) > 0);
        assert_int_equal(fclose(f), 0);
    }
    chan_put(&rig.parent, MSG_PIN_KEPT);
    put_err(&rig.parent, &rig.pin_set);
    put_u8(&rig.parent, 1);
    chan_end(&rig.parent);
}

static void on_parent_msg(struct msg *m)
{
    switch (m->type) {
    case MSG_ACCESS:
        on_kept_access(m);
        return;
    case MSG_TABLE:
        on_table(m);
        return;
    case MSG_READY:
        rig.ready = true;
        break;
    case MSG_FAILED:
        msg_get_err(m, &rig.failed);
        break;
    case MSG_GUARD:
        msg_get_str(m, rig.guard, sizeof(rig.guard));
        break;
    case MSG_OVERDUE:
        rig.overdue++;
        rig.overdue_proc = (enum proc)rd_u8(&m->body);
        rig.overdue_index = rd_u32(&m->body);
        rig.overdue_generation = rd_u32(&m->body);
        break;
    case MSG_PIN_ASK:
        rig.least = rd_u32(&m->body);
        rig.most = rd_u32(&m->body);
        on_pin_ask();
        break;
    case MSG_PIN_SET:
        msg_get_err(m, &rig.pin_set);
        on_pin_set();
        break;
    case MSG_STATS:
        rig.stats_len = rd_left(&m->body);
        rd_copy(&m->body, rig.stats, rig.stats_len);
        break;
    default:
        fail_msg("the custodian says %s to the parent", msg_name(m->type));
    }
    msg_end(m, &rig.parent);
}

static void on_key(struct end *e, struct msg *m)
{
    struct table_key key;
    struct err done = {.code = ERR_NONE};
    uint64_t version = rd_u64(&m->body);

    table_get_msg(m, &key);
    msg_end(m, &e->chan);
    assert_int_equal(version, key.version);
    assert_non_null(table_put(&e->table, &key));
    e->keys++;
    e->told_at = clock_us();
    if (e->mute)
        return;
    chan_put(&e->chan, MSG_KEY_DONE);
    put_u64(&e->chan, version);
    put_raw(&e->chan, key.id, sizeof(key.id));
    put_err(&e->chan, &done);
    chan_end(&e->chan);
}

static void on_answer(struct end *e, struct msg *m)
{
    struct err err = {.code = ERR_NONE};
    size_t len;

    uint64_t call = rd_u64(&m->body);
    const uint8_t *packed = msg_get_bytes(m, &len);
    msg_end(m, &e->chan);
    assert_true(len <= FRAME_CAP_CONTROL);
    if (rig.aside && call == rig.aside) {
        rig.aside_answers++;
        return;
    }
    arena_reset(&rig.arena);
    rig.answer = frame_decode(&rig.arena, packed, len, &err);
    must(rig.answer && !err.code, &err);
    if (rig.hears) {
        bool refused = rig.answer->body_case == KEYD__V1__ENVELOPE__BODY_ERROR;
        size_t len_now = strlen(rig.order);

        snprintf(rig.order + len_now, sizeof(rig.order) - len_now, "%d%s", (int)(call % 10),
                 refused ? "!" : "");
        rig.heard++;
        return;
    }
    assert_int_equal(call, rig.next_call);
    assert_int_equal(rig.answer->id, rig.next_call + 1000);
}

void rig_benched(struct end *e, uint32_t run, uint32_t ms, uint32_t per_second)
{
    static const struct err none = {.code = ERR_NONE};
    struct histogram took = {0};

    for (uint32_t i = 0; i < per_second * ms / 1000; i++)
        histogram_add(&took, 50);
    chan_put(&e->chan, MSG_BENCHED);
    put_u32(&e->chan, run);
    put_err(&e->chan, &none);
    put_u64(&e->chan, 100);
    put_u64(&e->chan, ms * 1000ull);
    tally_put_took(&e->chan, &took);
    chan_end(&e->chan);
}

static void on_bench(struct end *e, struct msg *m)
{
    uint32_t run = rd_u32(&m->body);

    e->bench_type = rd_u8(&m->body);
    uint32_t ms = rd_u32(&m->body);
    msg_end(m, &e->chan);
    e->benches++;
    if (e->on_bench)
        e->on_bench(e, ms);
    if (e->chan.fd >= 0)
        rig_benched(e, run, ms, 1000);
}

static void read_end(struct end *e)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&e->chan, &err);

    while (chan_next(&e->chan, &m)) {
        if (m.type == MSG_ACCESS) {
            on_gate_access(e, &m);
        } else if (m.type == MSG_KEY) {
            on_key(e, &m);
        } else if (m.type == MSG_BENCH) {
            on_bench(e, &m);
        } else if (m.type == MSG_LEAVE) {
            msg_end(&m, &e->chan);
            e->leave = true;
        } else {
            on_answer(e, &m);
        }
    }
    if (state != CHAN_OPEN)
        chan_close(&e->chan);
}

static void read_parent(void)
{
    struct msg m;
    struct err err;
    enum chan_state state = chan_read(&rig.parent, &err);

    while (chan_next(&rig.parent, &m))
        on_parent_msg(&m);
    if (state != CHAN_OPEN) {
        rig.over = true;
        chan_close(&rig.parent);
    }
}

/* A custodian that is gone shows when the channel is read. */
static void flush(struct chan *c)
{
    if (c->fd >= 0 && !chan_flush(c))
        return;
}

static void flush_all(void)
{
    flush(&rig.parent);
    for (size_t i = 0; i < ENDS_MAX; i++)
        flush(&rig.ends[i].chan);
}

static void pump_once(int ms)
{
    struct pollfd fds[ENDS_MAX + 2];

    flush_all();
    for (size_t i = 0; i < ENDS_MAX; i++)
        fds[i] = (struct pollfd){.fd = rig.ends[i].chan.fd, .events = POLLIN};
    fds[ENDS_MAX] = (struct pollfd){.fd = rig.parent.fd, .events = POLLIN};
    fds[ENDS_MAX + 1] = (struct pollfd){.fd = rig_tracer.fd, .events = POLLIN};
    if (poll(fds, ENDS_MAX + 2, ms) <= 0)
        return;
    if (fds[ENDS_MAX + 1].revents)
        rig_tracer.look(rig.pid);
    for (size_t i = 0; i < ENDS_MAX; i++)
        if (fds[i].revents)
            read_end(&rig.ends[i]);
    if (fds[ENDS_MAX].revents)
        read_parent();
    flush_all();
}

void rig_pump(int ms, const bool *flag)
{
    uint64_t until = clock_us() + (uint64_t)ms * 1000;

    while (!(flag && *flag) && !rig.over && clock_us() < until)
        pump_once(clock_wait_ms(until));
}

void rig_connect(size_t i, enum proc proc, uint32_t index, uint32_t generation)
{
    struct end *e = &rig.ends[i];
    int ends[2];
    struct err err;

    chan_close(&e->chan);
    table_free(&e->table);
    access_free(&e->access);
    *e = (struct end){.chan = {.fd = -1}};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    must(chan_open(&e->chan, ends[0], proc, PROC_CUSTODIAN, 0, 0, &err), &err);
    chan_put(&rig.parent, MSG_PEER);
    put_u8(&rig.parent, (uint8_t)proc);
    put_u32(&rig.parent, index);
    put_u32(&rig.parent, generation);
    assert_true(chan_end_fds(&rig.parent, &ends[1], 1));
    close(ends[1]);
}

/* ---- requests */

void rig_ask(envelope *request, enum role role, uint32_t deadline_ms)
{
    rig_ask_as(request, role, (uint32_t)getuid(), deadline_ms);
}

void rig_ask_as(envelope *request, enum role role, uint32_t number, uint32_t deadline_ms)
{
    struct principal who = {.role = role};

    snprintf(who.name, sizeof(who.name), "p%u", number);
    rig_ask_who(request, &who, deadline_ms);
}

void rig_ask_who(envelope *request, const struct principal *who, uint32_t deadline_ms)
{
    struct chan *c = &rig.ends[0].chan;
    size_t len;

    rig.answer = NULL;
    rig.next_call++;
    request->id = rig.next_call + 1000;
    len = keyd__v1__envelope__get_packed_size(request);
    AUTO_FREE uint8_t *packed = mem_new(len);
    assert_non_null(packed);
    keyd__v1__envelope__pack(request, packed);
    chan_put(c, MSG_REQUEST);
    put_u64(c, rig.next_call);
    put_str(c, who->name);
    put_u32(c, who->role);
    put_str(c, who->tenant);
    put_u32(c, deadline_ms);
    put_bytes(c, packed, len);
    chan_end(c);
    flush(c);
}

void rig_hear(size_t n)
{
    uint64_t until = clock_us() + WAIT_MS * 1000;

    rig.hears = true;
    rig.heard = 0;
    rig.order[0] = 0;
    while (rig.heard < n && !rig.over && clock_us() < until)
        pump_once(clock_wait_ms(until));
    rig.hears = false;
}

const envelope *rig_answer(void)
{
    uint64_t until = clock_us() + WAIT_MS * 1000;

    while (!rig.answer && !rig.over && clock_us() < until)
        pump_once(clock_wait_ms(until));
    return rig.answer;
}

const envelope *rig_call(envelope *request, Keyd__V1__Envelope__BodyCase want)
{
    rig_ask(request, ROLE_OPERATOR, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    if (answer->body_case == KEYD__V1__ENVELOPE__BODY_ERROR && answer->body_case != want)
        fail_msg("refused: %s (%s)", answer->error->message, answer->error->hint);
    assert_int_equal(answer->body_case, want);
    return answer;
}

const Keyd__V1__Error *rig_refused(envelope *request, enum err_code code, const char *word)
{
    const Keyd__V1__Error *error = rig_call(request, KEYD__V1__ENVELOPE__BODY_ERROR)->error;

    if ((int)error->code != (int)code || !strstr(error->message, word))
        fail_msg("expected %s with \"%s\", got %s: %s", err_name(code), word,
                 err_name((enum err_code)error->code), error->message);
    return error;
}

void rig_stats(uint32_t figures[3], char *words, size_t size)
{
    uint64_t until = clock_us() + WAIT_MS * 1000;
    size_t at = 0;

    rig.stats_len = 0;
    chan_put(&rig.parent, MSG_STATUS_ASK);
    put_u64(&rig.parent, 77);
    chan_end(&rig.parent);
    while (!rig.stats_len && !rig.over && clock_us() < until)
        pump_once(clock_wait_ms(until));
    struct msg m = {.body = rd_of(rig.stats, rig.stats_len)};
    assert_int_equal(rd_u64(&m.body), 77);
    assert_int_equal(rd_u8(&m.body), PROC_CUSTODIAN);
    assert_int_equal(rd_u32(&m.body), 0);
    for (size_t i = 0; i < 3; i++)
        figures[i] = rd_u32(&m.body);
    for (uint32_t list = 0; list < 3; list++) {
        uint32_t n = list == 0 ? 5 : rd_u32(&m.body); /* token; key types; notes */
        for (; n > 0; n--) {
            char word[300];
            msg_get_str(&m, word, sizeof(word));
            at += (size_t)snprintf(words + at, size - at, "%s\n", word);
            assert_true(at < size);
        }
    }
    assert_true(rd_end(&m.body));
}

/* ---- shorthands */

void rig_tenant(const char *name)
{
    Keyd__V1__TenantsAdd body = KEYD__V1__TENANTS_ADD__INIT;
    REQUEST(e, TENANTS_ADD, tenants_add, &body);

    body.tenant = (char *)name;
    rig_call(&e, KEYD__V1__ENVELOPE__BODY_TENANTS_ADD_REPLY);
}

const Keyd__V1__Key *rig_generate(const char *tenant, const char *name, enum key_type type,
                                  uint32_t purposes)
{
    Keyd__V1__KeysGenerate body = KEYD__V1__KEYS_GENERATE__INIT;
    REQUEST(e, KEYS_GENERATE, keys_generate, &body);

    body.tenant = (char *)tenant;
    body.name = (char *)name;
    body.type = (Keyd__V1__KeyType)type;
    body.purposes = purposes;
    return rig_call(&e, KEYD__V1__ENVELOPE__BODY_KEYS_GENERATE_REPLY)->keys_generate_reply->key;
}

const Keyd__V1__Key *rig_show(const char *key)
{
    Keyd__V1__KeysShow body = KEYD__V1__KEYS_SHOW__INIT;
    REQUEST(e, KEYS_SHOW, keys_show, &body);

    body.key = (char *)key;
    rig_ask(&e, ROLE_OPERATOR, WAIT_MS);
    const envelope *answer = rig_answer();
    assert_non_null(answer);
    return answer->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_SHOW_REPLY
               ? answer->keys_show_reply->key
               : NULL;
}

static int count_private_keys(void *arg)
{
    struct token *t = NULL;
    struct secret pin = {.bytes = NULL};
    struct err err = {.code = ERR_NONE};
    struct token_private *list = NULL;
    size_t count = 0;
    char path[300];

    (void)arg;
    snprintf(path, sizeof(path), "%s/user.pin", rig.state);
    if (!secret_read_file(&pin, path, 64, &err) ||
        !token_open(&t, rig.uri, rig.state, false, &err) || !token_login(t, &pin, &err) ||
        !token_list_private(t, &list, &count, &err)) {
        complain(&err);
        return 255;
    }
    mem_free(list);
    token_close(t);
    return (int)count;
}

unsigned rig_private_keys(void)
{
    return (unsigned)in_child(count_private_keys, NULL);
}
