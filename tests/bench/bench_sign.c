/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_sign: signatures per second of a running keyd, and what each costs it.
 *
 *   bench_sign --socket PATH --ref REF.pem --scheme 0x0403 [--in-flight N] [--connections N]
 *              [--library] [--seconds N] [--server PID]...
 *              [--tls PORT --cert FILE --client-key FILE --ca FILE]
 *
 * Without --library it speaks the protocol itself, from one thread, and keeps exactly so many
 * requests in flight all the time: a new one for each answer. This costs the machine least, and the
 * time of every request is known. With --library it calls libkeyd as its users do: keyd_sign where
 * a connection has one request in flight, else keyd_sign_batch (whose single times are not known).
 * With --tls it goes over TCP to that port of 127.0.0.1, with mutual TLS 1.3, instead of the
 * socket. Without --library it says the API token that stands in KEYD_TOKEN, if there is one.
 * The first answer on every connection is verified under the key; any error ends the run.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clients/libkeyd/keyd.h"
#include "proto/frame.h"
#include "proto/keyref.h"
#include "proto/scheme.h"
#include "tests/bench/bench.h"

#define CONNECTIONS_MAX 64
#define WINDOW_MAX      256
#define FRAME_ROOM      512 /* of one request */
#define WARM_UP_NS      200000000ull

static struct {
    const char *socket, *ref;
    const struct scheme *scheme;
    unsigned in_flight, connections, seconds;
    unsigned tls; /* a port; 0: the socket */
    const char *cert, *key, *ca;
    SSL_CTX *ctx;
    bool library;
    struct servers servers;
} set = {.in_flight = 1, .connections = 1, .seconds = 2};

static struct {
    struct keyref key;
    uint8_t der[KEYREF_DER_MAX];
    EVP_PKEY *public_key;
    atomic_bool measuring, stop;
    atomic_uint_fast64_t done;
    atomic_uint_fast64_t number; /* of the next message */
    struct histogram histogram;
} run;

static void read_reference(void)
{
    char text[8192];
    struct err err;
    FILE *f = fopen(set.ref, "r");
    const uint8_t *p;

    must(f != NULL, "%s: %s", set.ref, strerror(errno));
    size_t n = fread(text, 1, sizeof(text), f);
    fclose(f);
    must(keyref_from_pem(text, n, run.der, &run.key, &err), "%s: %s", set.ref, err.text);
    p = run.key.spki;
    run.public_key = d2i_PUBKEY(NULL, &p, (long)run.key.spki_len);
    must(run.public_key != NULL, "%s: no public key", set.ref);
}

static void verify(const uint8_t *message, const uint8_t *sig, size_t len)
{
    const struct scheme *s = set.scheme;
    const char *md = s->hash_bits == 256   ? "SHA256"
                     : s->hash_bits == 384 ? "SHA384"
                     : s->hash_bits == 512 ? "SHA512"
                                           : NULL;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx;
    bool ok = EVP_DigestVerifyInit_ex(ctx, &pctx, md, NULL, NULL, run.public_key, NULL) > 0 &&
              (s->padding != SCHEME_PSS ||
               (EVP_PKEY_CTX_set_rsa_padding(pctx, RSA_PKCS1_PSS_PADDING) > 0 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(pctx, RSA_PSS_SALTLEN_DIGEST) > 0)) &&
              EVP_DigestVerify(ctx, sig, len, message, MESSAGE_LEN) == 1;

    EVP_MD_CTX_free(ctx);
    must(ok, "a signature does not verify");
}

/* ------------------------------------------------------------------------------------ the wire */

struct slot {
    uint64_t sent_at;
    uint64_t number; /* of its message */
};

struct link {
    int fd;
    SSL *ssl; /* NULL: plain */
    bool verified;
    unsigned window;
    struct slot slots[WINDOW_MAX];
    uint8_t in[FRAME_CAP_SIGNING + FRAME_HEAD];
    size_t in_len;
    uint8_t out[(WINDOW_MAX + 1) * FRAME_ROOM];
    size_t out_len;
};

static void put(struct link *l, const envelope *e)
{
    must(frame_size(e) <= sizeof(l->out) - l->out_len, "no room for a request");
    l->out_len += frame_encode(e, l->out + l->out_len);
}

