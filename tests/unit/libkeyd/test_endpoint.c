/* SPDX-License-Identifier: Apache-2.0
 *
 * Finding keyd's socket: from where the program began, and from where it is now.
 */
#include <grp.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/libkeyd/fixture.h"

#define NOBODY 65534

static void test_paths(void **state)
{
    static char longest[108], too_long[109];
    struct {
        const char *path;
        int code;
    } rows[] = {
        {NULL, KEYD_OK}, /* the system's */
        {"/tmp/no-such-directory/keyd.sock", KEYD_OK},
        {"/keyd.sock", KEYD_OK},
        {longest, KEYD_OK},
        {too_long, KEYD_BAD_REQUEST},
        {"keyd.sock", KEYD_BAD_REQUEST},
        {"./keyd.sock", KEYD_BAD_REQUEST},
        {"", KEYD_BAD_REQUEST},
        {"/", KEYD_BAD_REQUEST},
        {"/run/keyd/", KEYD_BAD_REQUEST},
    };

    (void)state;
    memset(longest, 'x', 107);
    memset(too_long, 'x', 108);
    longest[0] = too_long[0] = '/';
    for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
        struct keyd_client *c = NULL;
        struct keyd_error error = {0};

        if (keyd_client_new(&c, rows[i].path, 0, NULL, &error) != rows[i].code)
            fail_msg("%s: %d %s", rows[i].path, error.code, error.message);
        assert_int_equal(c != NULL, rows[i].code == KEYD_OK);
        keyd_client_free(c);
    }
}

/* ---- in a child, which may change its root, its user and its directory */

static bool drop_to_nobody(void)
{
    return setgroups(0, NULL) == 0 && setgid(NOBODY) == 0 && setuid(NOBODY) == 0;
}

static bool says(struct keyd_client *c, const char *what)
{
    struct keyd_error error = {0};

    if (keyd_ping(c, &error) != KEYD_UNAVAILABLE || !strstr(error.message, what) ||
        !strstr(error.message, "keyd.sock") || !error.hint[0]) {
        fprintf(stderr, "said: %d %s; %s\n", error.code, error.message, error.hint);
        return false;
    }
    return true;
}

/* Nothing is forbidden to root. */
static int sees_no_permission(void *c)
{
    if (geteuid() == 0 && !drop_to_nobody())
        return 2;
    return says(c, "has no permission") ? 0 : 3;
}

static void test_why_not(void **state)
{
    struct keyd_client *c = NULL, *patient = NULL;
    char dir[108], path[108];

    (void)state;
    snprintf(dir, sizeof(dir), "%s", scratch_path("later"));
    snprintf(path, sizeof(path), "%s", scratch_path("later/keyd.sock"));
    assert_int_equal(keyd_client_new(&c, path, 150, NULL, NULL), KEYD_OK);
    assert_int_equal(keyd_client_new(&patient, path, LATE_MS, NULL, NULL), KEYD_OK);
    assert_true(says(c, "there is no directory for the socket"));
    assert_int_equal(mkdir(dir, 0700), 0);
    assert_true(says(c, "there is no socket"));
    struct server *s = server_start(path, NULL);
    assert_int_equal(keyd_ping(patient, NULL), KEYD_OK);
    keyd_client_free(patient);
    /* A socket that others may not write to, in a directory that they may search. */
    assert_int_equal(chmod(scratch_dir(), 0755) | chmod(dir, 0755) | chmod(path, 0), 0);
    in_child(sees_no_permission, c);
    assert_int_equal(chmod(path, 0600), 0);
    server_stop(s, false);
    assert_true(says(c, "nobody listens"));
    keyd_client_free(c);
}

/* ---- from the anchor */

struct place {
    dev_t dev;
    ino_t ino;
};

static bool here(struct place *ret)
{
    struct stat st;

    if (stat(".", &st) != 0)
        return false;
    *ret = (struct place){.dev = st.st_dev, .ino = st.st_ino};
    return true;
}

static int signs_and_stays(void *c)
{
    struct place before, after;

    for (int i = 0; i < 3; i++)
        if (!here(&before) || sign_once(c, NULL) != KEYD_OK || !here(&after) ||
            before.dev != after.dev || before.ino != after.ino)
            return 4;
    return 0;
}

/* Without root: the directory moves away, so that the plain path leads nowhere. */
static void test_moved_directory(void **state)
{
    struct keyd_client *c = NULL;
    char before[108], after[108], path[108];

    (void)state;
    snprintf(before, sizeof(before), "%s", scratch_path("before"));
    snprintf(after, sizeof(after), "%s", scratch_path("after"));
    snprintf(path, sizeof(path), "%s", scratch_path("before/keyd.sock"));
    assert_int_equal(mkdir(before, 0700), 0);
    struct server *s = server_start(path, NULL);
    assert_int_equal(keyd_client_new(&c, path, LATE_MS, NULL, NULL), KEYD_OK);
    assert_int_equal(rename(before, after), 0);
    in_child(signs_and_stays, c);
    assert_int_equal(signs_and_stays(c), 0);
    /* Another directory in its place, as in a chroot that has one: the anchor still counts. */
    assert_int_equal(mkdir(before, 0700), 0);
    in_child(signs_and_stays, c);
    keyd_client_free(c);
    server_stop(s, false);
}

