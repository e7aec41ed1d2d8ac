/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd, the parent: reads the settings, holds the PIN, binds the sockets, starts the processes that
 * do the work and replaces those that die. It parses nothing but its own settings and never touches
 * the token, the registry or a client.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <unistd.h>

#include "keyd/children.h"
#include "keyd/custodian/custodian.h"
#include "keyd/process/log.h"
#include "keyd/process/sandbox.h"
#include "keyd/spawn.h"
#include "keyd/tlsfiles.h"
#include "proto/base/clock.h"

#define EXIT_USAGE 2
#define LOCK_WAIT  2000 /* ms that a killed keyd's children have to go */

static const char usage[] =
    "keyd " KEYD_VERSION ": holds TLS private keys in a PKCS#11 token and signs with them\n"
    "\n"
    "  keyd --foreground [--config FILE]    serve; logs to stderr; SIGTERM drains, SIGHUP "
    "re-reads\n"
    "  keyd --init-token [--config FILE]    make the token, with random PINs in 0600 files\n"
    "  keyd --restore DIR [--config FILE]   bring back what 'keydctl backup DIR' has saved\n"
    "  keyd --check-config [--config FILE]  say whether the settings are in order\n"
    "  keyd --print-config                  every setting, what it means and its default\n"
    "  keyd --version\n"
    "\n"
    "FILE is " CONFIG_DEFAULT_PATH " if none is named.\n"
    "Example: keyd --init-token --config ./keyd.conf && keyd --foreground --config ./keyd.conf\n";

static int fail(const struct err *err)
{
    fprintf(stderr, "keyd: %s\n", err->text);
    if (err->hint[0])
        fprintf(stderr, "  hint: %s\n", err->hint);
    return EXIT_FAILURE;
}

/* ---- before the start */

