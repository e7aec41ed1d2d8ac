/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/process/sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/landlock.h>
#include <seccomp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "keyd/process/log.h"

#define EXIT_REFUSED 71
#define COUNT(a)     (sizeof(a) / sizeof((a)[0]))

bool sandbox_basics(bool is_child, struct err *err)
{
    struct rlimit none = {0, 0};

    if (prctl(PR_SET_DUMPABLE, 0) != 0 || setrlimit(RLIMIT_CORE, &none) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot switch core files off");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot give up new privileges");
    if (is_child && prctl(PR_SET_PDEATHSIG, SIGKILL) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot tie my life to my parent's");
    return true;
}

/* ---- Landlock */

/* Newer than Debian 12's headers. */
#define ACCESS_TRUNCATE  (1ULL << 14) /* ABI 3 */
#define ACCESS_IOCTL_DEV (1ULL << 15) /* ABI 5 */

#define ACCESS_READ      (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR)
#define ACCESS_READ_EXEC (ACCESS_READ | LANDLOCK_ACCESS_FS_EXECUTE)
#define ACCESS_FILE                                                                                \
    (LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_EXECUTE |   \
     ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

/* Every right that this kernel's Landlock can handle. */
static uint64_t handled_rights(long abi)
{
    uint64_t rights = (LANDLOCK_ACCESS_FS_MAKE_SYM << 1) - 1; /* all of ABI 1 */

    if (abi >= 2)
        rights |= LANDLOCK_ACCESS_FS_REFER;
    if (abi >= 3)
        rights |= ACCESS_TRUNCATE;
    if (abi >= 5)
        rights |= ACCESS_IOCTL_DEV;
    return rights;
}

static bool add_paths(int ruleset, const char *const *paths, uint64_t rights, struct err *err)
{
    for (; paths && *paths; paths++) {
        struct landlock_path_beneath_attr rule = {.allowed_access = rights};

        rule.parent_fd = open(*paths, O_PATH | O_CLOEXEC);
        if (rule.parent_fd < 0 && (errno == ENOENT || errno == ENOTDIR))
            continue;
        if (rule.parent_fd < 0)
            return err_errno(err, ERR_INTERNAL, errno, "cannot open %s for the sandbox", *paths);
        long r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        if (r != 0 && errno == EINVAL) { /* a file takes no rights of folders */
            rule.allowed_access &= ACCESS_FILE;
            r = syscall(SYS_landlock_add_rule, ruleset, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
        }
        int e = errno;
        close(rule.parent_fd);
        if (r != 0)
            return err_errno(err, ERR_INTERNAL, e, "Landlock takes no rule for %s", *paths);
    }
    return true;
}

static bool confine_files(int ruleset, const struct sandbox_files *files, uint64_t all,
                          struct err *err)
{
    TRY(add_paths(ruleset, files->read_exec, ACCESS_READ_EXEC, err));
    TRY(add_paths(ruleset, files->read, ACCESS_READ, err));
    TRY(add_paths(ruleset, files->write, all & ~(uint64_t)LANDLOCK_ACCESS_FS_EXECUTE, err));
    if (syscall(SYS_landlock_restrict_self, ruleset, 0) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "Landlock does not confine me");
    return true;
}

bool sandbox_files(const struct sandbox_files *files, bool optional, bool *ret_applied,
                   struct err *err)
{
    long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

    if (abi < 1) {
        if (optional) {
            *ret_applied = false;
            return true;
        }
        err_errno(err, ERR_UNSUPPORTED, errno, "this kernel has no Landlock to confine me with");
        return err_hint(err, "start the kernel with lsm=landlock,..., or set landlock = optional");
    }
    struct landlock_ruleset_attr attr = {.handled_access_fs = handled_rights(abi)};
    int ruleset = (int)syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);
    if (ruleset < 0)
        return err_errno(err, ERR_INTERNAL, errno, "Landlock makes no rule set");
    bool ok = confine_files(ruleset, files, attr.handled_access_fs, err);
    close(ruleset);
    if (ok)
        *ret_applied = true;
    return ok;
}

/* ---- seccomp */

#define G    1u
#define S    2u
#define C    4u
#define P    8u
#define ALL  (G | S | C)
#define NONE 0u

/* Who may make which system call. The parent may make every call of the table: its children
 * inherit its filter, and each loads its own on top. */
static const struct row {
    int call;
    unsigned profiles;
} rows[] = {
    /* memory */
    {SCMP_SYS(brk), ALL},
    {SCMP_SYS(mmap), ALL},
    {SCMP_SYS(munmap), ALL},
    {SCMP_SYS(mremap), ALL},
    {SCMP_SYS(mprotect), ALL},
    {SCMP_SYS(madvise), ALL},
    {SCMP_SYS(mlock), ALL},
    {SCMP_SYS(munlock), ALL},
    /* descriptors that are open already */
    {SCMP_SYS(read), ALL},
    {SCMP_SYS(write), ALL},
    {SCMP_SYS(readv), ALL},
    {SCMP_SYS(writev), ALL},
    {SCMP_SYS(close), ALL},
    {SCMP_SYS(lseek), ALL},
    {SCMP_SYS(fstat), ALL},
    {SCMP_SYS(fcntl), ALL},
    {SCMP_SYS(recvmsg), ALL},
    {SCMP_SYS(recvfrom), ALL},
    {SCMP_SYS(sendmsg), ALL},
    {SCMP_SYS(sendto), ALL},
    {SCMP_SYS(poll), ALL},
    {SCMP_SYS(ppoll), ALL},
    {SCMP_SYS(shutdown), ALL},
    /* time, randomness, oneself */
    {SCMP_SYS(clock_gettime), ALL},
    {SCMP_SYS(clock_getres), ALL},
    {SCMP_SYS(clock_nanosleep), ALL},
    {SCMP_SYS(nanosleep), ALL},
    {SCMP_SYS(gettimeofday), ALL},
    {SCMP_SYS(time), ALL},
    {SCMP_SYS(getrandom), ALL},
    {SCMP_SYS(getpid), ALL},
    {SCMP_SYS(getppid), ALL},
    {SCMP_SYS(gettid), ALL},
    {SCMP_SYS(getuid), ALL},
    {SCMP_SYS(geteuid), ALL},
    {SCMP_SYS(getgid), ALL},
    {SCMP_SYS(getegid), ALL},
    {SCMP_SYS(getrusage), ALL},
    {SCMP_SYS(sysinfo), ALL},
    {SCMP_SYS(uname), ALL},
    {SCMP_SYS(futex), ALL},
    {SCMP_SYS(sched_yield), ALL},
    {SCMP_SYS(sched_getaffinity), ALL},
    {SCMP_SYS(set_robust_list), ALL},
    {SCMP_SYS(rseq), ALL},
    {SCMP_SYS(rt_sigaction), ALL},
    {SCMP_SYS(rt_sigprocmask), ALL},
    {SCMP_SYS(rt_sigreturn), ALL},
    {SCMP_SYS(sigaltstack), ALL},
    {SCMP_SYS(restart_syscall), ALL},
    {SCMP_SYS(tgkill), ALL}, /* abort(3) */
    {SCMP_SYS(exit), ALL},
    {SCMP_SYS(exit_group), ALL},
    /* the gate's loop and sockets */
    {SCMP_SYS(accept4), G},
    {SCMP_SYS(epoll_create1), G},
    {SCMP_SYS(epoll_ctl), G},
    {SCMP_SYS(epoll_wait), G},
    {SCMP_SYS(epoll_pwait), G},
    {SCMP_SYS(eventfd2), G},
    {SCMP_SYS(timerfd_create), G},
    {SCMP_SYS(timerfd_settime), G},
    {SCMP_SYS(getsockopt), G},
    {SCMP_SYS(setsockopt), G},
    {SCMP_SYS(getpeername), G},
    {SCMP_SYS(getsockname), G},
    /* reading files: openat, see below */
    {SCMP_SYS(newfstatat), S | C},
    {SCMP_SYS(stat), S | C},
    {SCMP_SYS(lstat), S | C},
    {SCMP_SYS(statx), S | C},
    {SCMP_SYS(access), S | C},
    {SCMP_SYS(faccessat), S | C},
    {SCMP_SYS(faccessat2), S | C},
    {SCMP_SYS(getdents64), S | C},
    {SCMP_SYS(readlink), S | C},
    {SCMP_SYS(readlinkat), S | C},
    {SCMP_SYS(getcwd), S | C},
    {SCMP_SYS(pread64), S | C},
    {SCMP_SYS(preadv), S | C},
    {SCMP_SYS(statfs), S | C},
    {SCMP_SYS(fstatfs), S | C},
    {SCMP_SYS(flock), S | C},
    {SCMP_SYS(dup), S | C},
    /* changing files */
    {SCMP_SYS(pwrite64), C},
    {SCMP_SYS(pwritev), C},
    {SCMP_SYS(ftruncate), C},
    {SCMP_SYS(fallocate), C},
    {SCMP_SYS(fsync), C},
    {SCMP_SYS(fdatasync), C},
    {SCMP_SYS(mkdir), C},
    {SCMP_SYS(mkdirat), C},
    {SCMP_SYS(rmdir), C},
    {SCMP_SYS(rename), C},
    {SCMP_SYS(renameat), C},
    {SCMP_SYS(renameat2), C},
    {SCMP_SYS(unlink), C},
    {SCMP_SYS(unlinkat), C},
    {SCMP_SYS(umask), C},
    {SCMP_SYS(fchmod), C},
    {SCMP_SYS(fchown), C}, /* SQLite, run by root */
    {SCMP_SYS(utimensat), C},
    {SCMP_SYS(memfd_create), C}, /* the table of keys */
    /* the parent's own: children, users, sockets by path, the sandbox itself */
    {SCMP_SYS(execve), NONE},
    {SCMP_SYS(clone), NONE},
    {SCMP_SYS(clone3), NONE},
    {SCMP_SYS(fork), NONE},
    {SCMP_SYS(vfork), NONE},
    {SCMP_SYS(wait4), NONE},
    {SCMP_SYS(waitid), NONE},
    {SCMP_SYS(kill), NONE},
    {SCMP_SYS(pipe2), NONE},
    {SCMP_SYS(dup2), NONE},
    {SCMP_SYS(dup3), NONE},
    {SCMP_SYS(close_range), NONE},
    {SCMP_SYS(socketpair), NONE},
    {SCMP_SYS(socket), NONE},
    {SCMP_SYS(connect), NONE},
    {SCMP_SYS(bind), NONE},
    {SCMP_SYS(listen), NONE},
    {SCMP_SYS(chmod), NONE},
    {SCMP_SYS(fchmodat), NONE},
    {SCMP_SYS(chown), NONE},
    {SCMP_SYS(setsid), NONE},
    {SCMP_SYS(signalfd4), NONE},
    {SCMP_SYS(arch_prctl), NONE},
    {SCMP_SYS(set_tid_address), NONE},
    {SCMP_SYS(prctl), NONE},
    {SCMP_SYS(prlimit64), NONE},
    {SCMP_SYS(setrlimit), NONE},
    {SCMP_SYS(getrlimit), NONE},
    {SCMP_SYS(seccomp), NONE},
    {SCMP_SYS(landlock_create_ruleset), NONE},
    {SCMP_SYS(landlock_add_rule), NONE},
    {SCMP_SYS(landlock_restrict_self), NONE},
#ifdef KEYD_SANITIZED
    /* the one row of the sanitizers: their start-up and their reports */
    {SCMP_SYS(open), NONE},
    {SCMP_SYS(personality), NONE},
    {SCMP_SYS(prctl), ALL},
    {SCMP_SYS(readlink), ALL},
    {SCMP_SYS(prlimit64), ALL},
#endif
};

static const unsigned profile_bit[SANDBOX_PROFILES] = {P, G, S, C};

/* Names the call that was refused, then ends: a call that we did not foresee is a defect or a
 * thief. Async-signal-safe but for snprintf, which allocates nothing for these conversions. */
static void on_refused(int sig, siginfo_t *info, void *context)
{
    (void)sig, (void)context;
    log_line(LOG_LEVEL_ERROR, "system call %d refused by the sandbox: a defect or an attack",
             info->si_syscall);
    _exit(EXIT_REFUSED);
}

/* Gates reach no file by path: opening gets an error instead of the end, because libraries try, and
 * the call behind fstat(3) is let through only as that. */
static int add_open_for_gate(scmp_filter_ctx ctx)
{
    int r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), SCMP_SYS(openat), 0);

    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, SCMP_SYS(newfstatat), 1,
                             SCMP_A3(SCMP_CMP_EQ, AT_EMPTY_PATH, 0));
    return r;
}

