/* SPDX-License-Identifier: Apache-2.0
 *
 * load: signs without pause through libkeyd, checks every signature under the key's public half and
 * counts. The tests run it beside whatever they do to keyd: "no failed signature" is its exit
 * status. Every thread shares the one client, as a TLS server's threads do.
 *
 *   load --socket PATH --key REF.pem [--scheme HEX] [--threads N] [--batch N] [--seconds N]
 *        [--deadline MS] [--repeat] [--tls-ca FILE --tls-cert FILE --tls-key FILE]
 *
 * It ends after --seconds, or at SIGTERM. The first signature is told by a line "running" on
 * stdout, the end by "signed=N failed=N repeated=N slowest_ms=N". --repeat: a call that failed with
 * a code of the class "it may work later" is made again, as long as its deadline lasts. The API
 * token in $KEYD_TOKEN, if any, says who it is.
 */
#include <getopt.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>

#include "clients/libkeyd/keyd.h"

#define THREADS_MAX 64
#define BATCH_MAX   64
#define MESSAGE_LEN (64 + 34 + 32)
#define TOLD_MAX    5 /* failures that are spelled out */

static struct {
    const char *socket, *ref;
    const char *tls_ca, *tls_cert, *tls_key;
    unsigned scheme, threads, batch, seconds, deadline_ms;
    bool repeat;
} set = {.scheme = 0x0403, .threads = 4, .batch = 1, .deadline_ms = 2000};

static struct {
    struct keyd_client *client;
    uint8_t id[KEYD_KEY_ID_LEN];
    EVP_PKEY *public_key;
    atomic_bool stop;
    atomic_uint_fast64_t signatures, failed, repeated, slowest_ms;
} run;

