/* SPDX-License-Identifier: Apache-2.0
 *
 * hostile: imports as no client of ours would send them. It wraps and signs as libkeyd does, spoils
 * what it is told to spoil, and prints what keyd says.
 *
 *     hostile SOCKET tenant=T name=N key=FILE [OPTION=VALUE...]
 *
 *   key=FILE        the private key (PEM) that is wrapped, claimed and signs
 *   claim=FILE      another key (PEM) whose public half is sent
 *   signer=FILE     another key (PEM) that makes the proof
 *   spki=FILE       these bytes are sent as the public key
 *   pkcs8=FILE      these bytes are wrapped
 *   wrap-for=FILE   wrapped for this key (PEM), and not for keyd's import key
 *   blobs=FILE      the wrapped pieces of an import that was recorded
 *   flip=WHAT:N     bit 0 of byte N of kek, key, nonce or import-key is changed before the proof
 *   late=WHAT:N     the same, after it; also of proof
 *   cut=N           the wrapped key is cut by N bytes
 *   send-as=TENANT  the tenant is changed after the proof
 *   record=FILE     the whole request is written to FILE, and not sent
 *   replay=FILE     what was recorded is sent as it is, and nothing else
 *   uid=N           comes as this user (root alone can)
 *   times=N         N imports, each with the next byte of the pieces changed, five by one user:
 *                   all answers must be alike to the last byte
 *
 * Prints "imported", "recorded", or "refused CODE retry=MS MESSAGE; HINT"; for times
 * "N alike: ..." with the answer. Exit status: 0, whatever keyd said; 1: answers differ.
 */
#include <errno.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/base/arena.h"
#include "proto/base/mem.h"
#include "proto/frame.h"
#include "tests/unit/import/wrapper.h"

#define ROOM     (128u << 10)
#define QUIET_S  60
#define EACH_UID 5 /* failures that keyd lets a principal have at once */

_Noreturn static void die(const char *what, const char *detail)
{
    fprintf(stderr, "hostile: %s: %s\n", what, detail);
    exit(2);
}

/* ---- what is asked for */

static struct {
    const char *socket, *tenant, *name, *key, *claim, *signer, *spki, *pkcs8, *wrap_for, *blobs,
        *flip, *late, *cut, *send_as, *record, *replay, *uid, *times;
} opt;

static const struct {
    const char *name;
    const char **to;
} options[] = {
    {"tenant", &opt.tenant},   {"name", &opt.name},     {"key", &opt.key},
    {"claim", &opt.claim},     {"signer", &opt.signer}, {"spki", &opt.spki},
    {"pkcs8", &opt.pkcs8},     {"blobs", &opt.blobs},   {"wrap-for", &opt.wrap_for},
    {"flip", &opt.flip},       {"late", &opt.late},     {"cut", &opt.cut},
    {"send-as", &opt.send_as}, {"uid", &opt.uid},       {"times", &opt.times},
    {"record", &opt.record},   {"replay", &opt.replay},
};

static void read_option(char *arg)
{
    const char *name = strsep(&arg, "=");

    for (size_t i = 0; arg && i < sizeof(options) / sizeof(options[0]); i++) {
        if (strcmp(options[i].name, name) == 0) {
            *options[i].to = arg;
            return;
        }
    }
    die("no such option", name);
}

static size_t number(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);

    if (*text == 0 || *end != 0)
        die("not a number", text);
    return n;
}

/* ---- files */

static size_t read_file(const char *path, uint8_t *out, size_t room)
{
    FILE *f = fopen(path, "r");
    size_t n = f ? fread(out, 1, room, f) : 0;

    if (!f || n == 0 || n == room)
        die(path, "cannot be read, is empty or too long");
    fclose(f);
    return n;
}

static struct sample *sample_of(const char *path)
{
    FILE *f = fopen(path, "r");
    struct sample *s = mem_new(sizeof(*s));

    if (!f || !s || !(s->key = PEM_read_PrivateKey(f, NULL, NULL, NULL)))
        die(path, "no private key");
    fclose(f);
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(s->key);
    uint8_t *at = s->pkcs8, *spki = s->spki;
    if (i2d_PKCS8_PRIV_KEY_INFO(info, NULL) > (int)sizeof(s->pkcs8) ||
        i2d_PUBKEY(s->key, NULL) > (int)sizeof(s->spki))
        die(path, "too long");
    s->pkcs8_len = (size_t)i2d_PKCS8_PRIV_KEY_INFO(info, &at);
    s->spki_len = (size_t)i2d_PUBKEY(s->key, &spki);
    PKCS8_PRIV_KEY_INFO_free(info);
    return s;
}

