/* SPDX-License-Identifier: Apache-2.0
 *
 * Threads and forks: nobody waits for a lock, nobody reads another's answer, and a child never
 * touches the connections of its parent.
 */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/libkeyd/fixture.h"

#define THREADS 8
#define CALLS   100

struct work {
    struct keyd_client *client;
    int calls;
    atomic_bool *stop; /* NULL: do all calls */
    int failed;
};

static void *sign_many(void *arg)
{
    struct work *w = arg;

    for (int i = 0; i < w->calls && !(w->stop && atomic_load(w->stop)); i++)
        w->failed += sign_once(w->client, NULL) != KEYD_OK;
    return NULL;
}

static void run_threads(struct keyd_client *c, int threads, int calls)
{
    pthread_t ids[64];
    struct work work[64];

    for (int i = 0; i < threads; i++) {
        work[i] = (struct work){.client = c, .calls = calls};
        assert_int_equal(pthread_create(&ids[i], NULL, sign_many, &work[i]), 0);
    }
    for (int i = 0; i < threads; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(work[i].failed, 0);
    }
}

static void test_threads(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);

    (void)state;
    run_threads(c, THREADS, CALLS);
    assert_in_range(server_seen(s).connections, 1, THREADS);
    assert_int_equal(server_seen(s).requests, THREADS * CALLS);
    keyd_client_free(c);
    server_stop(s, true);
}

/* More calls at once than the pool has slots: all are served, the surplus is not kept. */
static void test_more_threads_than_slots(void **state)
{
    struct server *s = new_server(&(struct server_knobs){.delay_ms = 100});
    struct keyd_client *c = new_client(4 * LATE_MS);

    (void)state;
    run_threads(c, 48, 1);
    assert_int_equal(server_seen(s).requests, 48);
    for (int i = 0; i < 100 && server_seen(s).open > 32; i++)
        usleep(20000);
    assert_in_range(server_seen(s).open, 1, 32);
    keyd_client_free(c);
    server_stop(s, true);
}

/* ---- forks */

/* Connected sockets of this process whose peer is at the given path. */
static int sockets_to(const char *path)
{
    int count = 0;

    for (int fd = 0; fd < 1024; fd++) {
        struct sockaddr_un peer = {0};
        socklen_t len = sizeof(peer);

        if (getpeername(fd, (struct sockaddr *)&peer, &len) == 0 &&
            strncmp(peer.sun_path, path, sizeof(peer.sun_path)) == 0)
            count++;
    }
    return count;
}

struct child {
    struct keyd_client *client;
    const char *path;
    int inherited;
};

static int child_signs(void *arg)
{
    struct child *c = arg;

    if (sockets_to(c->path) != c->inherited)
        return 2;
    for (int i = 0; i < 5; i++)
        if (sign_once(c->client, NULL) != KEYD_OK)
            return 3;
    /* What it inherited is closed; what it has is its own. */
    return sockets_to(c->path) == 1 ? 0 : 4;
}

static void test_fork(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    struct child child = {.client = c, .path = path};
    in_child(child_signs, &child); /* before the first connection */
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    child.inherited = 1;
    in_child(child_signs, &child);
    in_child(child_signs, &child);
    /* The parent's connection has lived through it all. */
    uint32_t before = server_seen(s).connections;
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(server_seen(s).connections, before);
    keyd_client_free(c);
    server_stop(s, true);
}

static int child_frees(void *arg)
{
    struct child *c = arg;

    keyd_client_free(c->client);
    return sockets_to(c->path) == 0 ? 0 : 5;
}

static int child_signs_and_frees(void *arg)
{
    int failed = child_signs(arg);

    return failed ? failed : child_frees(arg);
}

/* nginx's workers run the provider's teardown: that must not end the parent's connection. */
static void test_free_in_a_child(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    struct child child = {.client = c, .path = path, .inherited = 1};
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    in_child(child_frees, &child);
    in_child(child_signs_and_frees, &child);
    uint32_t before = server_seen(s).connections;
    assert_int_equal(sign_once(c, NULL), KEYD_OK);
    assert_int_equal(server_seen(s).connections, before);
    keyd_client_free(c);
    server_stop(s, true);
}

static int grandchild(void *arg)
{
    pid_t pid = fork();
    int status;

    if (pid == 0)
        _exit(child_signs(arg));
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status))
        return 6;
    return WEXITSTATUS(status) ? WEXITSTATUS(status) : child_signs(arg);
}

static void *wait_in_vain(void *arg)
{
    struct work *w = arg;

    w->failed = sign_once(w->client, NULL) != KEYD_DEADLINE;
    return NULL;
}

/* At the fork other threads are in the middle of calls: what they use is closed in the child too.
 */
