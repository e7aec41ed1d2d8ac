/* SPDX-License-Identifier: Apache-2.0 */
#include "clients/libkeyd/result.h"

#include <stdalign.h>
#include <string.h>

#include "proto/base/mem.h"

struct result_head {
    struct arena arena;
    size_t cap; /* elements that there is room for */
    alignas(max_align_t) uint8_t items[];
};

struct result result_of(size_t item)
{
    return (struct result){.item = item};
}

static bool grow(struct result *r)
{
    size_t cap = r->head ? 2 * r->head->cap : 8;
    struct result_head *head = mem_resize(r->head, sizeof(*head) + cap * r->item, 1);

    if (!head)
        return false;
    if (!r->head)
        head->arena = arena_of(RESULT_CAP);
    head->cap = cap;
    r->head = head;
    return true;
}

void *result_add(struct result *r)
{
    if (!r->failed && (!r->head || r->count == r->head->cap) && !grow(r))
        r->failed = true;
    if (r->failed)
        return NULL;
    return memset(r->head->items + r->count++ * r->item, 0, r->item);
}

void *result_room(struct result *r, size_t n)
{
    void *p = r->failed || !r->head ? NULL : arena_alloc(&r->head->arena, n ? n : 1);

    if (!p)
        r->failed = true;
    return p;
}

char *result_str(struct result *r, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = result_room(r, n);

    return p ? memcpy(p, s, n) : NULL;
}

char **result_strs(struct result *r, char *const *from, size_t count, size_t *ret_count)
{
    char **s = result_room(r, count * sizeof(*s));

    for (size_t i = 0; s && i < count; i++)
        s[i] = result_str(r, from[i]);
    *ret_count = s ? count : 0;
    return s;
}

uint8_t *result_bytes(struct result *r, ProtobufCBinaryData from, size_t *ret_len)
{
    uint8_t *p = from.len ? result_room(r, from.len) : NULL;

    *ret_len = p ? from.len : 0;
    return p ? memcpy(p, from.data, from.len) : NULL;
}

bool result_ok(struct result *r, struct err *err)
{
    if (!r->head && !grow(r))
        r->failed = true;
    if (r->failed)
        return err_set(err, ERR_INTERNAL, "no memory for what keyd answered");
    return true;
}

void *result_take(struct result *r)
{
    struct result_head *head = TAKE(r->head);

    return head->items;
}

void result_free(struct result *r)
{
    if (!r->head)
        return;
    arena_free(&r->head->arena);
    mem_free(TAKE(r->head));
}

void result_free_items(void *items)
{
    if (!items)
        return;
    struct result r = {.head = (void *)((uint8_t *)items - offsetof(struct result_head, items))};
    result_free(&r);
}

bool cursor_move(struct cursor *c, const char *next, size_t count, struct err *err)
{
    size_t len = strlen(next);

    if (len >= sizeof(c->at) || (len > 0 && count == 0))
        return err_set(err, ERR_INTERNAL, "keyd's list does not come to an end");
    memcpy(c->at, next, len + 1);
    return true;
}
