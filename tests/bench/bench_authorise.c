/* SPDX-License-Identifier: Apache-2.0
 *
 * bench_authorise: what it costs the signing gate to judge one request: may the role
 * call the verb, who serves it, was the key granted and for what, is there room in the limits.
 * Lines of "grants=10 keys=10 ns=... allocations=0". Ends with 1 if anything was allocated on that
 * way, or an answer was wrong.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "keyd/gate/load.h"
#include "keyd/gate/who.h"
#include "keyd/policy/verbs.h"
#include "proto/base/clock.h"

#define GRANTS_MAX 10000
#define BATCH      1000
#define SECOND_US  1000000

static void must(bool ok, const char *or_else)
{
    if (ok)
        return;
    fprintf(stderr, "bench_authorise: %s\n", or_else);
    exit(1);
}

/* ---- allocations, counted by the linker's --wrap */

static unsigned long allocations;

void *__real_malloc(size_t n);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t n);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t n);

void *__wrap_malloc(size_t n)
{
    allocations++;
    return __real_malloc(n);
}

void *__wrap_calloc(size_t n, size_t size)
{
    allocations++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t n)
{
    allocations++;
    return __real_realloc(p, n);
}

/* ---- one request */

static struct gate gate = {.socket = SOCKET_SIGNING};
static struct access_grant grants[GRANTS_MAX];
static struct table_key keys[GRANTS_MAX];
static struct load loads[GRANTS_MAX];
static struct line line = {.who = {ROLE_FRONTEND, "fe", "", "edge"}};

static void id_of(size_t i, uint8_t id[KEY_ID_LEN])
{
    for (size_t j = 0; j < KEY_ID_LEN; j++)
        id[j] = (uint8_t)((i + 1) * 2654435761u >> (j % 4 * 8));
}

/* Every second grant is this frontend's, the others are its neighbour's. */
static void set_up(size_t count)
{
    for (size_t i = 0; i < count; i++) {
        grants[i] = (struct access_grant){.id = i + 1, .purposes = PURPOSE_TLS13_SERVER};
        snprintf(grants[i].principal, sizeof(grants[i].principal), i % 2 ? "neighbour" : "fe");
        id_of(i, grants[i].key);
        keys[i] = (struct table_key){.state = KEY_ENABLED, .purposes = PURPOSES_DEFAULT};
        snprintf(keys[i].tenant, sizeof(keys[i].tenant), "tenant-%zu", i % 100);
        id_of(i, keys[i].id);
        loads[i] = (struct load){0};
        keys[i].user = &loads[i];
    }
    line.load = (struct load){0};
    gate.access =
        (struct access){.version = gate.access.version + 1, .grants = grants, .grant_count = count};
    gate.limits.principal_rate = gate.limits.key_rate = 1000000;
    gate.limits.principal_in_flight = gate.limits.key_in_flight = 1000;
}

static bool authorise(const struct table_key *key, uint64_t now_us)
{
    const struct verb *verb = verb_of(KEYD__V1__ENVELOPE__BODY_SIGN);
    struct call call = {.line = &line, .key = key, .received = now_us};
    enum verb_server server;
    enum scope scope;
    struct err err;

    if (!verb_allowed(verb, line.who.role, &scope, &err) ||
        !verb_route(verb, gate.socket, &server, &err) || scope != SCOPE_GRANTED)
        return false;
    call.purposes = who_granted(&gate, &line, key) & role_purposes(line.who.role);
    if (!call.purposes || !load_admit(&gate, &call, &err))
        return false;
    load_call_begins(&gate, &call);
    load_call_ends(&call);
    return true;
}

static void measure(size_t count)
{
    uint64_t done = 0, begin, now;

    set_up(count);
    must(authorise(&keys[0], clock_us()), "a granted key is refused"); /* the table is made here */
    must(!authorise(&keys[1], clock_us()), "a neighbour's key is not refused");
    allocations = 0;
    begin = clock_us();
    for (uint64_t us = begin; (now = clock_us()) < begin + SECOND_US;
         us += 10 * BATCH, done += BATCH)
        for (size_t i = 0; i < BATCH; i++)
            must(authorise(&keys[(done + i) * 2 % count], us + i * 10), "a granted key is refused");
    printf("grants=%zu ns=%.0f allocations=%lu\n", count,
           (double)(now - begin) * 1000 / (double)done, allocations);
    must(allocations == 0, "something was allocated");
}

int main(void)
{
    measure(10);
    measure(GRANTS_MAX);
    who_forget(&line);
    return 0;
}