/* The state directory: made if it is not there, and nobody else's. */
static bool prepare_state_dir(const struct config *c, uid_t uid, gid_t gid, struct err *err)
{
    struct stat st;

    if (mkdir(c->state_dir, 0700) == 0 && uid != geteuid() && chown(c->state_dir, uid, gid) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot give %s to its user", c->state_dir);
    if (stat(c->state_dir, &st) != 0) {
        err_errno(err, ERR_STORAGE, errno, "cannot use the state directory %s", c->state_dir);
        return err_hint(err, "make it, owned by the user that keyd runs as, mode 0700");
    }
    if (!S_ISDIR(st.st_mode) || st.st_uid != uid || (st.st_mode & 077)) {
        err_set(err, ERR_DENIED, "the state directory %s has mode %04o and belongs to uid %u",
                c->state_dir, (unsigned)st.st_mode & 07777, (unsigned)st.st_uid);
        return err_hint(err, "it must be a folder of uid %u with mode 0700", (unsigned)uid);
    }
    return true;
}

static bool find_user(const struct config *c, uid_t *ret_uid, gid_t *ret_gid, struct err *err)
{
    struct passwd *user;

    *ret_uid = geteuid();
    *ret_gid = getegid();
    if (!*c->user || geteuid() != 0)
        return true;
    user = getpwnam(c->user);
    if (!user) {
        err_set(err, ERR_BAD_REQUEST, "there is no user \"%s\"", c->user);
        return err_hint(err, "useradd --system %s, or name another one in [keyd] user", c->user);
    }
    *ret_uid = user->pw_uid;
    *ret_gid = user->pw_gid;
    return true;
}

static bool drop_to(const struct config *c, uid_t uid, gid_t gid, struct err *err)
{
    if (uid == geteuid())
        return true;
    if (initgroups(c->user, gid) != 0 || setresgid(gid, gid, gid) != 0 ||
        setresuid(uid, uid, uid) != 0)
        return err_errno(err, ERR_INTERNAL, errno, "cannot become user %s", c->user);
    return true;
}

static bool lock_state(const struct config *c, int *ret_fd, struct err *err)
{
    char path[600];
    uint64_t until = clock_us() + LOCK_WAIT * 1000ull;

    snprintf(path, sizeof(path), "%s/lock", c->state_dir);
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot open %s", path);
    while (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        char pid[16] = "?";
        ssize_t n;

        if (errno == EWOULDBLOCK && clock_us() < until) {
            usleep(20000);
            continue;
        }
        n = pread(fd, pid, sizeof(pid) - 1, 0);
        pid[n > 0 ? strcspn(pid, "\n") : 1] = 0;
        close(fd);
        err_set(err, ERR_CONFLICT, "another keyd (pid %s) runs on the state directory %s", pid,
                c->state_dir);
        return err_hint(err, "stop it first, or give this one a state-dir of its own");
    }
    if (ftruncate(fd, 0) != 0 || dprintf(fd, "%d\n", (int)getpid()) < 0) {
        close(fd);
        return err_errno(err, ERR_STORAGE, errno, "cannot write %s", path);
    }
    *ret_fd = fd;
    return true;
}

/* There were keys once: the token must not be made anew. */
static bool has_registry(const struct config *c)
{
    char path[sizeof(c->state_dir) + 16];

    snprintf(path, sizeof(path), "%s/registry.db", c->state_dir);
    return access(path, F_OK) == 0;
}

static bool read_pin(struct parent *p, struct err *err)
{
    char path[sizeof(p->pin.path)];

    TRY(custodian_uri_check(p->config.token_uri, err));
    TRY(custodian_pin_source(p->config.token_uri, path, sizeof(path), err));
    if (pin_read(&p->pin, path, err))
        return true;
    err_prefix(err, "the token's PIN");
    if (access(path, F_OK) != 0 && has_registry(&p->config))
        err_hint(err, "put the token's PIN there, mode 0600: keyd has keys that need it");
    else if (access(path, F_OK) != 0)
        err_hint(err, "make a token first: keyd --init-token --config %.100s", p->config_path);
    return false;
}

/* The folder of the PIN file, which pin-change replaces; it may lie outside the state directory. */
static const char *pin_folder(const struct parent *p, char buf[sizeof(p->pin.path)])
{
    snprintf(buf, sizeof(p->pin.path), "%s", p->pin.path);
    *strrchr(buf, '/') = 0;
    return *buf ? buf : "/dev/null"; /* not all that there is */
}

static bool confine(const struct parent *p, struct err *err)
{
    const struct config *c = &p->config;
    char folder[sizeof(p->pin.path)];
    const char *const read_exec[] = {"/", NULL};
    const char *const write[] = {c->state_dir, c->run_dir, pin_folder(p, folder), "/dev/null",
                                 NULL};
    const struct sandbox_files files = {.read_exec = read_exec, .write = write};
    bool confined;

    TRY(sandbox_files(&files, c->landlock_optional, &confined, err));
    if (!confined)
        log_line(LOG_LEVEL_WARNING, "this kernel has no Landlock: files are not confined");
    return sandbox_syscalls(SANDBOX_PARENT, err);
}

/* Reads the files of [tls] and takes them over; what the gates have stays as it was if one is bad.
 */
static bool read_tls(struct parent *p, const struct config *c, struct err *err)
{
    char warning[700];
    int fd;

    TRY(tlsfiles_read(c, &fd, warning, sizeof(warning), err));
    if (*warning)
        log_line(LOG_LEVEL_WARNING, "[tls] %s", warning);
    if (p->tls_bundle >= 0)
        close(p->tls_bundle);
    p->tls_bundle = fd;
    return true;
}

static bool prepare(struct parent *p, struct err *err)
{
    uid_t uid;
    gid_t gid;

    TRY(sandbox_basics(false, err));
    TRY(find_user(&p->config, &uid, &gid, err));
    TRY(prepare_state_dir(&p->config, uid, gid, err));
    TRY(lock_state(&p->config, &p->lock_fd, err));
    TRY(custodian_restore_pending(p->config.state_dir, err));
    TRY(sockets_open(&p->config, p->listeners, err));
    TRY(sockets_open_tls(&p->config, p->tls_listeners, err));
    TRY(drop_to(&p->config, uid, gid, err));
    TRY(read_tls(p, &p->config, err));
    TRY(read_pin(p, err));
    TRY(guard_open(&p->guard, p->config.state_dir, err));
    return confine(p, err);
}

/* ---- serving */

static void reload(struct parent *p)
{
    struct config now;
    struct err err;
    char line[600];

    sd_notify(0, "RELOADING=1");
    if (config_read(&now, p->config_path, &err) && config_reloadable(&p->config, &now, &err) &&
        read_tls(p, &now, &err)) {
        p->config = now;
        children_reload(p);
        log_line(LOG_LEVEL_NOTICE, "settings read again from %s", p->config_path);
    } else {
        log_line(LOG_LEVEL_ERROR, "the settings stay as they were: %s",
                 log_err(&err, line, sizeof(line)));
    }
    sd_notify(0, "READY=1");
}

static void on_signal(struct parent *p, int fd)
{
    struct signalfd_siginfo info;

    while (read(fd, &info, sizeof(info)) == (ssize_t)sizeof(info)) {
        if (info.ssi_signo == SIGCHLD) {
            children_reap(p);
        } else if (info.ssi_signo == SIGHUP) {
            reload(p);
        } else {
            log_line(LOG_LEVEL_NOTICE, "%s: %s", strsignal((int)info.ssi_signo),
                     p->phase == RUN ? "finishing what is begun" : "ending now");
            sd_notify(0, "STOPPING=1");
            children_drain(p);
        }
    }
}

static int open_signals(void)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static void announce(struct parent *p)
{
    for (size_t i = 0; i < p->child_count; i++) {
        if (p->children[i].state != CHILD_READY)
            return;
    }
    p->announced = true;
    log_line(LOG_LEVEL_NOTICE, "ready: %u signers, sockets in %s, after %llu ms", p->config.signers,
             p->config.run_dir, (unsigned long long)(clock_us() - p->started) / 1000);
    sd_notifyf(0, "READY=1\nSTATUS=serving with %u signers", p->config.signers);
}

static uint64_t watchdog_interval(void)
{
    uint64_t us = 0;

    return sd_watchdog_enabled(0, &us) > 0 ? us / 2 : 0;
}

static size_t fill_polls(struct parent *p, struct pollfd *polls, struct child **who)
{
    size_t n = 0;

    for (size_t i = 0; i < p->child_count; i++) {
        struct child *c = &p->children[i];

        if (c->chan.fd < 0)
            continue;
        if (!chan_flush(&c->chan))
            kill(c->pid, SIGKILL);
        polls[n] = (struct pollfd){.fd = c->chan.fd, .events = POLLIN};
        if (chan_pending(&c->chan))
            polls[n].events |= POLLOUT;
        who[n++] = c;
    }
    return n;
}

static int wait_ms(const struct parent *p, uint64_t watchdog_at)
{
    uint64_t next = children_next_time(p);

    if (watchdog_at && watchdog_at < next)
        next = watchdog_at;
    return next == UINT64_MAX ? -1 : clock_wait_ms(next);
}

static void serve(struct parent *p, int signals)
{
    uint64_t interval = watchdog_interval(), watchdog_at = interval ? clock_us() + interval : 0;

    while (p->phase == RUN || !children_gone(p)) {
        struct pollfd polls[CHILDREN_MAX + 1];
        struct child *who[CHILDREN_MAX + 1];

        children_start(p);
        children_check_time(p);
        if (p->failed && p->phase == RUN)
            children_drain(p);
        if (!p->announced)
            announce(p);
        size_t n = fill_polls(p, polls, who);
        polls[n] = (struct pollfd){.fd = signals, .events = POLLIN};
        if (poll(polls, n + 1, wait_ms(p, watchdog_at)) < 0 && errno != EINTR)
            return;
        for (size_t i = 0; i < n; i++) {
            if (polls[i].revents & (POLLIN | POLLHUP | POLLERR))
                child_readable(p, who[i]);
        }
        if (polls[n].revents)
            on_signal(p, signals);
        if (watchdog_at && clock_us() >= watchdog_at) {
            sd_notify(0, "WATCHDOG=1");
            watchdog_at = clock_us() + interval;
        }
    }
}

static int foreground(struct parent *p)
{
    struct err err;
    int signals = open_signals();

    log_init("parent");
    if (signals < 0 || !prepare(p, &err)) {
        if (signals < 0)
            err_errno(&err, ERR_INTERNAL, errno, "cannot receive signals");
        return fail(&err);
    }
    p->started = clock_us();
    children_init(p);
    serve(p, signals);
    sockets_remove(&p->config);
    pin_free(&p->pin);
    if (!p->failed)
        return EXIT_SUCCESS;
    if (p->first_error.code == ERR_DENIED)
        err_hint(&p->first_error, "the PIN came from %s; it was tried once and is not tried again",
                 p->pin.path);
    return fail(&p->first_error);
}

/* The very first login may be killed too. */
static bool guard_new_token(struct parent *p, struct err *err)
{
    char path[sizeof(p->guard.path)];

    TRY(guard_open(&p->guard, p->config.state_dir, err));
    TRY(custodian_guarded_file(p->config.token_uri, p->config.state_dir, path, sizeof(path), err));
    return !*path || guard_learn(&p->guard, path, err);
}

static int init_token(struct parent *p)
{
    struct err err;
    uid_t uid;
    gid_t gid;

    if (!sandbox_basics(false, &err) || !find_user(&p->config, &uid, &gid, &err) ||
        !prepare_state_dir(&p->config, uid, gid, &err) || !drop_to(&p->config, uid, gid, &err) ||
        !lock_state(&p->config, &p->lock_fd, &err) ||
        !custodian_init_token(p->config.token_uri, p->config.state_dir, &err) ||
        !guard_new_token(p, &err))
        return fail(&err);
    printf("The token is made; its PINs are in user.pin and so.pin in %s.\n"
           "Keep so.pin away from this machine; keyd needs user.pin alone.\n",
           p->config.state_dir);
    fflush(stdout);
    _exit(EXIT_SUCCESS); /* SoftHSM's exit handlers crash */
}

/* Root reads the backup and gives what it writes away; the rest is done as the user. */
static bool restore_files(struct parent *p, const char *dir, struct custodian_backup *ret,
                          struct err *err)
{
    const char *state_dir = p->config.state_dir;
    uid_t uid;
    gid_t gid;

    TRY(sandbox_basics(false, err));
    TRY(find_user(&p->config, &uid, &gid, err));
    TRY(custodian_restore_check(dir, ret, err));
    TRY(prepare_state_dir(&p->config, uid, gid, err));
    TRY(lock_state(&p->config, &p->lock_fd, err));
    if (uid != geteuid() && fchown(p->lock_fd, uid, gid) != 0)
        return err_errno(err, ERR_STORAGE, errno, "cannot give %s/lock to its user", state_dir);
    TRY(custodian_restore_copy(dir, state_dir, uid, gid, err));
    TRY(drop_to(&p->config, uid, gid, err));
    return custodian_restore_place(state_dir, ret->token_files, err);
}

static void say_restored(const struct parent *p, const struct custodian_backup *b,
                         const char *pin_source)
{
    const char *state_dir = p->config.state_dir;

    printf("Restored to %s: the backup of %s, %u keys, %zu files, every checksum right.\n",
           state_dir, b->time, b->keys, b->files);
    if (!b->token_files)
        printf("The token is not in it: restore the HSM's own backup, token \"%s\" (serial %s)\n"
               "with its %u private keys.\n",
               b->token_label, b->token_serial, b->private_keys);
    printf("%s: the token's PIN, %s %s.\nThen start keyd, and look at 'keydctl status'.\n",
           access(pin_source, R_OK) == 0 ? "There already" : "Still needed",
           access(pin_source, R_OK) == 0 ? "in" : "0600, into", pin_source);
}

static int restore(struct parent *p)
{
    struct custodian_backup backup;
    char pin_source[sizeof(p->pin.path)];
    struct err err;

    if (!custodian_pin_source(p->config.token_uri, pin_source, sizeof(pin_source), &err) ||
        !restore_files(p, p->restore_dir, &backup, &err))
        return fail(&err);
    say_restored(p, &backup, pin_source);
    fflush(stdout);
    if (!backup.token_files)
        return EXIT_SUCCESS;
    if (!guard_new_token(p, &err)) { /* finds the token by its URI, too */
        err_prefix(&err, "the files are in place, but the token is not found");
        fail(&err);
        _exit(EXIT_FAILURE);
    }
    _exit(EXIT_SUCCESS); /* SoftHSM's exit handlers crash */
}

static int check_config(struct parent *p)
{
    char warning[700];
    char path[sizeof(p->pin.path)];
    struct err err;
    int bundle;

    if (!custodian_uri_check(p->config.token_uri, &err) ||
        !custodian_pin_source(p->config.token_uri, path, sizeof(path), &err))
        return fail(&err);
    if (!tlsfiles_read(&p->config, &bundle, warning, sizeof(warning), &err))
        return fail(&err);
    if (*warning)
        fprintf(stderr, "keyd: [tls] %s\n", warning);
    printf("%s is in order: state in %s, sockets in %s, %u signers\n", p->config_path,
           p->config.state_dir, p->config.run_dir, p->config.signers);
    return EXIT_SUCCESS;
}

/* ---- arguments */

enum action { ACT_NONE = 0, ACT_FOREGROUND = 256, ACT_INIT, ACT_RESTORE, ACT_CHECK, ACT_PRINT };

static int act(enum action action, struct parent *p)
{
    struct err err;

    if (action == ACT_PRINT) {
        config_print(stdout);
        return EXIT_SUCCESS;
    }
    if (!config_read(&p->config, p->config_path, &err))
        return fail(&err);
    if (action == ACT_INIT)
        return init_token(p);
    if (action == ACT_RESTORE)
        return restore(p);
    return action == ACT_CHECK ? check_config(p) : foreground(p);
}

static int usage_error(const char *why)
{
    fprintf(stderr, "keyd: %s\n\n%s", why, usage);
    return EXIT_USAGE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"foreground", no_argument, NULL, ACT_FOREGROUND},
        {"init-token", no_argument, NULL, ACT_INIT},
        {"restore", required_argument, NULL, ACT_RESTORE},
        {"check-config", no_argument, NULL, ACT_CHECK},
        {"print-config", no_argument, NULL, ACT_PRINT},
        {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {"version", no_argument, NULL, 'V'},
        {0},
    };
    static struct parent p = {.lock_fd = -1, .table.fd = -1, .access.fd = -1, .tls_bundle = -1};
    enum action action = ACT_NONE;
    int o;

    if (argc == 4 && strcmp(argv[1], "--child") == 0)
        child_main(argv[2], argv[3]);
    snprintf(p.config_path, sizeof(p.config_path), "%s", CONFIG_DEFAULT_PATH);
    while ((o = getopt_long(argc, argv, "c:hV", options, NULL)) != -1) {
        if (o == 'c') {
            snprintf(p.config_path, sizeof(p.config_path), "%s", optarg);
        } else if (o == 'h') {
            fputs(usage, stdout);
            return EXIT_SUCCESS;
        } else if (o == 'V') {
            puts("keyd " KEYD_VERSION);
            return EXIT_SUCCESS;
        } else if (o >= ACT_FOREGROUND && action == ACT_NONE) {
            action = (enum action)o;
            if (o == ACT_RESTORE)
                p.restore_dir = optarg;
        } else {
            return usage_error(o == '?' ? "unknown option" : "say one thing to do");
        }
    }
    if (action == ACT_NONE || optind < argc)
        return usage_error(action == ACT_NONE ? "nothing to do" : "unknown argument");
    return act(action, &p);
}
