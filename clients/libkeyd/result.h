/* SPDX-License-Identifier: Apache-2.0
 *
 * result: what a management call gives back: an array of structs whose strings and bytes lie in
 * one arena, which hides before the first element. So whatever was half built is freed in one step,
 * and the caller's *_free too. All copies are sticky: after a failure they give NULL, and result_ok
 * is asked once at the end.
 */
#ifndef KEYD_CLIENTS_LIBKEYD_RESULT_H
#define KEYD_CLIENTS_LIBKEYD_RESULT_H

#include <stddef.h>
#include <stdint.h>

#include "proto/base/arena.h"
#include "proto/keyd.pb-c.h"
#include "proto/keys.h"

#define RESULT_CAP (256u << 20) /* bytes of strings in one result */

struct result {
    struct result_head *head;
    size_t item; /* bytes of one element */
    size_t count;
    bool failed;
};

/* An empty result with elements of `item` bytes. */
struct result result_of(size_t item);

/* Adds a zeroed element; NULL after a failure. It may move at the next result_add. */
void *result_add(struct result *r);

/* n zeroed bytes; NULL after a failure. */
void *result_room(struct result *r, size_t n);

/* A copy of a string. */
char *result_str(struct result *r, const char *s);

/* Copies of `count` strings; NULL and 0 for none. */
char **result_strs(struct result *r, char *const *from, size_t count, size_t *ret_count);

/* A copy of bytes; NULL and 0 for none. */
uint8_t *result_bytes(struct result *r, ProtobufCBinaryData from, size_t *ret_len);

/* Adds a struct keyd_key with what an answer says of a key. ERR_INTERNAL for an answer that holds
 * none. (keys.c) */
bool result_add_key(struct result *r, const Keyd__V1__Key *from, struct err *err) MUST_USE;

/* Adds a struct keyd_object, a struct keyd_finding. (objects.c) */
void result_add_object(struct result *r, const Keyd__V1__TokenObject *from);
/* See result_add_object. (objects.c) */
void result_add_finding(struct result *r, const Keyd__V1__Finding *from);

/* Whether everything did fit; ERR_INTERNAL if not. After it result_take cannot fail. */
bool result_ok(struct result *r, struct err *err) MUST_USE;

/* Gives the array away, one that is empty too; freed with result_free_items. Only after result_ok.
 */
void *result_take(struct result *r);

/* Frees a result that was not taken. */
void result_free(struct result *r);

/* Frees an array from result_take; NULL is fine. */
void result_free_items(void *items);

/* Where a list that comes in pages goes on; empty: at the start, or that was all. */
struct cursor {
    char at[2 * NAME_MAX_LEN + 2]; /* "tenant/name" */
};

/* Moves on to what a page of `count` elements says comes next. Fails on a cursor that is none, or
 * behind an empty page: such a list would not come to an end. */
bool cursor_move(struct cursor *c, const char *next, size_t count, struct err *err) MUST_USE;

#endif
