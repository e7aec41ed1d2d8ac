/* SPDX-License-Identifier: Apache-2.0
 *
 * libkeyd's import against a real custodian on a real token. The client is a process of its own,
 * forked before there is a key, so that its memory can be searched afterwards; the test plays the
 * gate between them, and whoever may sit there.
 */
#include "tests/unit/custodian/rig.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "clients/libkeyd/keyd.h"
#include "proto/base/mem.h"
#include "tests/unit/import/residue.h"
#include "tests/unit/import/wrapper.h"

#define NEEDLE_LEN 32

/* ---- the client's process */

struct order {
    char tenant[64], name[64];
    uint32_t purposes;
    bool pin; /* this one; else what keyd shows */
    uint8_t import_key[KEYD_KEY_ID_LEN];
    size_t pkcs8_len;
    bool keep;                  /* the key, until the end: then it must be found */
    uint8_t needle[NEEDLE_LEN]; /* kept in the heap: it must be found in any case */
};

struct outcome {
    int code;
    struct keyd_error error;
    struct keyd_key key; /* its pointers are none of ours */
};

struct client {
    pid_t pid;
    int orders, outcomes; /* pipes */
    struct outcome outcome;
};

static void read_all(int fd, void *p, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, (uint8_t *)p + at, n - at);
        if (got <= 0)
            _exit(3);
        at += (size_t)got;
    }
}

static int import(struct keyd_client *c, const struct order *o, const struct secret *pkcs8,
                  struct keyd_key **ret, struct keyd_error *error)
{
    struct keyd_import_key *shown = NULL;
    const uint8_t *id = o->import_key;

    if (!o->pin) {
        int code = keyd_import_key(c, &shown, error);
        if (code != KEYD_OK)
            return code;
        id = shown->id;
    }
    const struct keyd_key_rules rules = {.purposes = o->purposes};
    int code =
        keyd_keys_import(c, o->tenant, o->name, &rules, id, pkcs8->bytes, pkcs8->len, ret, error);
    keyd_import_key_free(shown);
    return code;
}

/* Does one import, tells how it went, and stays to be searched. */
static _Noreturn void be_client(const char *path, int orders, int outcomes)
{
    struct keyd_client *c = NULL;
    struct keyd_key *key = NULL;
    struct outcome out = {.code = -1};
    struct secret pkcs8;
    struct order o;
    struct err err;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    read_all(orders, &o, sizeof(o));
    if (!secret_new(&pkcs8, KEYD_PKCS8_MAX + 64, &err))
        _exit(4);
    read_all(orders, pkcs8.bytes, o.pkcs8_len);
    pkcs8.len = o.pkcs8_len;
    uint8_t *needle = mem_dup(o.needle, sizeof(o.needle));
    secret_wipe(o.needle, sizeof(o.needle));
    if (keyd_client_new(&c, path, 60000, "test", &out.error) == KEYD_OK)
        out.code = import(c, &o, &pkcs8, &key, &out.error);
    if (out.code == KEYD_OK)
        out.key = *key;
    keyd_keys_free(key, 1);
    keyd_client_free(c);
    if (!o.keep)
        secret_free(&pkcs8);
    if (write(outcomes, &out, sizeof(out)) != (ssize_t)sizeof(out) || !needle)
        _exit(5);
    for (;;)
        pause();
}

/* ---- the gate between, that can do harm */

enum harm {
    HARM_NONE,
    HARM_IMPORT_KEY, /* shows an import key of its own, under the right id */
    HARM_NONCE,      /* gives another nonce */
    HARM_TENANT,     /* changes the tenant of an import */
    HARM_BLOB,       /* changes a bit of the wrapped key */
    HARM_NO_KEY,     /* answers without an import key */
};

static struct {
    char path[300];
    int listener, conn;
    enum harm harm;
    struct sample *thief;    /* his import key */
    unsigned imports, begun; /* requests seen */
} gate = {.listener = -1, .conn = -1};

static void gate_open(void)
{
    struct sockaddr_un sa = {.sun_family = AF_UNIX};

    snprintf(gate.path, sizeof(gate.path), "%s/control.sock", rig.dir);
    assert_true(strlen(gate.path) < sizeof(sa.sun_path));
    memcpy(sa.sun_path, gate.path, strlen(gate.path));
    gate.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(gate.listener, (struct sockaddr *)&sa, sizeof(sa)), 0);
    assert_int_equal(listen(gate.listener, 4), 0);
    gate.imports = gate.begun = 0;
    gate.harm = HARM_NONE;
}

static void gate_close(void)
{
    close(gate.listener);
    if (gate.conn >= 0)
        close(gate.conn);
    gate.listener = gate.conn = -1;
}