static void put_hello(struct link *l)
{
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    hello.version_min = hello.version_max = PROTOCOL_VERSION;
    if (getenv("KEYD_TOKEN"))
        hello.token = getenv("KEYD_TOKEN");
    hello.client = (char *)"bench_sign";
    e.id = WINDOW_MAX + 1;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    put(l, &e);
}

static void put_sign(struct link *l, unsigned slot)
{
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    uint8_t message[MESSAGE_LEN];

    l->slots[slot] = (struct slot){.sent_at = now_ns(), .number = run.number++};
    message_fill(message, l->slots[slot].number);
    sign.key_id = (ProtobufCBinaryData){.data = run.key.id, .len = KEY_ID_LEN};
    sign.scheme = set.scheme->code;
    sign.message = (ProtobufCBinaryData){.data = message, .len = MESSAGE_LEN};
    e.id = slot + 1;
    e.deadline_ms = 10000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    put(l, &e);
}

static void open_unix(struct link *l)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    must(strlen(set.socket) < sizeof(sa.sun_path), "%s is too long", set.socket);
    memcpy(sa.sun_path, set.socket, strlen(set.socket));
    l->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(l->fd >= 0 && connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "%s: %s",
         set.socket, strerror(errno));
}

static void open_tls(struct link *l)
{
    struct sockaddr_in sa = {.sin_family = AF_INET,
                             .sin_port = htons((uint16_t)set.tls),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;

    l->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(l->fd >= 0 && connect(l->fd, (struct sockaddr *)&sa, sizeof(sa)) == 0, "port %u: %s",
         set.tls, strerror(errno));
    setsockopt(l->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    l->ssl = SSL_new(set.ctx);
    must(l->ssl && SSL_set_fd(l->ssl, l->fd) == 1 && SSL_connect(l->ssl) == 1, "no handshake");
}

static void make_context(void)
{
    set.ctx = SSL_CTX_new(TLS_client_method());
    must(set.ctx && set.cert && set.key && set.ca &&
             SSL_CTX_use_certificate_file(set.ctx, set.cert, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_use_PrivateKey_file(set.ctx, set.key, SSL_FILETYPE_PEM) == 1 &&
             SSL_CTX_load_verify_file(set.ctx, set.ca) == 1,
         "--cert, --client-key and --ca are files in PEM");
    SSL_CTX_set_verify(set.ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_mode(set.ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
}

static void link_open(struct link *l, unsigned window)
{
    if (set.tls)
        open_tls(l);
    else
        open_unix(l);
    fcntl(l->fd, F_SETFL, O_NONBLOCK);
    l->window = window;
    put_hello(l);
    for (unsigned i = 0; i < window; i++)
        put_sign(l, i);
}

static void link_flush(struct link *l)
{
    ssize_t n = l->ssl ? SSL_write(l->ssl, l->out, (int)l->out_len)
                       : send(l->fd, l->out, l->out_len, MSG_NOSIGNAL);

    must(n > 0 || (l->ssl ? SSL_want_write(l->ssl) : errno == EAGAIN), "send: %s", strerror(errno));
    if (n > 0) {
        l->out_len -= (size_t)n;
        memmove(l->out, l->out + n, l->out_len);
    }
}

static void take_signature(struct link *l, const envelope *e)
{
    must(e->id >= 1 && e->id <= l->window, "an answer that was not asked for");
    struct slot *slot = &l->slots[e->id - 1];
    ProtobufCBinaryData sig = e->sign_reply->signature;

    if (!l->verified) {
        uint8_t message[MESSAGE_LEN];

        message_fill(message, slot->number);
        verify(message, sig.data, sig.len);
        l->verified = true;
    }
    if (run.measuring) {
        histogram_add(&run.histogram, now_ns() - slot->sent_at);
        run.done++;
    }
    put_sign(l, (unsigned)e->id - 1);
}

static void take(struct link *l, const uint8_t *p, size_t len)
{
    static struct arena a;
    struct err err;

    if (!a.cap)
        a = arena_of(FRAME_CAP_SIGNING * 2);
    arena_reset(&a);
    const envelope *e = frame_decode(&a, p, len, &err);
    must(e != NULL, "an answer cannot be read: %s", err.text);
    if (e->body_case == KEYD__V1__ENVELOPE__BODY_SIGN_REPLY)
        take_signature(l, e);
    else if (e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR)
        give_up("keyd said %s: %s", err_name((enum err_code)e->error->code), e->error->message);
    else
        must(e->body_case == KEYD__V1__ENVELOPE__BODY_HELLO_REPLY, "an answer of a wrong kind");
}

static void link_read(struct link *l)
{
    uint8_t *room = l->in + l->in_len;
    size_t at = 0, len, space = sizeof(l->in) - l->in_len;
    ssize_t n = l->ssl ? SSL_read(l->ssl, room, (int)space) : recv(l->fd, room, space, 0);

    must(n > 0 || (l->ssl ? SSL_want_read(l->ssl) : n < 0 && errno == EAGAIN),
         "keyd ended the connection");
    if (n > 0)
        l->in_len += (size_t)n;
    while (frame_peek(l->in + at, l->in_len - at, FRAME_CAP_SIGNING, &len) == FRAME_WHOLE) {
        take(l, l->in + at + FRAME_HEAD, len);
        at += FRAME_HEAD + len;
    }
    l->in_len -= at;
    memmove(l->in, l->in + at, l->in_len);
}

/* One thread, all connections; until the time is over. */
static void *run_wire(void *arg)
{
    struct link *links = calloc(set.connections, sizeof(*links));
    struct pollfd polls[CONNECTIONS_MAX];

    (void)arg;
    must(links != NULL, "no memory");
    for (unsigned i = 0; i < set.connections; i++)
        link_open(&links[i], set.in_flight / set.connections);
    while (!run.stop) {
        for (unsigned i = 0; i < set.connections; i++) {
            if (links[i].out_len)
                link_flush(&links[i]);
            polls[i] = (struct pollfd){.fd = links[i].fd, .events = POLLIN};
            if (links[i].out_len)
                polls[i].events |= POLLOUT;
        }
        must(poll(polls, set.connections, 5000) > 0, "no answer for five seconds");
        for (unsigned i = 0; i < set.connections; i++)
            if (polls[i].revents & ~POLLOUT)
                do
                    link_read(&links[i]);
                while (links[i].ssl && SSL_pending(links[i].ssl) > 0);
    }
    for (unsigned i = 0; i < set.connections; i++)
        close(links[i].fd);
    free(links);
    return NULL;
}

/* --------------------------------------------------------------------------------- the library */

struct caller {
    pthread_t thread;
    struct keyd_client *client;
    struct histogram histogram;
};

static void sign_one(struct caller *c, bool first)
{
    uint8_t message[MESSAGE_LEN], sig[KEYD_SIGNATURE_MAX];
    size_t len = sizeof(sig);
    struct keyd_error error;

    message_fill(message, run.number++);
    uint64_t begun = now_ns();
    int code =
        keyd_sign(c->client, run.key.id, set.scheme->code, message, MESSAGE_LEN, sig, &len, &error);
    must(code == KEYD_OK, "keyd_sign: %s: %s", keyd_code_name(code), error.message);
    if (first)
        verify(message, sig, len);
    if (run.measuring) {
        histogram_add(&c->histogram, now_ns() - begun);
        run.done++;
    }
}

static void sign_batch(struct caller *c, unsigned count, bool first)
{
    static _Thread_local struct keyd_sign_item items[WINDOW_MAX];
    static _Thread_local uint8_t messages[WINDOW_MAX][MESSAGE_LEN];
    struct keyd_error error;

    for (unsigned i = 0; i < count; i++) {
        message_fill(messages[i], run.number++);
        items[i].scheme = set.scheme->code;
        items[i].message = messages[i];
        items[i].message_len = MESSAGE_LEN;
        memcpy(items[i].key_id, run.key.id, KEY_ID_LEN);
    }
    int code = keyd_sign_batch(c->client, items, count, &error);
    must(code == KEYD_OK, "keyd_sign_batch: %s: %s", keyd_code_name(code), error.message);
    if (first)
        verify(messages[0], items[0].sig, items[0].sig_len);
    if (run.measuring)
        run.done += count;
}

static void *run_caller(void *arg)
{
    struct caller *c = arg;
    unsigned each = set.in_flight / set.connections;

    for (bool first = true; !run.stop; first = false)
        if (each == 1)
            sign_one(c, first);
        else
            sign_batch(c, each, first);
    return NULL;
}

/* One client, a thread for each connection. */
static void *run_library(void *arg)
{
    static struct caller callers[CONNECTIONS_MAX];
    struct keyd_client *client;
    struct keyd_error error;

    (void)arg;
    must(keyd_client_new(&client, set.socket, 10000, "bench_sign", &error) == KEYD_OK, "%s",
         error.message);
    for (unsigned i = 0; i < set.connections; i++) {
        callers[i].client = client;
        must(pthread_create(&callers[i].thread, NULL, run_caller, &callers[i]) == 0, "no thread");
    }
    for (unsigned i = 0; i < set.connections; i++) {
        pthread_join(callers[i].thread, NULL);
        histogram_merge(&run.histogram, &callers[i].histogram);
    }
    keyd_client_free(client);
    return NULL;
}

/* ------------------------------------------------------------------------------------- the run */

static void read_options(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},
        {"ref", required_argument, NULL, 'r'},
        {"scheme", required_argument, NULL, 'c'},
        {"in-flight", required_argument, NULL, 'f'},
        {"connections", required_argument, NULL, 'n'},
        {"seconds", required_argument, NULL, 't'},
        {"server", required_argument, NULL, 'p'},
        {"library", no_argument, NULL, 'l'},
        {"tls", required_argument, NULL, 'T'},
        {"cert", required_argument, NULL, 'C'},
        {"client-key", required_argument, NULL, 'K'},
        {"ca", required_argument, NULL, 'A'},
        {0},
    };
    int o;

    while ((o = getopt_long(argc, argv, "", options, NULL)) != -1)
        switch (o) {
        case 's':
            set.socket = optarg;
            break;
        case 'r':
            set.ref = optarg;
            break;
        case 'c':
            set.scheme = scheme_by_code((uint32_t)number_of("scheme", optarg, 1, 0xffff));
            must(set.scheme != NULL, "--scheme %s: keyd makes no such signature", optarg);
            break;
        case 'f':
            set.in_flight = (unsigned)number_of("in-flight", optarg, 1, WINDOW_MAX);
            break;
        case 'n':
            set.connections = (unsigned)number_of("connections", optarg, 1, CONNECTIONS_MAX);
            break;
        case 't':
            set.seconds = (unsigned)number_of("seconds", optarg, 1, 60);
            break;
        case 'p':
            servers_add(&set.servers, optarg);
            break;
        case 'l':
            set.library = true;
            break;
        case 'T':
            set.tls = (unsigned)number_of("tls", optarg, 1, 65535);
            break;
        case 'C':
            set.cert = optarg;
            break;
        case 'K':
            set.key = optarg;
            break;
        case 'A':
            set.ca = optarg;
            break;
        default:
            exit(2);
        }
    must((set.socket || set.tls) && set.ref && set.scheme,
         "--socket (or --tls), --ref and --scheme are needed");
    must(!set.tls || !set.library, "--tls is for the wire");
    if (set.tls)
        make_context();
    must(set.in_flight % set.connections == 0, "--in-flight is no multiple of --connections");
}

static void sleep_ns(uint64_t ns)
{
    nanosleep(&(struct timespec){(time_t)(ns / 1000000000), (long)(ns % 1000000000)}, NULL);
}

int main(int argc, char **argv)
{
    pthread_t thread;

    read_options(argc, argv);
    read_reference();
    must(pthread_create(&thread, NULL, set.library ? run_library : run_wire, NULL) == 0,
         "no thread");
    sleep_ns(WARM_UP_NS);
    uint64_t cpu = servers_cpu_ns(&set.servers), own = own_cpu_ns(), begun = now_ns();
    run.measuring = true;
    sleep_ns(set.seconds * 1000000000ull);
    run.measuring = false;
    uint64_t wall = now_ns() - begun, done = run.done;
    cpu = servers_cpu_ns(&set.servers) - cpu;
    own = own_cpu_ns() - own;
    run.stop = true;
    pthread_join(thread, NULL);
    must(done > 0, "not one signature in %u s", set.seconds);
    print_result(&run.histogram, done, wall, cpu, own);
    EVP_PKEY_free(run.public_key);
    return 0;
}
