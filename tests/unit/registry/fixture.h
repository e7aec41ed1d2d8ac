/* SPDX-License-Identifier: Apache-2.0
 *
 * A registry in a folder of its own, and rows to put in.
 */
#ifndef KEYD_TESTS_REGISTRY_FIXTURE_H
#define KEYD_TESTS_REGISTRY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "keyd/registry/registry.h"

struct place {
    char dir[256];
    char path[300];
    struct registry *r;
};

#define OK(call)                                                                                   \
    do {                                                                                           \
        if (!(call))                                                                               \
            fail_msg("%s: %s", #call, err.text);                                                   \
    } while (0)

#define REFUSED(call, want)                                                                        \
    do {                                                                                           \
        if (call)                                                                                  \
            fail_msg("%s: not refused", #call);                                                    \
        if (err.code != (want))                                                                    \
            fail_msg("%s: %s: %s", #call, err_name(err.code), err.text);                           \
    } while (0)

static inline void place_open(struct place *p)
{
    struct err err;

    OK(registry_open(&p->r, p->path, &err));
}

static inline void place_reopen(struct place *p)
{
    registry_close(p->r);
    place_open(p);
}

static inline int place_setup(void **state)
{
    static struct place p;
    const char *tmp = getenv("TMPDIR");

    snprintf(p.dir, sizeof(p.dir), "%s/keyd-registry-XXXXXX", tmp ? tmp : "/tmp");
    assert_non_null(mkdtemp(p.dir));
    snprintf(p.path, sizeof(p.path), "%s/registry.db", p.dir);
    place_open(&p);
    *state = &p;
    return 0;
}

static inline int place_teardown(void **state)
{
    struct place *p = *state;
    DIR *dir = opendir(p->dir);
    char path[600];

    registry_close(p->r);
    for (struct dirent *e; dir && (e = readdir(dir));) {
        snprintf(path, sizeof(path), "%s/%s", p->dir, e->d_name);
        unlink(path);
    }
    if (dir)
        closedir(dir);
    return rmdir(p->dir);
}

#define PLACE_TEST(f) cmocka_unit_test_setup_teardown(f, place_setup, place_teardown)

static inline void add_tenant(struct place *p, const char *name)
{
    struct registry_tenant tenant;
    struct err err;

    OK(registry_tenant_add(p->r, name, &tenant, &err));
}

/* An intent for tenant/name whose id and CKA_ID are made of `seed`. */
static inline struct registry_intent an_intent(const char *tenant, const char *name, uint8_t seed)
{
    struct registry_intent i = {.verb = "keys-generate",
                                .type = KEY_TYPE_EC_P256,
                                .purposes = PURPOSES_DEFAULT,
                                .cka_id_len = 18};

    memset(i.id, seed, sizeof(i.id));
    memset(i.cka_id, seed, i.cka_id_len);
    snprintf(i.tenant, sizeof(i.tenant), "%s", tenant);
    snprintf(i.name, sizeof(i.name), "%s", name);
    return i;
}

/* The key that the intent is for: its id is `seed` and then zeroes. */
static inline struct registry_key a_key(const struct registry_intent *intent, uint8_t seed)
{
    struct registry_key k = {.type = intent->type,
                             .purposes = intent->purposes,
                             .state = REGISTRY_KEY_ENABLED,
                             .cka_id_len = intent->cka_id_len,
                             .spki_len = 91};

    k.id[0] = seed;
    memcpy(k.cka_id, intent->cka_id, sizeof(k.cka_id));
    memset(k.spki, seed, k.spki_len);
    memcpy(k.tenant, intent->tenant, sizeof(k.tenant));
    memcpy(k.name, intent->name, sizeof(k.name));
    return k;
}

static inline void add_key(struct place *p, const char *tenant, const char *name, uint8_t seed)
{
    struct registry_intent intent = an_intent(tenant, name, seed);
    struct registry_key key = a_key(&intent, seed);
    struct err err;

    OK(registry_intent_add(p->r, &intent, &err));
    OK(registry_intent_commit(p->r, intent.id, &key, &err));
}

#endif