static void gate_send(const envelope *e)
{
    AUTO_FREE uint8_t *frame = mem_new(frame_size(e));
    size_t n = frame_encode(e, frame);

    assert_int_equal(send(gate.conn, frame, n, MSG_NOSIGNAL), n);
}

static void say_hello(uint64_t id)
{
    Keyd__V1__HelloReply hello = KEYD__V1__HELLO_REPLY__INIT;
    envelope e = KEYD__V1__ENVELOPE__INIT;

    hello.version = PROTOCOL_VERSION;
    hello.server = (char *)"keyd";
    hello.max_frame = FRAME_CAP_CONTROL;
    hello.max_in_flight = 8;
    hello.default_deadline_ms = 2000;
    hello.max_deadline_ms = 120000;
    e.id = id;
    e.body_case = KEYD__V1__ENVELOPE__BODY_HELLO_REPLY;
    e.hello_reply = &hello;
    gate_send(&e);
}

static void harm_request(envelope *e)
{
    static char zeta[] = "zeta";

    if (e->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT && gate.harm == HARM_TENANT)
        e->keys_import->tenant = zeta;
    if (e->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT && gate.harm == HARM_BLOB)
        e->keys_import->wrapped_key.data[20] ^= 4;
}

static void harm_answer(envelope *e)
{
    if (e->body_case != KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)
        return;
    Keyd__V1__ImportKeyReply *r = e->import_key_reply;
    if (gate.harm == HARM_IMPORT_KEY)
        r->key->spki = (ProtobufCBinaryData){gate.thief->spki_len, gate.thief->spki};
    if (gate.harm == HARM_NONCE && r->nonce.len)
        r->nonce.data[0] ^= 1;
    if (gate.harm == HARM_NO_KEY)
        r->key = NULL;
}

static void pass_on(envelope *e)
{
    uint64_t id = e->id;

    gate.imports += e->body_case == KEYD__V1__ENVELOPE__BODY_KEYS_IMPORT;
    gate.begun += e->body_case == KEYD__V1__ENVELOPE__BODY_IMPORT_KEY && e->import_key->begin;
    harm_request(e);
    rig_ask(e, ROLE_OPERATOR, WAIT_MS);
    assert_non_null(rig_answer());
    envelope answer = *rig.answer;
    answer.id = id;
    harm_answer(&answer);
    gate_send(&answer);
}

static void gate_read(void)
{
    static uint8_t in[FRAME_CAP_CONTROL + FRAME_HEAD];
    static size_t have;
    ssize_t n = recv(gate.conn, in + have, sizeof(in) - have, 0);
    size_t len;

    if (n <= 0) {
        close(gate.conn);
        gate.conn = -1;
        have = 0;
        return;
    }
    have += (size_t)n;
    while (frame_peek(in, have, FRAME_CAP_CONTROL, &len) == FRAME_WHOLE) {
        struct arena a = arena_of(4u << 20);
        struct err err = {.code = ERR_NONE};
        envelope *e = frame_decode(&a, in + FRAME_HEAD, len, &err);

        assert_non_null(e);
        if (e->body_case == KEYD__V1__ENVELOPE__BODY_HELLO)
            say_hello(e->id);
        else
            pass_on(e);
        arena_free(&a);
        have -= FRAME_HEAD + len;
        memmove(in, in + FRAME_HEAD + len, have);
    }
}

/* ---- both together */

static struct client client_new(void)
{
    int orders[2], outcomes[2];
    struct client c;

    assert_int_equal(pipe2(orders, O_CLOEXEC), 0);
    assert_int_equal(pipe2(outcomes, O_CLOEXEC), 0);
    c.pid = fork();
    assert_true(c.pid >= 0);
    if (c.pid == 0) {
        close(orders[1]);
        close(outcomes[0]);
        be_client(gate.path, orders[0], outcomes[1]);
    }
    close(orders[0]);
    close(outcomes[1]);
    c.orders = orders[1];
    c.outcomes = outcomes[0];
    return c;
}

static void client_end(struct client *c)
{
    kill(c->pid, SIGKILL);
    waitpid(c->pid, NULL, 0);
    close(c->orders);
    close(c->outcomes);
}

