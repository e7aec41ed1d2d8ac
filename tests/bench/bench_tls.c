/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_tls: full TLS 1.3 handshakes per second with a server on loopback.
 *
 *   bench_tls --port N [--threads N] [--seconds N] [--server PID]...
 *             [--cert FILE --key FILE --say hello|line]
 *
 * Every handshake is on a connection of its own, resumes nothing, and verifies the server's
 * signature (not the certificate's chain). With --cert the client proves who it is, which the
 * server looks at after the client is done: so it says something then (keyd's Hello, or a line for
 * `openssl s_server -rev`), and a connection counts when an answer has come.
 */
#include <errno.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench.h"

#define THREADS_MAX 64
#define WARM_UP_NS  200000000ull

static struct {
    unsigned port, threads, seconds;
    const char *cert, *key, *say;
    struct servers servers;
} set = {.threads = 8, .seconds = 2};

static struct {
    SSL_CTX *ctx;
    atomic_bool measuring, stop;
    atomic_uint_fast64_t done;
} run;

struct worker {
    pthread_t thread;
    struct histogram histogram;
};

static int connect_tcp(void)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)set.port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct linger now = {.l_onoff = 1}; /* else the ports run out in TIME_WAIT */
    int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    must(fd >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "port %u: %s", set.port,
         strerror(errno));
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    return fd;
}

/* Envelope { id: 1, hello { version_min: 1, version_max: 1 } } in its frame. */
static const unsigned char hello[] = {0, 0, 0, 8, 0x08, 1, 0x52, 4, 0x08, 1, 0x10, 1};

static void say_and_hear(SSL *ssl)
{
    bool keyd = strcmp(set.say, "hello") == 0;
    const void *text = keyd ? (const void *)hello : "line\n";
    char answer[512];

    must(SSL_write(ssl, text, keyd ? (int)sizeof(hello) : 5) > 0, "nothing can be said");
    must(SSL_read(ssl, answer, sizeof(answer)) > 0, "the server does not want us");
}

static void handshake(struct worker *w)
{
    uint64_t begun = now_ns();
    int fd = connect_tcp();
    SSL *ssl = SSL_new(run.ctx);

    must(ssl && SSL_set_fd(ssl, fd) == 1, "no memory");
    must(SSL_connect(ssl) == 1, "a handshake failed");
    must(!SSL_session_reused(ssl), "a handshake was resumed");
    if (set.say)
        say_and_hear(ssl);
    if (run.measuring) {
        histogram_add(&w->histogram, now_ns() - begun);
        run.done++;
    }
    SSL_free(ssl);
    close(fd);
}

static void *work(void *arg)
{
    while (!run.stop)
        handshake(arg);
    return NULL;
}

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},    {"threads", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'}, {"server", required_argument, NULL, 's'},
        {"cert", required_argument, NULL, 'c'},    {"key", required_argument, NULL, 'k'},
        {"say", required_argument, NULL, 'S'},     {0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (o) {
        case 'p':
            set.port = (unsigned)number_of("port", optarg, 1, 65535);
            break;
        case 'n':
            set.threads = (unsigned)number_of("threads", optarg, 1, THREADS_MAX);
            break;
        case 't':
            set.seconds = (unsigned)number_of("seconds", optarg, 1, 60);
            break;
        case 's':
            servers_add(&set.servers, optarg);
            break;
        case 'c':
            set.cert = optarg;
            break;
        case 'k':
            set.key = optarg;
            break;
        case 'S':
            set.say = optarg;
            break;
        default:
            exit(2);
        }
    must(set.port, "--port is needed");
}

static void sleep_ns(uint64_t ns)
{
    nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

int main(int argc, char **argv)
{
    static struct worker workers[THREADS_MAX];
    static struct histogram all;

    read_options(argc, argv);
    run.ctx = SSL_CTX_new(TLS_client_method());
    must(run.ctx && SSL_CTX_set_min_proto_version(run.ctx, TLS1_3_VERSION), "no TLS 1.3");
    SSL_CTX_set_session_cache_mode(run.ctx, SSL_SESS_CACHE_OFF);
    if (set.cert)
        must(SSL_CTX_use_certificate_file(run.ctx, set.cert, SSL_FILETYPE_PEM) == 1 &&
                 SSL_CTX_use_PrivateKey_file(run.ctx, set.key, SSL_FILETYPE_PEM) == 1,
             "%s cannot be used", set.cert);
    for (unsigned i = 0; i < set.threads; i++)
        must(pthread_create(&workers[i].thread, NULL, work, &workers[i]) == 0, "no thread");
    sleep_ns(WARM_UP_NS);
    uint64_t cpu = servers_cpu_ns(&set.servers), own = own_cpu_ns(), begun = now_ns();
    run.measuring = true;
    sleep_ns(set.seconds * 1000000000ull);
    run.measuring = false;
    uint64_t wall = now_ns() - begun, done = run.done;
    cpu = servers_cpu_ns(&set.servers) - cpu;
    own = own_cpu_ns() - own;
    run.stop = true;
    for (unsigned i = 0; i < set.threads; i++) {
        pthread_join(workers[i].thread, NULL);
        histogram_merge(&all, &workers[i].histogram);
    }
    must(done > 0, "not one handshake in %u s", set.seconds);
    print_result(&all, done, wall, cpu, own);
    SSL_CTX_free(run.ctx);
    return 0;
}