/* ---- the connection */

/* SO_PEERCRED tells the effective uid of connect(2); the files are opened as root all the same. */
static int connected(size_t uid)
{
    struct sockaddr_un addr = {.sun_family = AF_UNIX};
    struct timeval limit = {.tv_sec = QUIET_S};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", opt.socket) >=
        (int)sizeof(addr.sun_path))
        die(opt.socket, "longer than a socket's path can be");
    if (uid != geteuid() && seteuid((uid_t)uid) != 0)
        die("seteuid", strerror(errno));
    setfsuid(getuid());
    if (fd < 0 || connect(fd, (struct sockaddr *)&addr, sizeof(addr)) != 0)
        die(opt.socket, strerror(errno));
    if (seteuid(getuid()) != 0)
        die("seteuid", strerror(errno));
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    return fd;
}

static void send_bytes(int fd, const uint8_t *p, size_t n)
{
    for (ssize_t sent; n > 0; p += sent, n -= (size_t)sent)
        if ((sent = send(fd, p, n, MSG_NOSIGNAL)) <= 0)
            die("send", strerror(errno));
}

static void receive(int fd, uint8_t *p, size_t n)
{
    for (ssize_t got; n > 0; p += got, n -= (size_t)got)
        if ((got = recv(fd, p, n, 0)) <= 0)
            die("receive", got == 0 ? "keyd has closed the connection" : strerror(errno));
}

/* One frame each; the answer stays in out. */
static size_t exchange(int fd, const uint8_t *frame, size_t len, uint8_t out[ROOM])
{
    size_t n;

    send_bytes(fd, frame, len);
    receive(fd, out, FRAME_HEAD);
    if (frame_peek(out, FRAME_HEAD, ROOM - FRAME_HEAD, &n) == FRAME_OVERSIZE)
        die("answer", "too long");
    receive(fd, out + FRAME_HEAD, n);
    return n + FRAME_HEAD;
}

static const envelope *ask(int fd, struct arena *a, const envelope *e)
{
    static uint8_t out[ROOM], in[ROOM];
    size_t n = exchange(fd, out, frame_encode(e, out), in);
    struct err err;
    const envelope *reply = frame_decode(a, in + FRAME_HEAD, n - FRAME_HEAD, &err);

    return reply ? reply : (die("answer", err.text), NULL);
}

static void say_hello(int fd)
{
    struct arena a CLEANUP(arena_free) = arena_of(ROOM);
    Keyd__V1__Hello hello = KEYD__V1__HELLO__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    hello.version_min = hello.version_max = PROTOCOL_VERSION;
    hello.client = (char *)(uintptr_t) "hostile";
    e.id = 1;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO;
    e.hello = &hello;
    if (ask(fd, &a, &e)->body_case != KEYD__V1__ENVELOPE__BODY_HELLO_REPLY)
        die("hello", "refused");
}

static int greeted(size_t uid)
{
    int fd = connected(uid);

    say_hello(fd);
    return fd;
}

/* ---- a request */

struct request {
    Keyd__V1__KeysImport body;
    uint8_t nonce[IMPORT_NONCE_LEN], import_key[KEY_ID_LEN], spki[4096], proof[1024];
    uint8_t import_spki[SPKI_MAX_LEN];
    size_t import_spki_len;
    enum import_hash hash;
    struct wrapped w;
};

static void begin(int fd, struct request *r)
{
    struct arena a CLEANUP(arena_free) = arena_of(ROOM);
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    body.begin = true;
    e.id = 2;
    e.deadline_ms = QUIET_S * 1000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_IMPORT_KEY;
    e.import_key = &body;
    const envelope *reply = ask(fd, &a, &e);
    if (reply->body_case != KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)
        die("import key", reply->error ? reply->error->message : "no answer");
    const Keyd__V1__ImportKeyReply *k = reply->import_key_reply;
    if (k->nonce.len != sizeof(r->nonce) || k->key->id.len != sizeof(r->import_key) ||
        k->key->spki.len > sizeof(r->import_spki))
        die("import key", "of other sizes");
    memcpy(r->nonce, k->nonce.data, sizeof(r->nonce));
    memcpy(r->import_key, k->key->id.data, sizeof(r->import_key));
    memcpy(r->import_spki, k->key->spki.data, k->key->spki.len);
    r->import_spki_len = k->key->spki.len;
    r->hash = (enum import_hash)k->key->hash;
}

