/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_raw: what the token can do without keyd: processes that sign on session copies through the
 * token room, as keyd's signers do, with nobody between.
 *
 *   bench_raw --dir DIR --prepare [--module PATH]
 *   bench_raw --dir DIR --key ec|rsa [--processes N] [--seconds N] [--module PATH]
 *
 * --prepare makes a token of its own with two keys in DIR. The processes start one after another
 * (SoftHSM cannot do otherwise), then sign all at once; the first signature of each is verified.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keyd/token/sign.h"
#include "keyd/token/softhsm.h"
#include "proto/base/mem.h"
#include "tests/bench/bench.h"

#define PROCESSES_MAX 16
#define PIN_DIGITS    32
#define WARM_UP_NS    200000000ull

static struct {
    const char *dir, *module;
    const struct kind *kind;
    bool prepare;
    unsigned processes, seconds;
    char uri[512];
} set = {.module = "/usr/lib/softhsm/libsofthsm2.so", .processes = 2, .seconds = 2};

static const struct kind {
    const char *name;
    enum key_type type;
    uint16_t scheme;
    uint8_t cka_id;
} kinds[] = {
    {"ec", KEY_TYPE_EC_P256, 0x0403, 1},
    {"rsa", KEY_TYPE_RSA_2048, 0x0804, 2},
};

/* What a child tells, in shared memory. */
struct told {
    uint64_t count, wall_ns, cpu_ns;
    struct histogram histogram;
};

static const char *path_of(const char *name)
{
    static char path[600];

    snprintf(path, sizeof(path), "%s/%s", set.dir, name);
    return path;
}

static void write_file(const char *name, const void *p, size_t len)
{
    int fd = open(path_of(name), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

    must(fd >= 0 && write(fd, p, len) == (ssize_t)len && close(fd) == 0, "%s: %s", path_of(name),
         strerror(errno));
}

static struct token *open_token(bool writable)
{
    struct err err;
    struct token *t = NULL;
    struct secret pin = {0};

    must(secret_read_file(&pin, path_of("user.pin"), PIN_DIGITS + 1, &err) &&
             token_open(&t, set.uri, set.dir, writable, &err) && token_login(t, &pin, &err),
         "%s", err.text);
    secret_free(&pin);
    return t;
}

/* ------------------------------------------------------------------------------------- prepare */

static void make_key(struct token *t, const struct kind *kind)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = sizeof(spki);
    token_handle key;
    char name[32];
    struct err err;

    must(token_generate(t, kind->type, &kind->cka_id, 1, kind->name, true, &key, spki, &len, &err),
         "%s: %s", kind->name, err.text);
    snprintf(name, sizeof(name), "%s.spki", kind->name);
    write_file(name, spki, len);
}

static void prepare(void)
{
    struct secret so = {0}, user = {0};
    struct err err;

    must(softhsm_write_conf(set.dir, &err) && secret_random_hex(&so, PIN_DIGITS, &err) &&
             secret_random_hex(&user, PIN_DIGITS, &err) &&
             token_init(set.uri, set.dir, &so, &user, &err),
         "%s", err.text);
    write_file("user.pin", user.bytes, user.len);
    secret_free(&so);
    secret_free(&user);
    struct token *t = open_token(true);
    for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
        make_key(t, &kinds[i]);
    token_close(t);
}

/* ---------------------------------------------------------------------------------------- sign */

static size_t read_spki(uint8_t spki[SPKI_MAX_LEN])
{
    char name[32];

    snprintf(name, sizeof(name), "%s.spki", set.kind->name);
    int fd = open(path_of(name), O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, spki, SPKI_MAX_LEN);
    must(n > 0, "%s: %s", path_of(name), strerror(errno));
    close(fd);
    return (size_t)n;
}

static token_handle ready_key(struct token *t)
{
    uint8_t spki[SPKI_MAX_LEN];
    size_t len = read_spki(spki);
    token_handle key, copy;
    struct err err;

    must(token_find_private(t, &set.kind->cka_id, 1, &key, &err) &&
             token_session_copy(t, key, &copy, &err) &&
             token_prove(t, copy, set.kind->type, spki, len, &err),
         "%s", err.text);
    return copy;
}

