/* SPDX-License-Identifier: Apache-2.0
 *
 * memsearch: what is left of private keys in memory and files. It looks for every run of 16 bytes
 * of each private number, in both byte orders (libcrypto's numbers lie with the lowest byte first),
 * and beside them for a needle that must be there: where it is not found, nothing was searched.
 *
 *     memsearch [OPTION...] KEY.pem... -- MODE ARG...
 *
 *   -n TEXT   the needle is this text; else it is the public half of the keys
 *   -v        tells where the first few runs were found
 *
 * Modes:
 *   pid PID...       searches processes
 *   at-exit PID      waits until the process ends by itself, and searches it before it is gone
 *   run COMMAND...   runs it, and searches it after its last instruction; its exit status is ours
 *   files PATH...    searches files
 *   prove            plants the keys in a child, in each kind of mapping, and must find them there
 *
 * One line each: "pid 123 key 0 needle 7", followed by what was found where: "heap 3 stack 1".
 * Whoever may not be dumped (keyd, keydctl) is readable for root alone.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/core_names.h>
#include <openssl/pem.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "proto/base/mem.h"
#include "proto/base/secret.h"
#include "tests/unit/import/residue.h"

#define PLANT_MAX 512

static struct residue *keys, *needle;
static EVP_PKEY *first_key;

_Noreturn static void die(const char *what, const char *detail)
{
    fprintf(stderr, "memsearch: %s: %s\n", what, detail);
    exit(2);
}

/* ---- what is looked for */

static void add_public(EVP_PKEY *key)
{
    uint8_t bytes[1024];
    BIGNUM *n = NULL;
    size_t len = 0;

    if (EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &n) == 1)
        len = (size_t)BN_bn2bin(n, bytes);
    else if (EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, bytes, sizeof(bytes),
                                             &len) != 1)
        die("public key", "none");
    BN_free(n);
    residue_add(needle, bytes, len);
}

static void add_key(const char *path, bool with_public)
{
    FILE *f = fopen(path, "r");
    EVP_PKEY *key = f ? PEM_read_PrivateKey(f, NULL, NULL, NULL) : NULL;

    if (!key)
        die(path, "no private key");
    fclose(f);
    residue_add_key(keys, key);
    if (with_public)
        add_public(key);
    if (first_key)
        EVP_PKEY_free(key);
    else
        first_key = key;
}

/* ---- searching */

static void tell(const char *what, const char *name, const unsigned found[RESIDUE_KINDS],
                 unsigned needles)
{
    unsigned sum = 0;

    for (int i = 0; i < RESIDUE_KINDS; i++)
        sum += found[i];
    printf("%s %s key %u needle %u", what, name, sum, needles);
    for (int i = 0; i < RESIDUE_KINDS; i++)
        if (found[i])
            printf(" %s %u", residue_kind_name((enum residue_kind)i), found[i]);
    putchar('\n');
    fflush(stdout);
}

static void search(const char *what, pid_t pid)
{
    unsigned found[RESIDUE_KINDS];
    char name[16];

    snprintf(name, sizeof(name), "%d", (int)pid);
    residue_search_kinds(keys, pid, found);
    tell(what, name, found, residue_search(needle, pid));
}

static pid_t pid_of(const char *text)
{
    char *end;
    long pid = strtol(text, &end, 10);

    if (*text == 0 || *end != 0 || pid <= 0)
        die("no pid", text);
    return (pid_t)pid;
}

static int do_pid(char **args)
{
    for (; *args; args++)
        search("pid", pid_of(*args));
    return 0;
}

static int do_files(char **args)
{
    for (; *args; args++) {
        int fd = open(*args, O_RDONLY | O_CLOEXEC);
        unsigned found[RESIDUE_KINDS] = {0};

        if (fd < 0)
            die(*args, strerror(errno));
        found[RESIDUE_FILE] = residue_search_file(keys, fd, *args);
        tell("file", *args, found, residue_search_file(needle, fd, *args));
        close(fd);
    }
    return 0;
}

/* ---- the last moment of a process (ptrace(2), PTRACE_O_TRACEEXIT): all has been done, and its
 * memory is still there */

static bool is_exit(int status)
{
    return status >> 8 == (SIGTRAP | PTRACE_EVENT_EXIT << 8);
}

/* Waits for that moment, passing on the signals of before; how the process ends. */
static int wait_for_exit(pid_t pid)
{
    unsigned long message = 0;
    int status;

    while (waitpid(pid, &status, __WALL) == pid && WIFSTOPPED(status) && !is_exit(status)) {
        int sig = status >> 16 ? 0 : WSTOPSIG(status);

        if (ptrace(PTRACE_CONT, pid, NULL, sig) != 0)
            break;
    }
    if (!WIFSTOPPED(status) || ptrace(PTRACE_GETEVENTMSG, pid, NULL, &message) != 0)
        die("the process", "is gone without its last moment");
    return (int)message;
}

static int do_at_exit(char **args)
{
    pid_t pid = pid_of(*args ? *args : "");

    if (ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) != 0)
        die("ptrace", strerror(errno));
    puts("waiting");
    fflush(stdout);
    wait_for_exit(pid);
    search("at-exit", pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    return 0;
}