static void take_recorded(struct request *r)
{
    struct arena a CLEANUP(arena_free) = arena_of(ROOM);
    static uint8_t frame[ROOM];
    size_t n = read_file(opt.blobs, frame, sizeof(frame));
    struct err err;
    const envelope *e = frame_decode(&a, frame + FRAME_HEAD, n - FRAME_HEAD, &err);

    if (!e || e->body_case != KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT)
        die(opt.blobs, "no import was recorded in it");
    const Keyd__V1__KeysImport *k = e->keys_import;
    memcpy(r->w.kek, k->wrapped_kek.data, r->w.kek_len = k->wrapped_kek.len);
    memcpy(r->w.key, k->wrapped_key.data, r->w.key_len = k->wrapped_key.len);
}

static void wrap(struct request *r, struct sample *inside)
{
    if (opt.blobs) {
        take_recorded(r);
        return;
    }
    if (opt.pkcs8)
        inside->pkcs8_len = read_file(opt.pkcs8, inside->pkcs8, sizeof(inside->pkcs8));
    if (opt.wrap_for) {
        struct sample *other = sample_of(opt.wrap_for);
        wrap_sample(inside, other->spki, other->spki_len, r->hash, &r->w);
        sample_free(other);
    } else {
        wrap_sample(inside, r->import_spki, r->import_spki_len, r->hash, &r->w);
    }
    if (opt.cut)
        r->w.key_len -= number(opt.cut);
}

/* "key:17" */
static void flip(struct request *r, const char *what)
{
    const struct {
        const char *name;
        uint8_t *bytes;
        size_t len;
    } places[] = {
        {"kek:", r->w.kek, r->w.kek_len},        {"key:", r->w.key, r->w.key_len},
        {"nonce:", r->nonce, sizeof(r->nonce)},  {"import-key:", r->import_key, KEY_ID_LEN},
        {"proof:", r->proof, r->body.proof.len},
    };

    for (size_t i = 0; what && i < sizeof(places) / sizeof(places[0]); i++) {
        size_t n = strlen(places[i].name);

        if (strncmp(what, places[i].name, n) == 0 && number(what + n) < places[i].len) {
            places[i].bytes[number(what + n)] ^= 1;
            return;
        }
    }
    if (what)
        die("cannot be changed", what);
}

/* What libkeyd would take for this type; for others any: they are refused before. */
static const struct scheme *scheme_of(EVP_PKEY *key)
{
    uint16_t code = EVP_PKEY_is_a(key, "RSA")       ? 0x0804
                    : EVP_PKEY_is_a(key, "ED25519") ? 0x0807
                    : EVP_PKEY_get_bits(key) == 384 ? 0x0503
                                                    : 0x0403;

    return scheme_by_code(code);
}

static void sign(struct request *r, const struct sample *signer)
{
    uint8_t message[IMPORT_MESSAGE_MAX], id[KEY_ID_LEN];
    const struct import_claim claim = {.nonce = r->nonce,
                                       .import_key = r->import_key,
                                       .key = id,
                                       .tenant = opt.tenant,
                                       .name = opt.name,
                                       .wrapped_kek = r->w.kek,
                                       .wrapped_kek_len = r->w.kek_len,
                                       .wrapped_key = r->w.key,
                                       .wrapped_key_len = r->w.key_len};
    const struct scheme *scheme = scheme_of(signer->key);
    struct err err;
    size_t len;

    if (!key_id_of(r->spki, r->body.spki.len, id) || !import_message(&claim, message, &len, &err))
        die("claim", err.text);
    r->body.scheme = scheme->code;
    r->body.proof = (ProtobufCBinaryData){
        sample_sign(signer, scheme, message, len, r->proof, sizeof(r->proof)), r->proof};
}

static void claim(struct request *r, const struct sample *key)
{
    memcpy(r->spki, key->spki, r->body.spki.len = key->spki_len);
    if (opt.spki)
        r->body.spki.len = read_file(opt.spki, r->spki, sizeof(r->spki));
    r->body.spki.data = r->spki;
}

