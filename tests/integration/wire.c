/* SPDX-License-Identifier: Apache-2.0
 *
 * wire: says to keyd what no client of ours would say. Its arguments are a socket and the steps of
 * one conversation, done in order; every frame that comes back is one line on stdout.
 *
 *   hello[=MIN-MAX]   a Hello that speaks protocol versions MIN to MAX (1-1)
 *   drip              the same, a byte at a time
 *   ping=ID  status=ID                  requests
 *   pings=N                             N pings in one go, ids from 1
 *   sign=ID:KEY-ID:SCHEME:MESSAGE       key id, scheme and message in hex
 *   sign-file=ID:KEY-ID:SCHEME:FILE     the message is the file's bytes
 *   schemes=KEY-ID:FILE                 the same with every scheme, 0 to 65535; reads all answers
 *   call=ID:FIELD[:HEX]                 any request: its field in the Envelope, and its body
 *   unknown=ID        a request whose verb no schema knows
 *   empty=ID          an Envelope without a body
 *   answer=ID         an answer, which only a server may send
 *   head=N            a frame's length field and nothing behind it
 *   garbage=N         a frame of N bytes that are no protobuf
 *   noise=N           N bytes without a frame
 *   part=N            the first N bytes of a ping's frame
 *   padded=N          a ping whose body is N bytes long (a field that nobody knows)
 *   half-close        no more will be said (shutdown(2))
 *   connect=N         N more connections, kept open and silent
 *   wait=FILE         until there is such a file, for 20 s at most
 *   read=N            waits for N frames
 *   rest              reads frames up to the end of the connection
 *
 * Lines: "hello version=1 max_frame=65536", "ping id=1", "status id=1", "signature id=1 HEX",
 * "error id=1 code=NOT_FOUND MESSAGE; HINT", then "end" (closed by keyd), "reset" or "quiet"
 * (nothing for 5 s). After schemes: "schemes refused=65535 others=0 signed=0403", in which refused
 * are those of code BAD_SCHEME or BAD_SHAPE. The API token in $KEYD_TOKEN, if any, goes with each
 * Hello. Exit status: 0 if the steps could be done.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/arena.h"
#include "proto/frame.h"
#include "proto/keys.h"

#define QUIET_S 5
#define ROOM    (2u << 20)
#define SCHEMES 65536u /* numbers of TLS SignatureScheme */
#define AT_ONCE 64u

static int sock;
static const char *path;
static uint8_t in[ROOM];
static size_t in_len;

_Noreturn static void die(const char *what, const char *detail)
{
    fprintf(stderr, "wire: %s: %s\n", what, detail);
    exit(2);
}

static int connected(void)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = QUIET_S};
    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path) >= (int)sizeof(addr.sun_path))
        die(path, "longer than a socket's path can be");
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        die(path, strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
    return fd;
}

/* A server that has heard enough may close while we still talk: that is no failure here. */
static void say(const void *bytes, size_t n)
{
    const uint8_t *p = bytes;
    while (n > 0) {
        ssize_t sent = send(sock, p, n, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        p += sent;
        n -= (size_t)sent;
    }
}

static void say_frame(const void *body, size_t n)
{
    uint8_t head[FRAME_HEAD] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                (uint8_t)n};
    say(head, sizeof(head));
    say(body, n);
}

static void say_envelope(const envelope *e)
{
    static uint8_t out[ROOM];
    if (frame_size(e) > sizeof(out))
        die("message", "too long for wire itself");
    say(out, frame_encode(e, out));
}

/* ---- what is heard */

static void print_error(const envelope *e)
{
    printf("error id=%llu code=%s %s; %s\n", (unsigned long long)e->id,
           err_name((enum err_code)e->error->code), e->error->message, e->error->hint);
}

static void print_signature(const envelope *e)
{
    printf("signature id=%llu ", (unsigned long long)e->id);
    for (size_t i = 0; i < e->sign_reply->signature.len; i++)
        printf("%02x", e->sign_reply->signature.data[i]);
    putchar('\n');
}

static void print_answer(const envelope *e)
{
    unsigned long long id = e->id;
    switch (e->body_case) {
    case KEYD__V1__ENVELOPE__BODY_ERROR:
        print_error(e);
        break;
    case KEYD__V1__ENVELOPE__BODY_HELLO_REPLY:
        printf("hello version=%u max_frame=%u\n", e->hello_reply->version,
               e->hello_reply->max_frame);
        break;
    case KEYD__V1__ENVELOPE__BODY_PING_REPLY:
        printf("ping id=%llu\n", id);
        break;
    case KEYD__V1__ENVELOPE__BODY_STATUS_REPLY:
        printf("status id=%llu\n", id);
        break;
    case KEYD__V1__ENVELOPE__BODY_SIGN_REPLY:
        print_signature(e);
        break;
    default:
        printf("body %d id=%llu\n", (int)e->body_case, id);
        break;
    }
}

