/* SPDX-License-Identifier: Apache-2.0
 *
 * A thief in a signer: a process that has gone through start_up, on a real token, tries one
 * forbidden thing after another, each in a process of its own. Nothing may come of it: the kernel
 * refuses the call or ends the process, and the token is what it was.
 */
#include "keyd/signer/start.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/token/internal.h"
#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"
#include "tests/unit/signer/rig.h"

#define REFUSED 42 /* an error came back */
#define DONE    43 /* it worked */
#define BROKEN  44 /* the process did not get so far */
#define TRAPPED 71 /* the sandbox ended the process */

/* ---- the thief's process: argv is "--thief", attempt, path of token.object */

static struct signer thief;
static const char *object_path;
static char folder[512], beside[600];

static long try_open(int flags)
{
    return open(object_path, flags | O_CLOEXEC, 0600);
}

static long try_read(void)
{
    char c;
    int fd = (int)try_open(O_RDONLY);

    return fd < 0 ? -1 : read(fd, &c, 1) == 1 ? 0 : -1;
}

static long try_write(void)
{
    return try_open(O_RDWR);
}

static long try_truncating_open(void)
{
    return try_open(O_WRONLY | O_TRUNC);
}

static long try_read_truncating_open(void)
{
    return try_open(O_RDONLY | O_TRUNC);
}

static long try_create(void)
{
    return open(beside, O_WRONLY | O_CREAT, 0600);
}

static long try_truncate(void)
{
    return truncate(object_path, 0);
}

static long try_ftruncate(void)
{
    return ftruncate((int)try_open(O_RDONLY), 0);
}

static long try_chmod(void)
{
    return chmod(object_path, 0666);
}

static long try_fchmod(void)
{
    return fchmod((int)try_open(O_RDONLY), 0666);
}

static long try_chown(void)
{
    return chown(object_path, 1, 1);
}

static long try_unlink(void)
{
    return unlink(object_path);
}

static long try_rename(void)
{
    return rename(object_path, beside);
}

static long try_mkdir(void)
{
    return mkdir(beside, 0700);
}

static long try_link(void)
{
    return link(object_path, beside);
}

static long try_symlink(void)
{
    return symlink("/etc/passwd", beside);
}

static long try_utimens(void)
{
    return utimensat(AT_FDCWD, object_path, NULL, 0);
}

static long try_xattr(void)
{
    return setxattr(object_path, "user.x", "y", 1, 0);
}

static long try_socket(void)
{
    return socket(AF_INET, SOCK_STREAM, 0);
}

static long try_exec(void)
{
    return execl("/bin/true", "true", NULL);
}

static long try_fork(void)
{
    return fork();
}

static long try_io_uring(void)
{
    char params[256] = {0};

    return syscall(SYS_io_uring_setup, 4, params);
}

static long try_ptrace(void)
{
    return syscall(SYS_ptrace, 16 /* PTRACE_ATTACH */, getppid(), 0, 0);
}

static long try_read_elsewhere(void)
{
    return open("/etc/passwd", O_RDONLY | O_CLOEXEC);
}

static long try_destroy(void)
{
    CK_FUNCTION_LIST *p11 = thief.token->p11;
    CK_SESSION_HANDLE session;
    token_handle key;
    struct err err;

    if (!token_find_private(thief.token, (const uint8_t *)"victim", 6, &key, &err))
        return -1;
    if (p11->C_OpenSession(thief.token->slot, CKF_SERIAL_SESSION | CKF_RW_SESSION, NULL, NULL,
                           &session) != CKR_OK)
        return -1;
    return p11->C_DestroyObject(session, key) == CKR_OK ? 0 : -1;
}

static long try_generate(void)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len;
    token_handle key;
    struct err err;

    return token_generate(thief.token, KEY_TYPE_EC_P256, (const uint8_t *)"t", 1, "t", true, &key,
                          spki, &len, &err)
               ? 0
               : -1;
}

static long try_sign(void)
{
    token_handle key;
    uint8_t sig[SIGNATURE_MAX] = {0};
    size_t len = sizeof(sig);
    struct err err;

    return token_find_private(thief.token, (const uint8_t *)"victim", 6, &key, &err) &&
                   token_sign(thief.token, key, scheme_by_code(0x0403), sig, 10, sig, &len, &err)
               ? 0
               : -1;
}

enum allowed { NO, YES, NO_BY_LANDLOCK };