static void fill_body(struct request *r)
{
    r->body.tenant = (char *)(uintptr_t)(opt.send_as ? opt.send_as : opt.tenant);
    r->body.name = (char *)(uintptr_t)opt.name;
    r->body.nonce = (ProtobufCBinaryData){sizeof(r->nonce), r->nonce};
    r->body.import_key = (ProtobufCBinaryData){sizeof(r->import_key), r->import_key};
    r->body.wrapped_kek = (ProtobufCBinaryData){r->w.kek_len, r->w.kek};
    r->body.wrapped_key = (ProtobufCBinaryData){r->w.key_len, r->w.key};
}

/* The frame of one import; `spoilt`: the byte of the two pieces to be changed, or -1. */
static size_t make_request(int fd, long spoilt, uint8_t frame[ROOM])
{
    AUTO_FREE struct request *r = mem_new(sizeof(*r));
    struct sample *inside = sample_of(opt.key), *of = sample_of(opt.claim ? opt.claim : opt.key);
    struct sample *signer = sample_of(opt.signer ? opt.signer : opt.claim ? opt.claim : opt.key);
    envelope e = KEYD__V1__ENVELOPE__INIT;

    keyd__v1__keys_import__init(&r->body);
    begin(fd, r);
    wrap(r, inside);
    if (spoilt >= 0) {
        size_t at = (size_t)spoilt % (r->w.kek_len + r->w.key_len);
        *(at < r->w.kek_len ? &r->w.kek[at] : &r->w.key[at - r->w.kek_len]) ^=
            (uint8_t)(1 << spoilt % 8);
    }
    flip(r, opt.flip);
    claim(r, of);
    sign(r, signer);
    flip(r, opt.late);
    fill_body(r);
    sample_free(inside);
    sample_free(of);
    sample_free(signer);
    e.id = 7; /* always: the answers to the same are then the same */
    e.deadline_ms = QUIET_S * 1000;
    e.body_case = KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT;
    e.keys_import = &r->body;
    return frame_encode(&e, frame);
}

/* ---- */

static void print_answer(const uint8_t *frame, size_t n)
{
    struct arena a CLEANUP(arena_free) = arena_of(ROOM);
    struct err err;
    const envelope *e = frame_decode(&a, frame + FRAME_HEAD, n - FRAME_HEAD, &err);

    if (e && e->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT_REPLY)
        puts("imported");
    else if (e && e->body_case == KEYD__V1__ENVELOPE__BODY_ERROR)
        printf("refused %s retry=%u %s; %s\n", err_name((enum err_code)e->error->code),
               e->error->retry_after_ms, e->error->message, e->error->hint);
    else
        die("answer", e ? "of another kind" : err.text);
}

static void one(void)
{
    static uint8_t frame[ROOM], answer[ROOM];
    int fd = greeted(opt.uid ? number(opt.uid) : geteuid());
    size_t n =
        opt.replay ? read_file(opt.replay, frame, sizeof(frame)) : make_request(fd, -1, frame);

    if (opt.record) {
        FILE *f = fopen(opt.record, "w");

        if (!f || fwrite(frame, 1, n, f) != n || fclose(f) != 0)
            die(opt.record, strerror(errno));
        puts("recorded");
    } else {
        print_answer(answer, exchange(fd, frame, n, answer));
    }
    close(fd);
}

static int many(size_t times)
{
    static uint8_t frame[ROOM], first[ROOM], answer[ROOM];
    size_t first_len = 0, uid = opt.uid ? number(opt.uid) : geteuid();
    int fd = -1;

    for (size_t i = 0; i < times; i++) {
        if (i % EACH_UID == 0) {
            if (fd >= 0)
                close(fd);
            fd = greeted(uid++);
        }
        size_t n = exchange(fd, frame, make_request(fd, (long)i, frame), answer);
        if (i == 0)
            memcpy(first, answer, first_len = n);
        if (n != first_len || memcmp(first, answer, n) != 0) {
            printf("number %zu differs: ", i);
            print_answer(answer, n);
            return 1;
        }
    }
    printf("%zu alike: ", times);
    print_answer(first, first_len);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2)
        die("usage", "hostile SOCKET tenant=T name=N key=FILE [OPTION=VALUE...]");
    opt.socket = argv[1];
    for (int i = 2; i < argc; i++)
        read_option(argv[i]);
    if (!opt.replay && (!opt.tenant || !opt.name || !opt.key))
        die("usage", "tenant, name and key are needed");
    if (opt.times)
        return many(number(opt.times));
    one();
    return 0;
}