static int do_run(char **args)
{
    pid_t pid = fork();
    int status;

    if (pid == 0) {
        raise(SIGSTOP); /* until it is seized */
        execvp(args[0], args);
        die(args[0], strerror(errno));
    }
    if (pid < 0 || waitpid(pid, &status, WUNTRACED) != pid || !WIFSTOPPED(status) ||
        ptrace(PTRACE_SEIZE, pid, NULL, PTRACE_O_TRACEEXIT) != 0 || kill(pid, SIGCONT) != 0)
        die("run", strerror(errno));
    status = wait_for_exit(pid);
    search("run", pid);
    ptrace(PTRACE_DETACH, pid, NULL, NULL);
    waitpid(pid, NULL, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- the search proves itself: a child holds a private number, changed by a mask so that nothing
 * else holds it, in one kind of mapping */

#define MASK 0xa5

static uint8_t in_data[PLANT_MAX] = {1};

static size_t private_number(bool turned, uint8_t out[PLANT_MAX])
{
    const char *name =
        EVP_PKEY_is_a(first_key, "RSA") ? OSSL_PKEY_PARAM_RSA_D : OSSL_PKEY_PARAM_PRIV_KEY;
    BIGNUM *d = NULL;
    int n = 0;

    if (EVP_PKEY_get_bn_param(first_key, name, &d) == 1 && BN_num_bytes(d) <= PLANT_MAX)
        n = turned ? BN_bn2lebinpad(d, out, BN_num_bytes(d)) : BN_bn2bin(d, out);
    BN_clear_free(d);
    if (n < 16)
        die("prove", "no private number");
    return (size_t)n;
}

static void *page(int fd)
{
    int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED;
    void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, flags, fd, 0);

    return p != MAP_FAILED ? p : (die("mmap", strerror(errno)), NULL);
}

static void *place(enum residue_kind kind)
{
    struct secret s = {0};
    struct err err;

    if (kind == RESIDUE_HEAP)
        return sbrk(4096);
    if (kind == RESIDUE_FILE)
        return in_data;
    if (kind == RESIDUE_SECRET)
        return secret_new(&s, PLANT_MAX, &err) ? s.bytes : (die("secret", err.text), NULL);
    if (kind != RESIDUE_MEMFD)
        return page(-1);
    int fd = memfd_create("plant", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, 4096) != 0)
        die("memfd", strerror(errno));
    return page(fd);
}

_Noreturn static void hold(enum residue_kind kind, const uint8_t *bytes, size_t len, int ready)
{
    uint8_t on_stack[PLANT_MAX] = {1};
    volatile uint8_t *at = kind == RESIDUE_STACK ? on_stack : place(kind);

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    for (size_t i = 0; i < len; i++)
        at[i] = bytes[i] ^ MASK;
    if (write(ready, "", 1) != 1)
        _exit(1);
    for (;;)
        pause();
}

static pid_t start_holder(enum residue_kind kind, bool turned)
{
    uint8_t bytes[PLANT_MAX], c;
    size_t len = private_number(turned, bytes);
    int ready[2];

    if (pipe(ready) != 0)
        die("pipe", strerror(errno));
    pid_t pid = fork();
    if (pid == 0)
        hold(kind, bytes, len, ready[1]);
    close(ready[1]);
    if (pid < 0 || read(ready[0], &c, 1) != 1)
        die("prove", "the child is gone");
    close(ready[0]);
    return pid;
}

/* Found there, whole, and nowhere else. */
static bool proven(enum residue_kind kind, bool turned)
{
    unsigned found[RESIDUE_KINDS];
    uint8_t bytes[PLANT_MAX];
    pid_t pid = start_holder(kind, turned);
    struct residue *r = residue_new(false); /* only now: the child must not have it */
    size_t len = private_number(false, bytes);
    bool ok = true;

    for (size_t i = 0; i < len; i++)
        bytes[i] ^= MASK;
    residue_add(r, bytes, len);
    residue_search_kinds(r, pid, found);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    residue_free(r);
    for (int i = 0; i < RESIDUE_KINDS; i++)
        ok = ok && found[i] == ((enum residue_kind)i == kind ? len - 15 : 0);
    return ok;
}

/* In a process of its own: what a search leaves behind would be found by the next one. */
static bool proves(enum residue_kind kind, bool turned)
{
    int status = 1;
    pid_t pid = fork();

    if (pid == 0)
        _exit(proven(kind, turned) ? 0 : 1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

static int do_prove(char **args)
{
    int status = 0;

    (void)args;
    for (int kind = 0; kind < RESIDUE_KINDS; kind++)
        for (int turned = 0; turned < 2; turned++)
            if (!proves((enum residue_kind)kind, turned != 0)) {
                printf("not found, or elsewhere: %s, %s\n",
                       residue_kind_name((enum residue_kind)kind), turned ? "turned" : "as it is");
                status = 1;
            }
    if (status == 0)
        printf("found in %d kinds of mappings, in both byte orders\n", RESIDUE_KINDS);
    return status;
}

/* ---- */

static const struct mode {
    const char *name;
    int (*run)(char **args);
} modes[] = {
    {"pid", do_pid},     {"at-exit", do_at_exit}, {"run", do_run},
    {"files", do_files}, {"prove", do_prove},
};

static char **read_options(char **args)
{
    const char *text = NULL;
    bool shown = false;

    for (; *args && **args == '-' && strcmp(*args, "--") != 0; args++) {
        if (strcmp(*args, "-v") == 0)
            shown = true;
        else if (strcmp(*args, "-n") == 0 && args[1])
            text = *++args;
        else
            die("no such option", *args);
    }
    keys = residue_new(shown);
    needle = residue_new(false);
    if (text)
        residue_add(needle, text, strlen(text));
    for (; *args && strcmp(*args, "--") != 0; args++)
        add_key(*args, !text);
    if (!first_key || !*args)
        die("usage", "memsearch [-v] [-n TEXT] KEY.pem... -- MODE ARG...");
    return args + 1;
}

int main(int argc, char **argv)
{
    char **args = read_options(argv + (argc > 0));

    for (size_t i = 0; *args && i < sizeof(modes) / sizeof(modes[0]); i++)
        if (strcmp(modes[i].name, *args) == 0)
            return modes[i].run(args + 1);
    die("no such mode", *args ? *args : "(none)");
}