/* What came back in the step `schemes`. */
static struct {
    bool on;
    unsigned refused, others;
    size_t answers;
    char signed_by[256];
} tally;

/* The request's id is its scheme and one. */
static void count_answer(const envelope *e)
{
    tally.answers++;
    if (e->body_case == KEYD__V1__ENVELOPE__BODY_SIGN_REPLY) {
        size_t n = strlen(tally.signed_by);
        snprintf(tally.signed_by + n, sizeof(tally.signed_by) - n, "%s%04x", n ? "," : "",
                 (unsigned)(e->id - 1));
    } else if (e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR &&
               (e->error->code == KEYD__V1__ERROR_CODE__ERROR_CODE_BAD_SCHEME ||
                e->error->code == KEYD__V1__ERROR_CODE__ERROR_CODE_BAD_SHAPE)) {
        tally.refused++;
    } else {
        tally.others++;
        print_answer(e);
    }
}

static bool take_frame(void)
{
    size_t len;
    struct err err;
    if (frame_peek(in, in_len, ROOM - FRAME_HEAD, &len) != FRAME_WHOLE)
        return false;
    struct arena a = arena_of(4 * ROOM);
    envelope *e = frame_decode(&a, in + FRAME_HEAD, len, &err);
    if (e && tally.on)
        count_answer(e);
    else if (e)
        print_answer(e);
    else
        printf("nonsense %s\n", err.text);
    arena_free(&a);
    in_len -= FRAME_HEAD + len;
    memmove(in, in + FRAME_HEAD + len, in_len);
    return true;
}

/* Prints up to `frames` frames. */
static void hear(size_t frames)
{
    while (frames > 0) {
        if (take_frame()) {
            frames--;
            continue;
        }
        ssize_t n = recv(sock, in + in_len, sizeof(in) - in_len, 0);
        if (n <= 0) {
            puts(n == 0 ? "end" : errno == ECONNRESET ? "reset" : "quiet");
            return;
        }
        in_len += (size_t)n;
    }
}

/* ---- the steps */

static uint64_t number(const char *arg)
{
    char *end;
    errno = 0;
    unsigned long long n = arg ? strtoull(arg, &end, 10) : 0;
    if (!arg || *arg == 0 || *end != 0 || errno != 0)
        die("not a number", arg ? arg : "(none)");
    return n;
}

static size_t length(const char *arg)
{
    uint64_t n = number(arg);
    if (n > ROOM - 16)
        die("too long for wire itself", arg);
    return (size_t)n;
}

static envelope hello_of(const char *arg, Keyd__V1__Hello *hello)
{
    static char name[] = "wire";
    keyd__v1__hello__init(hello);
    hello->version_min = hello->version_max = PROTOCOL_VERSION;
    hello->client = name;
    if (getenv("KEYD_TOKEN"))
        hello->token = getenv("KEYD_TOKEN");
    if (arg && sscanf(arg, "%u-%u", &hello->version_min, &hello->version_max) != 2)
        die("hello wants MIN-MAX", arg);
    envelope e = KEYD__V1__ENVELOPE__INIT;
    e.id = 1000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = hello;
    return e;
}

static void do_hello(const char *arg)
{
    Keyd__V1__Hello hello;
    envelope e = hello_of(arg, &hello);
    say_envelope(&e);
}

static void do_drip(const char *arg)
{
    Keyd__V1__Hello hello;
    envelope e = hello_of(arg, &hello);
    uint8_t out[512];
    size_t n = frame_encode(&e, out);
    for (size_t i = 0; i < n; i++) {
        say(out + i, 1);
        usleep(2000);
    }
}

static envelope ping_of(uint64_t id)
{
    static Keyd__V1__Ping ping = KEYD__V1__PING__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_PING;
    e.ping = &ping;
    return e;
}

static void do_ping(const char *arg)
{
    envelope e = ping_of(number(arg));
    say_envelope(&e);
}

static void do_pings(const char *arg)
{
    static uint8_t out[ROOM];
    size_t len = 0;
    uint64_t n = number(arg);
    for (uint64_t i = 1; i <= n && len + 64 < sizeof(out); i++) {
        envelope e = ping_of(i);
        len += frame_encode(&e, out + len);
    }
    say(out, len);
}

