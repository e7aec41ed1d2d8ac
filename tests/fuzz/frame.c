/* SPDX-License-Identifier: Apache-2.0
 *
 * frame_peek and frame_decode: what comes from a socket. A stream is taken apart as a gate does it;
 * memory stays within the arena; what was understood is written and, if it can be read again, says
 * the same. (It cannot when it has a field of the number 0, which protobuf-c takes in its long form
 * alone, as an unknown one that is kept: corpus/frame/field-0.)
 */
#include "proto/frame.h"

#include <string.h>

#include "tests/fuzz/fuzz.h"

#define ARENA_MAX (1u << 20)

static void check_envelope(const envelope *e)
{
    struct arena a = arena_of(ARENA_MAX);
    size_t n = frame_size(e), body;
    uint8_t *frame = malloc(n);
    struct err err = {0};

    FUZZ_ASSERT(frame && frame_encode(e, frame) == n);
    FUZZ_ASSERT(frame_peek(frame, n, n, &body) == FRAME_WHOLE && body == n - FRAME_HEAD);
    envelope *again = frame_decode(&a, frame + FRAME_HEAD, body, &err);
    FUZZ_ASSERT(again || err.code == ERR_BAD_REQUEST);
    FUZZ_ASSERT(!again || (again->body_case == e->body_case && again->id == e->id));
    FUZZ_ASSERT(!again || frame_size(again) == n);
    arena_free(&a);
    free(frame);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct arena a = arena_of(ARENA_MAX);
    size_t body;

    while (frame_peek(input, n, FRAME_CAP_SIGNING, &body) == FRAME_WHOLE) {
        struct err err = {0};
        envelope *e = frame_decode(&a, input + FRAME_HEAD, body, &err);

        FUZZ_ASSERT(a.used <= ARENA_MAX);
        if (!e) {
            FUZZ_ASSERT(err.code == ERR_BAD_REQUEST);
            break; /* the connection is lost */
        }
        check_envelope(e);
        arena_reset(&a);
        input += FRAME_HEAD + body;
        n -= FRAME_HEAD + body;
    }
    arena_free(&a);
    return 0;
}