/* Gives the order, plays the gate until it is done. */
static const struct outcome *client_do(struct client *c, const struct order *o,
                                       const uint8_t *pkcs8)
{
    struct pollfd fds[3];

    assert_int_equal(write(c->orders, o, sizeof(*o)), sizeof(*o));
    assert_int_equal(write(c->orders, pkcs8, o->pkcs8_len), o->pkcs8_len);
    for (;;) {
        fds[0] = (struct pollfd){.fd = c->outcomes, .events = POLLIN};
        fds[1] = (struct pollfd){.fd = gate.listener, .events = POLLIN};
        fds[2] = (struct pollfd){.fd = gate.conn, .events = POLLIN};
        assert_true(poll(fds, 3, WAIT_MS) > 0);
        if (fds[2].revents)
            gate_read();
        if (fds[1].revents) {
            if (gate.conn >= 0)
                close(gate.conn);
            gate.conn = accept4(gate.listener, NULL, NULL, SOCK_CLOEXEC);
        }
        if (fds[0].revents) {
            read_all(c->outcomes, &c->outcome, sizeof(c->outcome));
            return &c->outcome;
        }
    }
}

static struct order order_for(const struct sample *s, const char *tenant, const char *name)
{
    struct order o = {.pkcs8_len = s->pkcs8_len};

    snprintf(o.tenant, sizeof(o.tenant), "%s", tenant);
    snprintf(o.name, sizeof(o.name), "%s", name);
    assert_int_equal(getrandom(o.needle, sizeof(o.needle), 0), sizeof(o.needle));
    return o;
}

static void expect(const struct outcome *out, int code, const char *words)
{
    if (out->code != code || (code != KEYD_OK && !strstr(out->error.message, words)))
        fail_msg("expected %s with \"%s\", got %s: %s", keyd_code_name(code), words,
                 keyd_code_name(out->code), out->code ? out->error.message : "");
}

static int set_up(void **state)
{
    rig_setup(state);
    gate_open();
    rig_serve();
    rig_tenant("acme");
    rig_tenant("zeta");
    return 0;
}

static int tear_down(void **state)
{
    gate_close();
    return rig_teardown(state);
}

/* ---- what comes in, and what is left of it: nothing */

/* How often something of the key is in the client's memory; the needle shows that it was searched.
 */
static unsigned residue_of(const struct client *c, const struct order *o, const struct sample *s)
{
#ifdef __SANITIZE_ADDRESS__ /* its shadow makes mappings of terabytes */
    (void)c;
    (void)s;
    return o->keep;
#else
    struct residue *key = residue_new(!o->keep), *needle = residue_new(false);

    residue_add_key(key, s->key);
    residue_add(needle, o->needle, sizeof(o->needle));
    assert_true(residue_search(needle, c->pid) > 0);
    unsigned found = residue_search(key, c->pid);
    residue_free(key);
    residue_free(needle);
    return found;
#endif
}

static void each_type(void **state)
{
    static const enum key_type types[] = {KEY_TYPE_EC_P256, KEY_TYPE_EC_P384, KEY_TYPE_RSA_2048,
                                          KEY_TYPE_RSA_4096};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct client c = client_new();
        struct sample *s = sample_new(key_type_info(types[i])->name);
        struct order o = order_for(s, "acme", key_type_info(types[i])->name);
        uint8_t id[KEY_ID_LEN];

        const struct outcome *out = client_do(&c, &o, s->pkcs8);
        expect(out, KEYD_OK, "");
        assert_int_equal(out->key.type, types[i]);
        assert_int_equal(out->key.purposes, PURPOSES_DEFAULT);
        assert_true(key_id_of(s->spki, s->spki_len, id));
        assert_memory_equal(out->key.id, id, KEY_ID_LEN);
        assert_int_equal(residue_of(&c, &o, s), 0);
        client_end(&c);
        rig_renewed();
        sample_free(s);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 5);
}

/* A client that kept the key would be found out. */
static void what_is_kept_is_found(void **state)
{
    static const char *const types[] = {"ec-p256", "ed25519", "rsa-2048"};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct client c = client_new();
        struct sample *s = sample_new(types[i]);
        struct order o = order_for(s, "nobody", "new");

        o.keep = true;
        (void)client_do(&c, &o, s->pkcs8);
        assert_true(residue_of(&c, &o, s) > 0);
        client_end(&c);
        sample_free(s);
    }
    rig_stop();
}