static const struct {
    const char *name;
    long (*run)(void);
    enum allowed allowed;
} attempts[] = {
    {"read token.object", try_read, YES},
    {"sign", try_sign, YES},
    {"open for writing", try_write, NO},
    {"open and truncate", try_truncating_open, NO},
    {"open for reading and truncate", try_read_truncating_open, NO},
    {"create a file", try_create, NO},
    {"truncate", try_truncate, NO},
    {"ftruncate", try_ftruncate, NO},
    {"chmod", try_chmod, NO},
    {"fchmod", try_fchmod, NO},
    {"chown", try_chown, NO},
    {"unlink", try_unlink, NO},
    {"rename", try_rename, NO},
    {"mkdir", try_mkdir, NO},
    {"link", try_link, NO},
    {"symlink", try_symlink, NO},
    {"utimensat", try_utimens, NO},
    {"setxattr", try_xattr, NO},
    {"socket", try_socket, NO},
    {"exec", try_exec, NO},
    {"fork", try_fork, NO},
    {"io_uring", try_io_uring, NO},
    {"ptrace", try_ptrace, NO},
    {"C_DestroyObject", try_destroy, NO},
    {"C_GenerateKeyPair", try_generate, NO},
    {"read another file", try_read_elsewhere, NO_BY_LANDLOCK},
};

static bool take_start(struct chan *parent, struct msg *m)
{
    struct err err;

    while (!chan_next(parent, m)) {
        struct pollfd p = {.fd = parent->fd, .events = POLLIN};

        if (poll(&p, 1, 10000) != 1 || chan_read(parent, &err) != CHAN_OPEN)
            return false;
    }
    return m->type == MSG_START;
}

static _Noreturn void be_thief(size_t attempt)
{
    struct chan parent;
    struct msg m;
    struct err err = {0};

    log_init("thief");
    thief.parent = &parent;
    if (!sandbox_basics(true, &err) ||
        !chan_open(&parent, 3, PROC_SIGNER, PROC_PARENT, 0, 0, &err) || !take_start(&parent, &m) ||
        !start_up(&thief, &m, &err)) {
        log_line(LOG_LEVEL_ERROR, "%s", err.text);
        _exit(BROKEN);
    }
    _exit(attempts[attempt].run() >= 0 ? DONE : REFUSED);
}

/* ---- the test's process */

static char guarded[512];
static uint8_t before[1024];
static size_t before_len;
static struct table_key victim;

static size_t read_object(uint8_t *out, size_t size)
{
    FILE *f = fopen(guarded, "r");

    assert_non_null(f);
    size_t n = fread(out, 1, size, f);
    fclose(f);
    return n;
}

static int make(void **state)
{
    struct err err;

    fixture_make(state);
    struct token *t = fixture_open(URI);
    victim = rig_make_key(t, KEY_TYPE_EC_P256, "victim", PURPOSES_DEFAULT, NULL);
    must(softhsm_guarded_file(state_dir, token_info(t)->serial, guarded, sizeof(guarded), &err),
         &err);
    token_close(t);
    before_len = read_object(before, sizeof(before));
    assert_int_equal(before_len, 320);
    return 0;
}

static int attempt(size_t i)
{
    char number[16];

    snprintf(number, sizeof(number), "%zu", i);
    setenv("THIEF_ATTEMPT", number, 1);
    setenv("THIEF_OBJECT", guarded, 1);
    struct rig r = rig_spawn("--thief");
    rig_start(&r, URI, PIN);
    return rig_wait(&r);
}

static bool has_landlock(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION) >= 1;
}

static void check_token(const char *after)
{
    uint8_t now[1024];
    token_handle key;
    struct err err;
    struct stat st;

    assert_int_equal(stat(guarded, &st), 0);
    if (st.st_size != (off_t)before_len || (st.st_mode & 07777) != 0600)
        fail_msg("after %s the token file has %ld bytes, mode %o", after, (long)st.st_size,
                 st.st_mode & 07777u);
    assert_int_equal(read_object(now, sizeof(now)), before_len);
    struct token *t = fixture_open(URI);
    must(token_find_private(t, victim.cka_id, victim.cka_id_len, &key, &err), &err);
    must(token_prove(t, key, KEY_TYPE_EC_P256, victim.spki, victim.spki_len, &err), &err);
    token_close(t);
}

static void test_attempts(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(attempts); i++) {
        int code = attempt(i);
        bool yes = attempts[i].allowed == YES ||
                   (attempts[i].allowed == NO_BY_LANDLOCK && !has_landlock());

        if (yes ? code != DONE : code != REFUSED && code != TRAPPED)
            fail_msg("%s: %d", attempts[i].name, code);
        check_token(attempts[i].name);
    }
    if (!has_landlock())
        print_message("no Landlock in this kernel: reading other files was not refused\n");
}

static void test_starts_leave_the_token_whole(void **state)
{
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(attempt(1), DONE); /* signs, then ends without C_Finalize */
        check_token("a start");
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_attempts),
        cmocka_unit_test(test_starts_leave_the_token_whole),
    };

    if (argc > 1 && strcmp(argv[1], "--thief") == 0) {
        object_path = getenv("THIEF_OBJECT");
        snprintf(folder, sizeof(folder), "%s", object_path);
        *strrchr(folder, '/') = 0;
        snprintf(beside, sizeof(beside), "%s/beside", folder);
        be_thief(strtoul(getenv("THIEF_ATTEMPT"), NULL, 10));
    }
    return cmocka_run_group_tests_name("signer/start", tests, make, fixture_remove);
}
