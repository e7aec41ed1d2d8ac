/* SPDX-License-Identifier: Apache-2.0 */
#include "proto/frame.h"

#include <stdio.h>
#include <string.h>

_Static_assert(ERR_BAD_REQUEST == (int)KEYD__V1__ERROR_CODE__ERROR_CODE_BAD_REQUEST,
               "wire numbers");
_Static_assert(ERR_TOO_LARGE == (int)KEYD__V1__ERROR_CODE__ERROR_CODE_TOO_LARGE, "wire numbers");
_Static_assert(ERR_BUSY == (int)KEYD__V1__ERROR_CODE__ERROR_CODE_BUSY, "wire numbers");
_Static_assert(ERR_UNAVAILABLE == (int)KEYD__V1__ERROR_CODE__ERROR_CODE_UNAVAILABLE,
               "wire numbers");
_Static_assert(ERR_STORAGE == (int)KEYD__V1__ERROR_CODE__ERROR_CODE_STORAGE, "wire numbers");

enum frame_state frame_peek(const uint8_t *buf, size_t len, size_t cap, size_t *ret_len)
{
    if (len < FRAME_HEAD)
        return FRAME_PART;
    size_t body =
        (size_t)buf[0] << 24 | (size_t)buf[1] << 16 | (size_t)buf[2] << 8 | (size_t)buf[3];
    *ret_len = body;
    if (body > cap)
        return FRAME_OVERSIZE;
    return len - FRAME_HEAD < body ? FRAME_PART : FRAME_WHOLE;
}

static void *arena_allocator_alloc(void *arena, size_t n)
{
    return arena_alloc(arena, n);
}

static void arena_allocator_free(void *arena, void *p)
{
    (void)arena, (void)p; /* all is freed with the arena */
}

envelope *frame_decode(struct arena *a, const uint8_t *p, size_t len, struct err *err)
{
    ProtobufCAllocator allocator = {arena_allocator_alloc, arena_allocator_free, a};
    envelope *e = keyd__v1__envelope__unpack(&allocator, len, p);

    if (!e) {
        err_set(err, ERR_BAD_REQUEST, "a frame of %zu bytes is no Envelope of keyd.v1", len);
        return NULL;
    }
    if (e->body_case == KEYD__V1__ENVELOPE__BODY__NOT_SET) {
        err_set(err, ERR_UNSUPPORTED, "request %llu asks for nothing that this keyd knows",
                (unsigned long long)e->id);
        err_hint(err, "a newer client? compare the versions in the hello");
    }
    return e;
}

size_t frame_size(const envelope *e)
{
    return FRAME_HEAD + keyd__v1__envelope__get_packed_size(e);
}

size_t frame_encode(const envelope *e, uint8_t *out)
{
    size_t body = keyd__v1__envelope__pack(e, out + FRAME_HEAD);

    for (size_t i = 0; i < FRAME_HEAD; i++)
        out[i] = (uint8_t)(body >> (8 * (FRAME_HEAD - 1 - i)));
    return FRAME_HEAD + body;
}

void frame_error_of(const struct err *err, Keyd__V1__Error *ret)
{
    keyd__v1__error__init(ret);
    ret->code = (Keyd__V1__ErrorCode)err->code;
    ret->message = (char *)err->text;
    ret->hint = (char *)err->hint;
    ret->retry_after_ms = err->retry_after_ms;
}

bool frame_error_to(const Keyd__V1__Error *error, struct err *err)
{
    err_set(err, (enum err_code)error->code, "%s", error->message);
    err_hint(err, "%s", error->hint);
    return err_retry(err, error->retry_after_ms);
}
