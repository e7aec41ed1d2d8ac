/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/libkeyd/front.h"

#include <netinet/in.h>
#include <openssl/ssl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/unit/certs/certs.h"
#include "tests/unit/test.h"

#define PATIENCE_MS 20

/* Debian's libcrypto is not instrumented, so the atomic load that orders what it caches in the
 * certificate of the authority is not seen; what its own frames read is not what is tested here. */
const char *__tsan_default_suppressions(void);

const char *__tsan_default_suppressions(void)
{
    return "race:libcrypto.so\n";
}

struct front {
    SSL_CTX *ctx;
    int listener;
    unsigned port;
    char path[108];
    bool mute;
    atomic_bool stop;
    atomic_uint accepted, open, breaks;
    pthread_t thread;
};

struct link {
    struct front *front;
    int fd;
};

static int dial(const char *path)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(sa.sun_path, path, strlen(path) + 1);
    if (connect(fd, (struct sockaddr *)&sa, sizeof(sa)) != 0)
        abort();
    return fd;
}

/* One turn: what either side has goes to the other. False: one of them has ended. */
static bool carry(SSL *ssl, int plain)
{
    struct pollfd p[] = {{.fd = SSL_get_fd(ssl), .events = POLLIN},
                         {.fd = plain, .events = POLLIN}};
    char bytes[4096];

    if (!SSL_pending(ssl) && poll(p, 2, PATIENCE_MS) <= 0)
        return true;
    if (SSL_pending(ssl) || p[0].revents) {
        int n = SSL_read(ssl, bytes, sizeof(bytes));

        if (n <= 0 || send(plain, bytes, (size_t)n, MSG_NOSIGNAL) != n)
            return false;
    }
    if (p[1].revents) {
        ssize_t n = recv(plain, bytes, sizeof(bytes), 0);

        if (n <= 0 || SSL_write(ssl, bytes, (int)n) != n)
            return false;
    }
    return true;
}

static void *serve(void *arg)
{
    struct link link = *(struct link *)arg;
    struct front *f = link.front;
    unsigned breaks = f->breaks;
    SSL *ssl = SSL_new(f->ctx);
    int plain = -1;

    free(arg);
    SSL_set_fd(ssl, link.fd);
    while (f->mute && !f->stop && f->breaks == breaks)
        usleep(1000);
    if (!f->mute && SSL_accept(ssl) == 1) {
        plain = dial(f->path);
        while (!f->stop && f->breaks == breaks && carry(ssl, plain))
            ;
    }
    SSL_free(ssl);
    close(link.fd);
    if (plain >= 0)
        close(plain);
    f->open--;
    return NULL;
}

static void *listen_on(void *arg)
{
    struct front *f = arg;
    struct pollfd p = {.fd = f->listener, .events = POLLIN};
    pthread_t thread;

    while (!f->stop) {
        if (poll(&p, 1, PATIENCE_MS) <= 0)
            continue;
        struct link *link = malloc(sizeof(*link));
        *link = (struct link){f, accept4(f->listener, NULL, NULL, SOCK_CLOEXEC)};
        f->accepted++;
        f->open++;
        if (pthread_create(&thread, NULL, serve, link) != 0)
            abort();
        pthread_detach(thread);
    }
    return NULL;
}

static SSL_CTX *make_ctx(void)
{
    SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

    assert_int_equal(SSL_CTX_use_certificate_file(ctx, certs_path("server.crt"), SSL_FILETYPE_PEM),
                     1);
    assert_int_equal(SSL_CTX_use_PrivateKey_file(ctx, certs_path("server.key"), SSL_FILETYPE_PEM),
                     1);
    assert_int_equal(SSL_CTX_load_verify_file(ctx, certs_path("ca.pem")), 1);
    SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    SSL_CTX_set_num_tickets(ctx, 0); /* as keyd */
    return ctx;
}

struct front *front_start(const char *unix_path, bool mute)
{
    struct sockaddr_in sa = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof(sa);
    struct front *f = calloc(1, sizeof(*f));

    f->ctx = make_ctx();
    f->mute = mute;
    snprintf(f->path, sizeof(f->path), "%s", unix_path);
    f->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(f->listener, 64), 0);
    assert_int_equal(getsockname(f->listener, (struct sockaddr *)&sa, &len), 0);
    f->port = ntohs(sa.sin_port);
    assert_int_equal(pthread_create(&f->thread, NULL, listen_on, f), 0);
    return f;
}

const char *front_endpoint(const struct front *f, const char *host)
{
    static char text[128];

    snprintf(text, sizeof(text), "tls:%s:%u", host, f->port);
    return text;
}

uint32_t front_accepted(struct front *f)
{
    return f->accepted;
}

uint32_t front_open(struct front *f)
{
    return f->open;
}

void front_break(struct front *f)
{
    f->breaks++;
    while (f->open > 0)
        usleep(1000);
}

void front_stop(struct front *f)
{
    f->stop = true;
    pthread_join(f->thread, NULL);
    while (f->open > 0)
        usleep(1000);
    close(f->listener);
    SSL_CTX_free(f->ctx);
    free(f);
}