static void test_fork_in_mid_call(void **state)
{
    struct server *s = new_server(&(struct server_knobs){.silent = true});
    struct keyd_client *c = new_client(2500);
    struct child child = {.client = c, .inherited = 4};
    pthread_t ids[4];
    struct work work[4];
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    child.path = path;
    for (int i = 0; i < 4; i++) {
        work[i] = (struct work){.client = c};
        assert_int_equal(pthread_create(&ids[i], NULL, wait_in_vain, &work[i]), 0);
    }
    while (server_seen(s).requests < 4)
        usleep(1000);
    server_set(s, &(struct server_knobs){0}); /* new requests are answered, those four never */
    in_child(child_signs, &child);
    in_child(grandchild, &child);
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(work[i].failed, 0);
    }
    keyd_client_free(c);
    server_stop(s, true);
}

/* Not with AddressSanitizer, whose own allocator hangs in such a child: see in_child. */
#ifndef __SANITIZE_ADDRESS__
static int child_works(void *arg)
{
    struct child *c = arg;

    for (int i = 0; i < 3; i++)
        if (sign_once(c->client, NULL) != KEYD_OK)
            return 3;
    return sockets_to(c->path) == 1 ? 0 : 4;
}

/* Forks while other threads take, use and give back connections. */
static void test_fork_among_threads(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);
    atomic_bool stop = false;
    pthread_t ids[4];
    struct work work[4];
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    for (int i = 0; i < 4; i++) {
        work[i] = (struct work){.client = c, .calls = 1000000, .stop = &stop};
        assert_int_equal(pthread_create(&ids[i], NULL, sign_many, &work[i]), 0);
    }
    while (server_seen(s).open < 2) /* the threads have their connections */
        usleep(1000);
    usleep(50000);
    for (int i = 0; i < 25; i++)
        in_child(child_works, &(struct child){.client = c, .path = path});
    atomic_store(&stop, true);
    for (int i = 0; i < 4; i++) {
        pthread_join(ids[i], NULL);
        assert_int_equal(work[i].failed, 0);
    }
    keyd_client_free(c);
    server_stop(s, true);
}
#endif

/* A daemon that closes every descriptor it does not know must not get our bytes into its files. */
static int child_closes_everything(void *arg)
{
    struct child *c = arg;
    int fds[32];
    struct stat st;

    if (child_signs(arg) != 0)
        return 7;
    for (int fd = 3; fd < 1024; fd++)
        close(fd);
    for (size_t i = 0; i < 32; i++) {
        fds[i] = open(scratch_path("innocent"), O_CREAT | O_RDWR | O_APPEND, 0600);
        if (fds[i] < 0)
            return 8;
    }
    if (sign_once(c->client, NULL) != KEYD_OK)
        return 9;
    keyd_client_free(c->client);
    for (size_t i = 0; i < 32; i++)
        if (fstat(fds[i], &st) != 0 || !S_ISREG(st.st_mode) || st.st_size != 0)
            return 10; /* closed or written by us */
    return 0;
}

static void test_closed_behind_our_back(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    in_child(child_closes_everything, &(struct child){.client = c, .path = path});
    keyd_client_free(c);
    server_stop(s, true);
}

/* Without stdin, stdout and stderr our socket must not become one of them. */
static int child_without_stdio(void *arg)
{
    struct child *c = arg;
    struct stat st;

    for (int fd = 0; fd < 3; fd++)
        close(fd);
    if (child_signs(arg) != 0)
        return 7;
    for (int fd = 0; fd < 3; fd++)
        if (fstat(fd, &st) == 0)
            return 8;
    keyd_client_free(c->client);
    return 0;
}

static void test_without_stdio(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(4 * LATE_MS);
    char path[108];

    (void)state;
    snprintf(path, sizeof(path), "%s", scratch_path("keyd.sock"));
    in_child(child_without_stdio, &(struct child){.client = c, .path = path});
    keyd_client_free(c);
    server_stop(s, true);
}

/* A server that is gone must cost an error, not a SIGPIPE. */
static void test_no_sigpipe(void **state)
{
    struct server *s = new_server(NULL);
    struct keyd_client *c = new_client(LATE_MS);

    (void)state;
    assert_ptr_equal(signal(SIGPIPE, SIG_DFL), SIG_DFL);
    for (int i = 0; i < 5; i++) {
        server_set(s, &(struct server_knobs){.drop = 2});
        assert_int_equal(sign_once(c, NULL), KEYD_OK);
    }
    server_stop(s, true);
    assert_int_equal(keyd_tenants_add(c, "acme", NULL), KEYD_UNAVAILABLE);
    keyd_client_free(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads),
        cmocka_unit_test(test_more_threads_than_slots),
        cmocka_unit_test(test_fork),
        cmocka_unit_test(test_free_in_a_child),
        cmocka_unit_test(test_fork_in_mid_call),
#ifndef __SANITIZE_ADDRESS__
        cmocka_unit_test(test_fork_among_threads),
#endif
        cmocka_unit_test(test_closed_behind_our_back),
        cmocka_unit_test(test_without_stdio),
        cmocka_unit_test(test_no_sigpipe),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