static void on_signal(int number)
{
    (void)number;
    atomic_store(&run.stop, true);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* What a TLS 1.3 server signs in CertificateVerify (RFC 8446 4.4.3), over a random transcript. */
static bool make_message(uint8_t m[MESSAGE_LEN])
{
    static const char context[] = "TLS 1.3, server CertificateVerify"; /* its zero byte counts */
    memset(m, 0x20, 64);
    memcpy(m + 64, context, sizeof(context));
    return RAND_bytes(m + 64 + sizeof(context), 32) == 1;
}

static const EVP_MD *scheme_md(unsigned scheme)
{
    switch (scheme) {
    case 0x0403:
    case 0x0804:
        return EVP_sha256();
    case 0x0503:
    case 0x0805:
        return EVP_sha384();
    case 0x0603:
    case 0x0806:
        return EVP_sha512();
    default:
        return NULL; /* Ed25519 takes the message whole */
    }
}

static bool verifies(const uint8_t *message, const uint8_t *sig, size_t sig_len)
{
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *key_ctx = NULL;
    bool ok = ctx &&
              EVP_DigestVerifyInit(ctx, &key_ctx, scheme_md(set.scheme), NULL, run.public_key) == 1;
    if (ok && (set.scheme >> 8) == 8 && set.scheme < 0x0807)
        ok = EVP_PKEY_CTX_set_rsa_padding(key_ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(key_ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    ok = ok && EVP_DigestVerify(ctx, sig, sig_len, message, MESSAGE_LEN) == 1;
    EVP_MD_CTX_free(ctx);
    return ok;
}

static void count_failure(int code, const struct keyd_error *error, uint64_t took_ms)
{
    if (atomic_fetch_add(&run.failed, 1) < TOLD_MAX)
        fprintf(stderr, "load: failed after %llu ms: %s: %s; %s\n", (unsigned long long)took_ms,
                keyd_code_name(code), error->message, error->hint);
}

static void count_success(uint64_t took_ms)
{
    uint_fast64_t slowest = atomic_load(&run.slowest_ms);
    while (took_ms > slowest && !atomic_compare_exchange_weak(&run.slowest_ms, &slowest, took_ms)) {
    }
    if (atomic_fetch_add(&run.signatures, 1) == 0) {
        puts("running");
        fflush(stdout);
    }
}

static bool worth_repeating(int code, uint64_t began)
{
    if (!set.repeat || code < 32 || code > 63 || now_ms() - began >= set.deadline_ms)
        return false;
    atomic_fetch_add(&run.repeated, 1);
    usleep(5000);
    return true;
}

static void sign_one(void)
{
    uint8_t message[MESSAGE_LEN], sig[KEYD_SIGNATURE_MAX];
    struct keyd_error error = {0};
    size_t len;
    int code;

    if (!make_message(message))
        abort();
    uint64_t began = now_ms();
    do {
        len = sizeof(sig);
        code = keyd_sign(run.client, run.id, (uint16_t)set.scheme, message, sizeof(message), sig,
                         &len, &error);
    } while (code != KEYD_OK && worth_repeating(code, began));

    uint64_t took = now_ms() - began;
    if (code == KEYD_OK && !verifies(message, sig, len)) {
        snprintf(error.message, sizeof(error.message), "the signature does not verify");
        error.hint[0] = 0;
        code = KEYD_INTERNAL;
    }
    if (code == KEYD_OK)
        count_success(took);
    else
        count_failure(code, &error, took);
}

static void sign_batch(struct keyd_sign_item *items, uint8_t (*messages)[MESSAGE_LEN])
{
    struct keyd_error error = {0};
    for (unsigned i = 0; i < set.batch; i++) {
        if (!make_message(messages[i]))
            abort();
        items[i] = (struct keyd_sign_item){
            .scheme = (uint16_t)set.scheme, .message = messages[i], .message_len = MESSAGE_LEN};
        memcpy(items[i].key_id, run.id, sizeof(run.id));
    }
    uint64_t began = now_ms();
    (void)keyd_sign_batch(run.client, items, set.batch, &error); /* each item has its code */
    uint64_t took = now_ms() - began;
    for (unsigned i = 0; i < set.batch; i++) {
        if (items[i].code == KEYD_OK && verifies(messages[i], items[i].sig, items[i].sig_len))
            count_success(took);
        else
            count_failure(items[i].code, &error, took);
    }
}

static void *work(void *arg)
{
    struct keyd_sign_item *items = calloc(set.batch, sizeof(*items));
    uint8_t(*messages)[MESSAGE_LEN] = calloc(set.batch, MESSAGE_LEN);
    if (!items || !messages)
        abort();
    while (!atomic_load(&run.stop)) {
        if (set.batch > 1)
            sign_batch(items, messages);
        else
            sign_one();
    }
    free(items);
    free(messages);
    return arg;
}

static bool read_reference(void)
{
    FILE *f = fopen(set.ref, "r");
    char *name = NULL, *header = NULL;
    unsigned char *der = NULL;
    long len = 0;
    struct keyd_error error = {0};
    const uint8_t *spki = NULL;
    size_t spki_len = 0;

    bool ok = f && PEM_read(f, &name, &header, &der, &len) == 1 &&
              keyd_ref_decode(der, (size_t)len, run.id, &spki, &spki_len, &error) == KEYD_OK;
    if (ok)
        run.public_key = d2i_PUBKEY(NULL, &spki, (long)spki_len);
    else
        fprintf(stderr, "load: %s is no key reference: %s\n", set.ref, error.message);
    OPENSSL_free(name);
    OPENSSL_free(header);
    OPENSSL_free(der);
    if (f)
        fclose(f);
    return run.public_key != NULL;
}

static unsigned number(const char *text, int base, unsigned max)
{
    char *end;
    unsigned long n = strtoul(text, &end, base);
    if (*text == 0 || *end != 0 || n == 0 || n > max) {
        fprintf(stderr, "load: %s is no number from 1 to %u\n", text, max);
        exit(2);
    }
    return (unsigned)n;
}

static bool read_arguments(int argc, char **argv)
{
    static const struct option options[] = {
        {"socket", required_argument, NULL, 's'},   {"key", required_argument, NULL, 'k'},
        {"scheme", required_argument, NULL, 'c'},   {"threads", required_argument, NULL, 't'},
        {"batch", required_argument, NULL, 'b'},    {"seconds", required_argument, NULL, 'S'},
        {"deadline", required_argument, NULL, 'd'}, {"repeat", no_argument, NULL, 'r'},
        {"tls-ca", required_argument, NULL, 'A'},   {"tls-cert", required_argument, NULL, 'C'},
        {"tls-key", required_argument, NULL, 'K'},  {NULL, 0, NULL, 0}};
    int c;
    while ((c = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (c) {
        case 's':
            set.socket = optarg;
            break;
        case 'k':
            set.ref = optarg;
            break;
        case 'c':
            set.scheme = number(optarg, 16, 0xffff);
            break;
        case 't':
            set.threads = number(optarg, 10, THREADS_MAX);
            break;
        case 'b':
            set.batch = number(optarg, 10, BATCH_MAX);
            break;
        case 'S':
            set.seconds = number(optarg, 10, 86400);
            break;
        case 'd':
            set.deadline_ms = number(optarg, 10, 600000);
            break;
        case 'r':
            set.repeat = true;
            break;
        case 'A':
            set.tls_ca = optarg;
            break;
        case 'C':
            set.tls_cert = optarg;
            break;
        case 'K':
            set.tls_key = optarg;
            break;
        default:
            return false;
        }
    }
    return set.socket && set.ref && optind == argc;
}

static void run_threads(void)
{
    pthread_t threads[THREADS_MAX];
    for (unsigned i = 0; i < set.threads; i++) {
        if (pthread_create(&threads[i], NULL, work, NULL) != 0)
            abort();
    }
    for (unsigned i = 0; i < set.threads; i++)
        pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
    struct keyd_error error = {0};
    if (!read_arguments(argc, argv)) {
        fputs("usage: load --socket PATH --key REF.pem [--scheme HEX] [--threads N] [--batch N]\n"
              "            [--seconds N] [--deadline MS] [--repeat]\n"
              "            [--tls-ca FILE --tls-cert FILE --tls-key FILE]\n",
              stderr);
        return 2;
    }
    if (!read_reference())
        return 2;
    const struct keyd_options client = {.endpoint = set.socket,
                                        .deadline_ms = set.deadline_ms,
                                        .name = "load",
                                        .certificate = set.tls_cert,
                                        .key = set.tls_key,
                                        .ca = set.tls_ca,
                                        .token = getenv("KEYD_TOKEN")};
    if (keyd_client_open(&run.client, &client, &error) != KEYD_OK) {
        fprintf(stderr, "load: %s\n", error.message);
        return 2;
    }
    signal(SIGTERM, on_signal);
    signal(SIGINT, on_signal);
    signal(SIGALRM, on_signal);
    alarm(set.seconds);
    run_threads();

    printf("signed=%llu failed=%llu repeated=%llu slowest_ms=%llu\n",
           (unsigned long long)run.signatures, (unsigned long long)run.failed,
           (unsigned long long)run.repeated, (unsigned long long)run.slowest_ms);
    keyd_client_free(run.client);
    EVP_PKEY_free(run.public_key);
    return run.failed == 0 && run.signatures > 0 ? 0 : 1;
}