/* ---- the thread's working directory */

struct walker {
    struct keyd_client *client;
    sem_t called, moved;
    char cwd[512];
};

static void *call_and_look(void *arg)
{
    struct walker *w = arg;

    (void)keyd_ping(w->client, NULL);
    sem_post(&w->called);
    sem_wait(&w->moved);
    if (!getcwd(w->cwd, sizeof(w->cwd)))
        w->cwd[0] = 0;
    return NULL;
}

/* While the path leads to the anchor the thread's working directory stays the process's, whether
 * keyd is there or not. */
static void test_nothing_unshared_without_need(void **state)
{
    struct walker w = {0};
    char before[512], moved[512];
    pthread_t id;

    (void)state;
    assert_non_null(getcwd(before, sizeof(before)));
    for (int with_keyd = 0; with_keyd < 2; with_keyd++) {
        struct server *s = with_keyd ? new_server(NULL) : NULL;

        w.client = new_client(200);
        sem_init(&w.called, 0, 0);
        sem_init(&w.moved, 0, 0);
        assert_int_equal(pthread_create(&id, NULL, call_and_look, &w), 0);
        sem_wait(&w.called);
        assert_int_equal(chdir(scratch_dir()), 0);
        assert_non_null(getcwd(moved, sizeof(moved)));
        sem_post(&w.moved);
        pthread_join(id, NULL);
        assert_int_equal(chdir(before), 0);
        assert_string_equal(w.cwd, moved);
        keyd_client_free(w.client);
        if (s)
            server_stop(s, true);
    }
}

/* As HAProxy's worker: root directory, user, limit on processes; then the first signature. */
static int as_haproxy(void *c)
{
    struct rlimit none = {0, 0};

    if (chroot(scratch_path("empty")) != 0 || chdir("/") != 0 || !drop_to_nobody() ||
        setrlimit(RLIMIT_NPROC, &none) != 0)
        return 5;
    if (access("/tmp", F_OK) == 0)
        return 6;
    return signs_and_stays(c);
}

static void *as_a_thread(void *arg)
{
    return signs_and_stays(arg) == 0 ? arg : NULL;
}

/* The threads were there before: each connects for itself in the chroot. */
static int in_threads(void *c)
{
    pthread_t ids[4];
    int failed = 0;

    if (chroot(scratch_path("empty")) != 0 || chdir("/") != 0 || !drop_to_nobody())
        return 5;
    for (int i = 0; i < 4; i++)
        if (pthread_create(&ids[i], NULL, as_a_thread, c) != 0)
            return 7;
    for (int i = 0; i < 4; i++) {
        void *ok = NULL;

        pthread_join(ids[i], &ok);
        failed += ok == NULL;
    }
    return failed;
}

static bool dies_on_threads_after_fork(void)
{
#ifdef __SANITIZE_THREAD__
    return true; /* its runtime ends a process that starts threads after such a fork */
#else
    return false;
#endif
}

static void test_chroot(void **state)
{
    struct keyd_client *c = NULL;
    char path[108];

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: only root may chroot\n");
        skip();
    }
    assert_int_equal(mkdir(scratch_path("run"), 0755), 0);
    assert_int_equal(mkdir(scratch_path("empty"), 0755), 0);
    assert_int_equal(chmod(scratch_dir(), 0755), 0);
    snprintf(path, sizeof(path), "%s", scratch_path("run/keyd.sock"));
    struct server *s = server_start(path, NULL);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(keyd_client_new(&c, path, LATE_MS, NULL, NULL), KEYD_OK);
    in_child(as_haproxy, c);
    if (!dies_on_threads_after_fork())
        in_child(in_threads, c);
    /* keyd's restart makes a new socket in the same directory. */
    server_stop(s, true);
    s = server_start(path, NULL);
    assert_int_equal(chmod(path, 0666), 0);
    in_child(as_haproxy, c);
    keyd_client_free(c);
    server_stop(s, true);
}

/* The last directory is private, the way to it too: what root had opened still leads there. */
static int behind_a_closed_door(void *c)
{
    return drop_to_nobody() && chdir("/") == 0 ? signs_and_stays(c) : 5;
}

static void test_change_of_user(void **state)
{
    struct keyd_client *c = NULL;
    char path[108];

    (void)state;
    if (geteuid() != 0) {
        print_message("needs root: only root may become somebody else\n");
        skip();
    }
    assert_int_equal(mkdir(scratch_path("closed"), 0755), 0);
    assert_int_equal(mkdir(scratch_path("closed/open"), 0755), 0);
    snprintf(path, sizeof(path), "%s", scratch_path("closed/open/keyd.sock"));
    struct server *s = server_start(path, NULL);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(keyd_client_new(&c, path, LATE_MS, NULL, NULL), KEYD_OK);
    assert_int_equal(chmod(scratch_path("closed"), 0700), 0);
    in_child(behind_a_closed_door, c);
    keyd_client_free(c);
    server_stop(s, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_why_not),
        cmocka_unit_test(test_moved_directory),
        cmocka_unit_test(test_nothing_unshared_without_need),
        cmocka_unit_test(test_chroot),
        cmocka_unit_test(test_change_of_user),
    };

    return cmocka_run_group_tests(tests, NULL, fixture_done);
}
