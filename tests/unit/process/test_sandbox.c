/* SPDX-License-Identifier: Apache-2.0
 *
 * Calls what is forbidden, from a confined child, on a folder that looks like a token's.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "tests/unit/test.h"

#define REFUSED 71 /* what the SIGSYS handler exits with */

static char folder[64], file[128];

static int set_up(void **state)
{
    (void)state;
    snprintf(folder, sizeof(folder), "/tmp/keyd-sandbox.XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    snprintf(file, sizeof(file), "%s/token.object", folder);
    int fd = open(file, O_WRONLY | O_CREAT, 0600);
    return fd < 0 || write(fd, "master key", 10) != 10 || close(fd) != 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(file);
    return rmdir(folder);
}

static void confine(enum sandbox_profile profile, bool files_too)
{
    const char *const here[] = {folder, NULL};
    struct sandbox_files files = {.read = here};
    struct err err;
    bool applied;

    close(STDERR_FILENO);
    log_init("test");
    if (profile == SANDBOX_CUSTODIAN)
        files.write = here;
    if (!sandbox_basics(true, &err) ||
        (files_too && !sandbox_files(&files, false, &applied, &err)) ||
        !sandbox_syscalls(profile, &err))
        _exit(99);
}

static int run(void (*action)(void), enum sandbox_profile profile, bool files_too)
{
    int status;
    pid_t pid = fork();

    if (pid == 0) {
        confine(profile, files_too);
        errno = 0;
        action();
        _exit(errno ? 1 : 0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Raw system calls where libc would choose another one. */
static void read_file(void)
{
    char c;
    int fd = open(file, O_RDONLY);

    if (fd < 0 || read(fd, &c, 1) < 0)
        _exit(1);
}
static void write_file(void)
{
    if (open(file, O_WRONLY) >= 0)
        _exit(0);
}
static void truncate_by_open(void)
{
    if (open(file, O_RDONLY | O_TRUNC) >= 0)
        _exit(0);
}
static void create_file(void)
{
    char path[160];

    snprintf(path, sizeof(path), "%s/new", folder);
    if (open(path, O_RDONLY | O_CREAT, 0600) >= 0 && unlink(path) == 0)
        _exit(0);
}
static void truncate_path(void)
{
    syscall(SYS_truncate, file, 0);
}
static void change_mode(void)
{
    syscall(SYS_chmod, file, 0777);
}
static void change_mode_at(void)
{
    syscall(SYS_fchmodat, AT_FDCWD, file, 0777);
}
static void change_owner(void)
{
    syscall(SYS_chown, file, -1, -1);
}
static void rename_file(void)
{
    syscall(SYS_rename, file, file);
}
static void unlink_file(void)
{
    syscall(SYS_unlink, "/nonexistent");
}
static void make_folder(void)
{
    syscall(SYS_mkdir, "/nonexistent/x", 0700);
}
static void link_file(void)
{
    syscall(SYS_link, file, "/nonexistent/x");
}
static void change_times(void)
{
    syscall(SYS_utimensat, AT_FDCWD, file, NULL, 0);
}
static void set_attribute(void)
{
    syscall(SYS_setxattr, file, "user.x", "y", 1, 0);
}
static void make_socket(void)
{
    syscall(SYS_socket, 1, 1, 0);
}
static void start_program(void)
{
    char *const argv[] = {(char *)"true", NULL};

    execv("/bin/true", argv);
}
static void start_process(void)
{
    syscall(SYS_fork);
}
static void look_into_another(void)
{
    syscall(SYS_ptrace, 0, 0, 0, 0);
}
static void load_filter(void)
{
    syscall(SYS_bpf, 0, 0, 0);
}
static void nothing(void)
{
}

/* What each profile gives: 0 it may, 1 it gets an error, REFUSED it ends. With seccomp alone, so
 * that this holds on a kernel whose Landlock stops less. */
static void each_profile_may_what_its_row_says(void **state)
{
    static const struct {
        const char *what;
        void (*action)(void);
        int gate, signer, custodian;
    } rows[] = {
        {"nothing", nothing, 0, 0, 0},
        {"read", read_file, 1, 0, 0},
        {"open for writing", write_file, 1, 1, 0},
        {"truncate by open", truncate_by_open, 1, 1, 0},
        {"create", create_file, 1, 1, 0},
        {"truncate", truncate_path, REFUSED, REFUSED, REFUSED},
        {"chmod", change_mode, REFUSED, REFUSED, REFUSED},
        {"fchmodat", change_mode_at, REFUSED, REFUSED, REFUSED},
        {"chown", change_owner, REFUSED, REFUSED, REFUSED},
        {"rename", rename_file, REFUSED, REFUSED, 0},
        {"unlink", unlink_file, REFUSED, REFUSED, 1},
        {"mkdir", make_folder, REFUSED, REFUSED, 1},
        {"link", link_file, REFUSED, REFUSED, REFUSED},
        {"utimensat", change_times, REFUSED, REFUSED, 0},
        {"setxattr", set_attribute, REFUSED, REFUSED, REFUSED},
        {"socket", make_socket, REFUSED, REFUSED, REFUSED},
        {"execve", start_program, REFUSED, REFUSED, REFUSED},
        {"fork", start_process, REFUSED, REFUSED, REFUSED},
        {"ptrace", look_into_another, REFUSED, REFUSED, REFUSED},
        {"bpf", load_filter, REFUSED, REFUSED, REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(rows); i++) {
        int got[] = {run(rows[i].action, SANDBOX_GATE, false),
                     run(rows[i].action, SANDBOX_SIGNER, false),
                     run(rows[i].action, SANDBOX_CUSTODIAN, false)};

        if (got[0] != rows[i].gate || got[1] != rows[i].signer || got[2] != rows[i].custodian)
            fail_msg("%s: gate %d, signer %d, custodian %d", rows[i].what, got[0], got[1], got[2]);
    }
    struct stat st;
    assert_int_equal(stat(file, &st), 0);
    assert_int_equal(st.st_mode & 07777, 0600);
}

static void write_folder(void)
{
    create_file();
    errno = EACCES;
}
static void read_elsewhere(void)
{
    if (open("/etc/passwd", O_RDONLY) >= 0)
        _exit(0);
}

/* With Landlock too: not even the parent's long list reaches a file outside. */
static void files_outside_are_out_of_reach(void **state)
{
    (void)state;
    assert_int_equal(run(read_file, SANDBOX_PARENT, true), 0);
    assert_int_equal(run(read_elsewhere, SANDBOX_PARENT, true), 1);
    assert_int_equal(run(write_file, SANDBOX_PARENT, true), 1);
    assert_int_equal(run(write_folder, SANDBOX_PARENT, true), 1);
    assert_int_equal(run(write_folder, SANDBOX_CUSTODIAN, true), 0);
    assert_int_equal(run(read_elsewhere, SANDBOX_CUSTODIAN, true), 1);
}

static void leaves_no_core_and_gets_no_privileges(void **state)
{
    int status;

    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        struct rlimit core;
        struct err err;

        if (!sandbox_basics(true, &err) || getrlimit(RLIMIT_CORE, &core) != 0)
            _exit(1);
        _exit(core.rlim_max == 0 && prctl(PR_GET_DUMPABLE) == 0 &&
                      prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1
                  ? 0
                  : 2);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_profile_may_what_its_row_says),
        cmocka_unit_test(files_outside_are_out_of_reach),
        cmocka_unit_test(leaves_no_core_and_gets_no_privileges),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