/* Signers open files only to read, whatever Landlock says. */
static int add_open(scmp_filter_ctx ctx, enum sandbox_profile profile)
{
    static const unsigned changing[] = {O_WRONLY, O_RDWR, O_CREAT, O_TRUNC};
    int open_at = SCMP_SYS(openat), r = 0;

    if (profile == SANDBOX_GATE)
        return add_open_for_gate(ctx);
    if (profile != SANDBOX_SIGNER)
        return seccomp_rule_add(ctx, SCMP_ACT_ALLOW, open_at, 0);
    for (size_t i = 0; i < COUNT(changing) && r == 0; i++)
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EACCES), open_at, 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, changing[i], changing[i]));
    if (r == 0)
        r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, open_at, 1,
                             SCMP_A2(SCMP_CMP_MASKED_EQ, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0));
    return r;
}

static int add_rows(scmp_filter_ctx ctx, enum sandbox_profile profile)
{
    int r = add_open(ctx, profile);

    for (size_t i = 0; i < COUNT(rows) && r == 0; i++) {
        if (profile == SANDBOX_PARENT || (rows[i].profiles & profile_bit[profile]))
            r = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, rows[i].call, 0);
        if (r == -EEXIST)
            r = 0;
    }
    return r;
}

bool sandbox_syscalls(enum sandbox_profile profile, struct err *err)
{
    struct sigaction action = {.sa_sigaction = on_refused, .sa_flags = SA_SIGINFO};
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);

    if (!ctx)
        return err_set(err, ERR_INTERNAL, "libseccomp makes no filter");
    sigaction(SIGSYS, &action, NULL);
    int r = add_rows(ctx, profile);
    if (r == 0)
        r = seccomp_load(ctx);
    seccomp_release(ctx);
    if (r != 0)
        return err_errno(err, ERR_UNSUPPORTED, -r, "cannot load the list of system calls");
    return true;
}