static void do_part(const char *arg)
{
    uint8_t out[64];
    envelope e = ping_of(1);
    size_t whole = frame_encode(&e, out), n = length(arg);
    if (n >= whole)
        die("part", "that would be the whole frame");
    say(out, n);
}

static void do_status(const char *arg)
{
    Keyd__V1__Status status = KEYD__V1__STATUS__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    e.id = number(arg);
    e.body_case = KEYD__V1__ENVELOPE__BODY_STATUS;
    e.status = &status;
    say_envelope(&e);
}

static size_t from_hex(const char *hex, uint8_t *out, size_t room)
{
    size_t n = strlen(hex) / 2;
    if (strlen(hex) % 2 != 0 || n > room || !hex_decode(hex, out, n))
        die("not hex, or too long", hex);
    return n;
}

/* Splits "a:b:c" into `count` parts. */
static void split(const char *arg, char *copy, size_t room, char **parts, size_t count)
{
    if (!arg || strlen(arg) >= room)
        die("no argument, or too long", arg ? arg : "");
    memcpy(copy, arg, strlen(arg) + 1);
    for (size_t i = 0; i < count; i++) {
        parts[i] = strsep(&copy, ":");
        if (!parts[i])
            die("parts are missing", arg);
    }
}

struct message {
    uint8_t key[64], bytes[ROOM / 4];
    size_t key_len, len;
};

static void say_sign(uint64_t id, uint32_t scheme, struct message *m)
{
    Keyd__V1__Sign sign = KEYD__V1__SIGN__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    sign.key_id = (ProtobufCBinaryData){m->key_len, m->key};
    sign.scheme = scheme;
    sign.message = (ProtobufCBinaryData){m->len, m->bytes};
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_SIGN;
    e.sign = &sign;
    say_envelope(&e);
}

static void read_file(const char *file, struct message *m)
{
    FILE *f = fopen(file, "rb");
    if (!f)
        die(file, strerror(errno));
    m->len = fread(m->bytes, 1, sizeof(m->bytes), f);
    fclose(f);
}

static void do_sign(const char *arg)
{
    static struct message m;
    static char copy[ROOM / 2];
    char *parts[4];

    split(arg, copy, sizeof(copy), parts, 4);
    m.key_len = from_hex(parts[1], m.key, sizeof(m.key));
    m.len = from_hex(parts[3], m.bytes, sizeof(m.bytes));
    say_sign(number(parts[0]), (uint32_t)strtoul(parts[2], NULL, 16), &m);
}

static void do_sign_file(const char *arg)
{
    static struct message m;
    char copy[1024], *parts[4];

    split(arg, copy, sizeof(copy), parts, 4);
    m.key_len = from_hex(parts[1], m.key, sizeof(m.key));
    read_file(parts[3], &m);
    say_sign(number(parts[0]), (uint32_t)strtoul(parts[2], NULL, 16), &m);
}

/* Some at a time: fewer than may be open on a connection. */
static void do_schemes(const char *arg)
{
    static struct message m;
    char copy[1024], *parts[2];

    split(arg, copy, sizeof(copy), parts, 2);
    m.key_len = from_hex(parts[0], m.key, sizeof(m.key));
    read_file(parts[1], &m);
    memset(&tally, 0, sizeof(tally));
    tally.on = true;
    for (uint32_t scheme = 0; scheme < SCHEMES; scheme += AT_ONCE) {
        for (uint32_t i = 0; i < AT_ONCE; i++)
            say_sign(scheme + i + 1, scheme + i, &m);
        hear(AT_ONCE);
        if (tally.answers != scheme + AT_ONCE)
            die("schemes", "keyd did not answer all");
    }
    tally.on = false;
    printf("schemes refused=%u others=%u signed=%s\n", tally.refused, tally.others,
           tally.signed_by);
}

static size_t put_varint(uint8_t *out, uint64_t n)
{
    size_t len = 0;

    for (; n > 0x7f; n >>= 7)
        out[len++] = (uint8_t)(n | 0x80);
    out[len++] = (uint8_t)n;
    return len;
}

static void do_call(const char *arg)
{
    static uint8_t out[ROOM / 4], body[ROOM / 8];
    char copy[4096], *parts[2], *hex;
    size_t n = 0, body_len = 0;

    split(arg, copy, sizeof(copy), parts, 2);
    hex = parts[1] + strlen(parts[1]) + 1;
    if (strlen(arg) > (size_t)(hex - copy))
        body_len = from_hex(hex, body, sizeof(body));
    out[n++] = 0x08; /* field 1: the id */
    n += put_varint(out + n, number(parts[0]));
    n += put_varint(out + n, number(parts[1]) << 3 | 2); /* length-delimited */
    n += put_varint(out + n, body_len);
    memcpy(out + n, body, body_len);
    say_frame(out, n + body_len);
}

