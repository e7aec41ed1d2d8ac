/* SPDX-License-Identifier: Apache-2.0
 *
 * ptrace(2) from the test, which is also everyone that the custodian talks to: stops arrive as
 * SIGCHLD by a signalfd in the rig's loop. The custodian asks to be traced before it confines
 * itself, so this needs no root.
 */
#include "tests/faults/trace.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/unit/custodian/rig.h"

#define SYSCALL_STOP (SIGTRAP | 0x80) /* PTRACE_O_TRACESYSGOOD */

static struct {
    bool on;       /* system calls stop it */
    bool next_on;  /* the next one from its start */
    bool killed;   /* it was, by us */
    unsigned at;   /* 0: never */
    unsigned seen; /* changing calls so far */
} trace;

/* ---- which calls */

static bool opens_to_change(uint64_t flags)
{
    return flags & (O_CREAT | O_TRUNC);
}

static bool changes(const struct __ptrace_syscall_info *info)
{
    switch (info->entry.nr) {
    case SYS_openat:
        return opens_to_change(info->entry.args[2]);
    case SYS_write:
    case SYS_writev:
        return info->entry.args[0] != STDERR_FILENO;
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_sendmsg:
    case SYS_sendto:
    case SYS_ftruncate:
    case SYS_fallocate:
    case SYS_renameat:
    case SYS_renameat2:
    case SYS_unlinkat:
    case SYS_mkdirat:
    case SYS_utimensat:
#ifdef SYS_rename /* not on newer processors */
    case SYS_rename:
    case SYS_unlink:
    case SYS_mkdir:
    case SYS_rmdir:
#endif
        return true;
    default:
        return false;
    }
}

/* ---- stops */

/* True: it was killed. */
static bool on_syscall(pid_t pid)
{
    struct __ptrace_syscall_info info;

    if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) <= 0 ||
        info.op != PTRACE_SYSCALL_INFO_ENTRY || !changes(&info))
        return false;
    trace.seen++;
    if (trace.seen != trace.at)
        return false;
    trace.killed = kill(pid, SIGKILL) == 0;
    return trace.killed;
}

static void stopped(pid_t pid, int status)
{
    int sig = WSTOPSIG(status);

    if (sig == SYSCALL_STOP && trace.on && on_syscall(pid))
        return;
    if (sig == SYSCALL_STOP || sig == SIGSTOP || sig == SIGTRAP)
        sig = 0;
    ptrace(trace.on ? PTRACE_SYSCALL : PTRACE_CONT, pid, NULL, (void *)(intptr_t)sig);
}

static void drain_signals(void)
{
    struct signalfd_siginfo info;

    while (read(rig_tracer.fd, &info, sizeof(info)) == (ssize_t)sizeof(info))
        ;
}

/* Its end is left for the rig to see. */
static void look(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    int status;

    drain_signals();
    while (pid > 0 &&
           waitid(P_PID, (id_t)pid, &info, WSTOPPED | WEXITED | WNOHANG | WNOWAIT) == 0 &&
           info.si_pid == pid && (info.si_code == CLD_TRAPPED || info.si_code == CLD_STOPPED)) {
        assert_int_equal(waitpid(pid, &status, 0), pid);
        if (WIFSTOPPED(status))
            stopped(pid, status);
        info.si_pid = 0;
    }
}

/* ---- its life */

static void child(void)
{
    sigset_t none;

    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) != 0)
        _exit(70);
    raise(SIGSTOP);
}

static void started(pid_t pid)
{
    int status;

    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (!WIFSTOPPED(status))
        fail_msg("the custodian cannot be traced: does this machine allow ptrace(2)?");
    trace.on = trace.next_on;
    trace.next_on = trace.killed = false;
    assert_int_equal(ptrace(PTRACE_SETOPTIONS, pid, NULL,
                            (void *)(uintptr_t)(PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL)),
                     0);
    stopped(pid, status);
}

void trace_init(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    assert_int_equal(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    int fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    assert_true(fd >= 0);
    rig_tracer = (struct rig_tracer){child, started, stopped, fd, look};
}

void trace_arm_next(unsigned n)
{
    trace.next_on = true;
    trace.at = n;
    trace.seen = 0;
}

/* Stops it once, so that it goes on in the other mode. */
static void change_mode(bool on)
{
    int status;

    if (!rig.pid || rig.over || trace.killed || trace.on == on)
        return;
    assert_int_equal(kill(rig.pid, SIGSTOP), 0);
    do {
        if (waitpid(rig.pid, &status, 0) != rig.pid || !WIFSTOPPED(status))
            fail_msg("the custodian ended while it was not expected to (status %x)", status);
        if (WSTOPSIG(status) == SIGSTOP)
            trace.on = on;
        stopped(rig.pid, status);
    } while (WSTOPSIG(status) != SIGSTOP);
}

void trace_arm(unsigned n)
{
    trace.at = n;
    trace.seen = 0;
    change_mode(true);
}

void trace_disarm(void)
{
    trace.at = 0;
    change_mode(false);
}

unsigned trace_count(void)
{
    return trace.seen;
}