static void sign_until(struct token *t, token_handle key, uint64_t end, struct told *told)
{
    const struct scheme *scheme = scheme_by_code(set.kind->scheme);
    uint8_t message[MESSAGE_LEN], sig[SIGNATURE_MAX];
    struct err err;
    uint64_t begun = now_ns();

    for (uint64_t n = 0; begun < end; n++) {
        size_t len = sizeof(sig);

        message_fill(message, n);
        must(token_sign(t, key, scheme, message, MESSAGE_LEN, sig, &len, &err), "%s", err.text);
        uint64_t now = now_ns();
        histogram_add(&told->histogram, now - begun);
        told->count++;
        begun = now;
    }
}

static _Noreturn void child(int ready, int go, struct told *told)
{
    struct token *t = open_token(false);
    token_handle key = ready_key(t);
    struct told warm_up = {0};
    char byte = 0;

    must(write(ready, &byte, 1) == 1, "write: %s", strerror(errno));
    must(read(go, &byte, 1) == 0, "the parent said something else than go");
    sign_until(t, key, now_ns() + WARM_UP_NS, &warm_up);
    uint64_t begun = now_ns(), cpu = own_cpu_ns();
    sign_until(t, key, begun + set.seconds * 1000000000ull, told);
    told->wall_ns = now_ns() - begun;
    told->cpu_ns = own_cpu_ns() - cpu;
    token_close(t);
    _exit(0);
}

static pid_t start(int go[2], struct told *told)
{
    int ready[2];
    char byte;

    must(pipe2(ready, O_CLOEXEC) == 0, "pipe: %s", strerror(errno));
    pid_t pid = fork();
    must(pid >= 0, "fork: %s", strerror(errno));
    if (pid == 0) {
        close(go[1]);
        close(ready[0]);
        child(ready[1], go[0], told);
    }
    close(ready[1]);
    must(read(ready[0], &byte, 1) == 1, "a process did not come up");
    close(ready[0]);
    return pid;
}

static void measure(void)
{
    static struct histogram all;
    size_t size = set.processes * sizeof(struct told);
    struct told *told = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t pids[PROCESSES_MAX];
    uint64_t count = 0, cpu = 0, wall = 1;
    int go[2], status;

    must(told != MAP_FAILED && pipe2(go, O_CLOEXEC) == 0, "%s", strerror(errno));
    for (unsigned i = 0; i < set.processes; i++)
        pids[i] = start(go, &told[i]);
    close(go[1]);
    for (unsigned i = 0; i < set.processes; i++) {
        must(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "a process failed");
        count += told[i].count;
        cpu += told[i].cpu_ns;
        wall = told[i].wall_ns > wall ? told[i].wall_ns : wall;
        histogram_merge(&all, &told[i].histogram);
    }
    must(count > 0, "not one signature");
    print_result(&all, count, wall, cpu, 0);
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"module", required_argument, NULL, 'm'},
        {"prepare", no_argument, NULL, 'p'},
        {"key", required_argument, NULL, 'k'},
        {"processes", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (o) {
        case 'd':
            set.dir = optarg;
            break;
        case 'm':
            set.module = optarg;
            break;
        case 'p':
            set.prepare = true;
            break;
        case 'k':
            for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
                if (strcmp(optarg, kinds[i].name) == 0)
                    set.kind = &kinds[i];
            break;
        case 'n':
            set.processes = (unsigned)number_of("processes", optarg, 1, PROCESSES_MAX);
            break;
        case 't':
            set.seconds = (unsigned)number_of("seconds", optarg, 1, 60);
            break;
        default:
            exit(2);
        }
    must(set.dir && (set.prepare || set.kind), "--dir and one of --prepare, --key ec, --key rsa");
    snprintf(set.uri, sizeof(set.uri), "pkcs11:token=bench?module-path=%s", set.module);
}

int main(int argc, char **argv)
{
    read_options(argc, argv);
    if (set.prepare)
        prepare();
    else
        measure();
    return 0;
}