/* An id below 128, so that it is one byte of varint. */
static uint8_t small_id(const char *arg)
{
    uint64_t id = number(arg);
    if (id == 0 || id > 127)
        die("the id must be 1 to 127 here", arg);
    return (uint8_t)id;
}

static void do_unknown(const char *arg)
{
    /* field 1 = id; field 2000, length-delimited and empty: tag 2000 << 3 | 2 */
    uint8_t body[] = {0x08, small_id(arg), 0x82, 0x7d, 0x00};
    say_frame(body, sizeof(body));
}

static void do_empty(const char *arg)
{
    uint8_t body[] = {0x08, small_id(arg)};
    say_frame(body, sizeof(body));
}

static void do_answer(const char *arg)
{
    Keyd__V1__PingReply reply = KEYD__V1__PING_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;
    e.id = number(arg);
    e.body_case = KEYD__V1__ENVELOPE__BODY_PING_REPLY;
    e.ping_reply = &reply;
    say_envelope(&e);
}

static void do_head(const char *arg)
{
    uint64_t n = number(arg);
    uint8_t head[FRAME_HEAD] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8),
                                (uint8_t)n};
    say(head, sizeof(head));
}

static const uint8_t *bytes_ff(size_t n)
{
    static uint8_t bytes[ROOM];
    memset(bytes, 0xff, n); /* as protobuf: a varint that never ends */
    return bytes;
}

static void do_garbage(const char *arg)
{
    size_t n = length(arg);
    say_frame(bytes_ff(n), n);
}

static void do_noise(const char *arg)
{
    size_t n = length(arg);
    say(bytes_ff(n), n);
}

static void do_padded(const char *arg)
{
    static uint8_t body[ROOM];
    size_t n = length(arg);
    /* id 1; ping (field 12), empty; then field 2000 with what is left of n */
    static const uint8_t start[] = {0x08, 0x01, 0x62, 0x00, 0x82, 0x7d};
    const size_t used = sizeof(start) + 3;
    if (n < used || n - used > 0x1fffff)
        die("padded", "out of its range");
    size_t left = n - used;
    memcpy(body, start, sizeof(start));
    body[6] = (uint8_t)(0x80 | (left & 0x7f));
    body[7] = (uint8_t)(0x80 | (left >> 7 & 0x7f));
    body[8] = (uint8_t)(left >> 14);
    say_frame(body, n);
}

static void do_half_close(const char *arg)
{
    (void)arg;
    shutdown(sock, SHUT_WR);
}

static void do_connect(const char *arg)
{
    for (uint64_t n = number(arg); n > 0; n--)
        (void)connected();
}

static void do_wait(const char *arg)
{
    for (int i = 0; !arg || access(arg, F_OK) != 0; i++) {
        if (!arg || i == 2000)
            die("wait", "no such file yet");
        usleep(10000);
    }
}

static void do_read(const char *arg)
{
    hear(length(arg));
}

static void do_rest(const char *arg)
{
    (void)arg;
    hear(SIZE_MAX);
}

static const struct step {
    const char *name;
    void (*run)(const char *arg);
} steps[] = {
    {"hello", do_hello},         {"drip", do_drip},       {"ping", do_ping},
    {"pings", do_pings},         {"part", do_part},       {"status", do_status},
    {"sign", do_sign},           {"unknown", do_unknown}, {"empty", do_empty},
    {"answer", do_answer},       {"head", do_head},       {"garbage", do_garbage},
    {"noise", do_noise},         {"padded", do_padded},   {"half-close", do_half_close},
    {"connect", do_connect},     {"read", do_read},       {"rest", do_rest},
    {"sign-file", do_sign_file}, {"schemes", do_schemes}, {"call", do_call},
    {"wait", do_wait},
};

static void do_step(char *text)
{
    const char *name = strsep(&text, "="); /* text is now the argument or NULL */
    for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
        if (strcmp(steps[i].name, name) == 0) {
            steps[i].run(text);
            return;
        }
    }
    die("no such step", name);
}

int main(int argc, char **argv)
{
    if (argc < 3) {
        fputs("usage: wire SOCKET STEP...\n", stderr);
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    path = argv[1];
    sock = connected();
    for (int i = 2; i < argc; i++)
        do_step(argv[i]);
    close(sock);
    return 0;
}
