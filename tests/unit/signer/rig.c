/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/signer/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/signer/signer.h"

#define CHAN_FD 3
#define WAIT_MS 20000

void rig_child(int argc, char **argv)
{
    struct chan parent;
    struct err err;

    if (argc < 2 || strcmp(argv[1], "--signer") != 0)
        return;
    signal(SIGPIPE, SIG_IGN);
    log_init("signer 7");
    if (!sandbox_basics(true, &err) ||
        !chan_open(&parent, CHAN_FD, PROC_SIGNER, PROC_PARENT, 0, 0, &err))
        _exit(2);
    _exit(signer_main(&parent));
}

struct rig rig_spawn(const char *mode)
{
    struct rig r = {.parent = {.fd = -1}, .gate = {.fd = -1}, .custodian = {.fd = -1}};
    char *argv[] = {(char *)(uintptr_t)mode, (char *)(uintptr_t)mode, NULL};
    struct err err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    r.pid = fork();
    assert_true(r.pid >= 0);
    if (r.pid == 0) {
        int fd = fcntl(ends[1], F_DUPFD, 10);

        dup2(fd, CHAN_FD);
        close_range(CHAN_FD + 1, ~0u, 0);
        execv("/proc/self/exe", argv);
        _exit(72);
    }
    close(ends[1]);
    must(chan_open(&r.parent, ends[0], PROC_PARENT, PROC_SIGNER, 0, 0, &err), &err);
    return r;
}

void rig_start(struct rig *r, const char *uri, const char *pin)
{
    int ends[2];

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    assert_int_equal(write(ends[1], pin, strlen(pin)), strlen(pin));
    close(ends[1]);
    chan_put(&r->parent, MSG_START);
    put_u32(&r->parent, 7);
    put_str(&r->parent, uri);
    put_str(&r->parent, state_dir);
    put_u8(&r->parent, true); /* without Landlock in the kernel this test is about the rest */
    assert_true(chan_end_fds(&r->parent, ends, 1));
    close(ends[0]);
}

void rig_table(struct rig *r, const struct table *t)
{
    struct err err;
    int fd;

    must(table_to_fd(t, &fd, &err), &err);
    chan_put(&r->parent, MSG_TABLE);
    put_u64(&r->parent, t->version);
    assert_true(chan_end_fds(&r->parent, &fd, 1));
    close(fd);
}

void rig_peer(struct rig *r, struct chan *c, enum proc proc, uint32_t generation)
{
    struct err err;
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    chan_put(&r->parent, MSG_PEER);
    put_u8(&r->parent, (uint8_t)proc);
    put_u32(&r->parent, 0);
    put_u32(&r->parent, generation);
    assert_true(chan_end_fds(&r->parent, &ends[1], 1));
    close(ends[1]);
    chan_close(c);
    must(chan_open(c, ends[0], proc, PROC_SIGNER, 0, 0, &err), &err);
}

struct rig rig_up(const char *uri, const struct table *t)
{
    struct rig r = rig_spawn("--signer");

    rig_start(&r, uri, PIN);
    rig_table(&r, t);
    struct msg m = rig_expect(&r.parent, MSG_READY);
    msg_end(&m, &r.parent);
    rig_peer(&r, &r.gate, PROC_GATE_SIGNING, 1);
    rig_peer(&r, &r.custodian, PROC_CUSTODIAN, 1);
    return r;
}

struct msg rig_next(struct chan *c)
{
    struct msg m;
    struct err err = {0};

    while (!chan_next(c, &m)) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        assert_true(chan_flush(c));
        if (poll(&p, 1, WAIT_MS) != 1)
            fail_msg("no message came");
        if (chan_read(c, &err) != CHAN_OPEN)
            fail_msg("the channel ended: %s", err.text);
    }
    return m;
}

struct msg rig_expect(struct chan *c, enum msg_type type)
{
    struct msg m = rig_next(c);
    struct err err = {0};

    if (m.type == MSG_FAILED && type != MSG_FAILED) {
        msg_get_err(&m, &err);
        fail_msg("the signer failed: %s: %s", err_name(err.code), err.text);
    }
    if (m.type != type)
        fail_msg("%s came, not %s", msg_name(m.type), msg_name(type));
    return m;
}

int rig_wait(struct rig *r)
{
    int status;

    assert_int_equal(waitpid(r->pid, &status, 0), r->pid);
    chan_close(&r->parent);
    chan_close(&r->gate);
    chan_close(&r->custodian);
    return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void rig_down(struct rig *r)
{
    chan_put(&r->parent, MSG_DRAIN);
    chan_end(&r->parent);
    assert_true(chan_flush(&r->parent));
    assert_int_equal(rig_wait(r), 0);
}

bool rig_eof(struct chan *c)
{
    struct err err;

    for (;;) {
        struct pollfd p = {.fd = c->fd, .events = POLLIN};

        if (poll(&p, 1, WAIT_MS) != 1)
            return false;
        if (chan_read(c, &err) != CHAN_OPEN)
            return true;
    }
}

struct table_key rig_make_key(struct token *t, enum key_type type, const char *cka_id,
                              uint32_t purposes, token_handle *ret_handle)
{
    struct table_key key = {.type = (uint8_t)type,
                            .state = KEY_ENABLED,
                            .version = 1,
                            .purposes = purposes,
                            .cka_id_len = strlen(cka_id)};
    token_handle handle;
    struct err err;

    memcpy(key.cka_id, cka_id, key.cka_id_len);
    must(token_generate(t, type, key.cka_id, key.cka_id_len, "keyd/test/key", true, &handle,
                        key.spki, &key.spki_len, &err),
         &err);
    assert_true(key_id_of(key.spki, key.spki_len, key.id));
    if (ret_handle)
        *ret_handle = handle;
    return key;
}