/* Also when it did not come in. */
static void nothing_is_left_of_a_failure(void **state)
{
    static const struct {
        const char *type, *tenant;
        int code;
        const char *words;
    } cases[] = {
        {"ed25519", "acme", KEYD_UNSUPPORTED, "cannot take in keys of type ed25519"},
        {"ec-p256", "nobody", KEYD_NOT_FOUND, "there is no tenant nobody"},
        {"rsa-2048", "nobody", KEYD_NOT_FOUND, "there is no tenant nobody"},
        {"ec-P-521", "acme", KEYD_UNSUPPORTED, "on the curve secp521r1"},
        {"rsa-1024", "acme", KEYD_UNSUPPORTED, "an RSA key of 1024 bits"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = client_new();
        struct sample *s = sample_new(cases[i].type);
        struct order o = order_for(s, cases[i].tenant, "new");

        expect(client_do(&c, &o, s->pkcs8), cases[i].code, cases[i].words);
        assert_int_equal(residue_of(&c, &o, s), 0);
        client_end(&c);
        sample_free(s);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

/* ---- who sits between */

static void another_import_key(void **state)
{
    struct client c = client_new(), d = client_new(), e = client_new();
    struct sample *s = sample_new("ec-p256");
    struct order o = order_for(s, "acme", "new");
    char ours[KEY_ID_HEX_LEN + 1], theirs[KEY_ID_HEX_LEN + 1];
    uint8_t id[KEY_ID_LEN];

    (void)state;
    /* not the one that is pinned */
    o.pin = true;
    memset(o.import_key, 0xab, sizeof(o.import_key));
    const struct outcome *out = client_do(&c, &o, s->pkcs8);
    expect(out, KEYD_DENIED, "nothing was sent");
    assert_non_null(
        strstr(out->error.message, hex_encode(o.import_key, sizeof(o.import_key), ours)));
    assert_int_equal(gate.imports, 0);
    /* the id of the right one, and the key of a thief */
    Keyd__V1__ImportKey body = KEYD__V1__IMPORT_KEY__INIT;
    REQUEST(q, IMPORT_KEY, import_key, &body);
    memcpy(o.import_key,
           rig_call(&q, KEYD__V1__ENVELOPE__BODY_IMPORT_KEY_REPLY)->import_key_reply->key->id.data,
           sizeof(o.import_key));
    gate.harm = HARM_IMPORT_KEY;
    gate.thief = sample_new("rsa-3072");
    out = client_do(&d, &o, s->pkcs8);
    expect(out, KEYD_DENIED, "nothing was sent");
    assert_true(key_id_of(gate.thief->spki, gate.thief->spki_len, id));
    assert_non_null(strstr(out->error.message, hex_encode(id, sizeof(id), theirs)));
    assert_int_equal(gate.imports, 0);
    sample_free(gate.thief);
    /* with the right one it works */
    gate.harm = HARM_NONE;
    expect(client_do(&e, &o, s->pkcs8), KEYD_OK, "");
    client_end(&c);
    client_end(&d);
    client_end(&e);
    rig_renewed();
    rig_stop();
    sample_free(s);
}

static void changed_on_the_way(void **state)
{
    static const struct {
        enum harm harm;
        int code;
        const char *words;
    } cases[] = {
        {HARM_NONCE, KEYD_DENIED, "was not begun here by you"},
        {HARM_TENANT, KEYD_DENIED, "the proof does not verify"},
        {HARM_BLOB, KEYD_DENIED, "the proof does not verify"},
        {HARM_NO_KEY, KEYD_INTERNAL, "holds no import key"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = client_new();
        struct sample *s = sample_new("ec-p256");
        struct order o = order_for(s, "acme", "new");

        gate.harm = cases[i].harm;
        expect(client_do(&c, &o, s->pkcs8), cases[i].code, cases[i].words);
        assert_int_equal(residue_of(&c, &o, s), 0);
        client_end(&c);
        sample_free(s);
    }
    rig_stop();
    assert_int_equal(rig_private_keys(), 1);
}

static void no_key_at_all(void **state)
{
    struct sample *s = sample_new("ec-p256");
    uint8_t bytes[KEYD_PKCS8_MAX + 1] = {0x30};
    const struct {
        const uint8_t *p;
        size_t len;
        int code;
        const char *words;
    } cases[] = {
        {(const uint8_t *)"-----BEGIN PRIVATE KEY-----", 27, KEYD_BAD_REQUEST, "no private key"},
        {s->pkcs8, s->pkcs8_len - 1, KEYD_BAD_REQUEST, "no private key"},
        {s->spki, s->spki_len, KEYD_BAD_REQUEST, "no private key"},
        {bytes, sizeof(bytes), KEYD_TOO_LARGE, "at most 16384"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct client c = client_new();
        struct order o = order_for(s, "acme", "new");

        o.pkcs8_len = cases[i].len;
        expect(client_do(&c, &o, cases[i].p), cases[i].code, cases[i].words);
        client_end(&c);
    }
    assert_int_equal(gate.imports, 0);
    sample_free(s);
    rig_stop();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(each_type, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_is_kept_is_found, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nothing_is_left_of_a_failure, set_up, tear_down),
        cmocka_unit_test_setup_teardown(another_import_key, set_up, tear_down),
        cmocka_unit_test_setup_teardown(changed_on_the_way, set_up, tear_down),
        cmocka_unit_test_setup_teardown(no_key_at_all, set_up, tear_down),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
