/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd/policy/tbs_tls12.c: what it takes has the length, curve and first bytes that RFC 8422 5.4
 * gives it, and no reader of ASN.1 would take it for a structure.
 */
#include "keyd/policy/tbs_tls12.h"

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs_tls13.h"
#include "tests/fuzz/fuzz.h"

/* The four bytes behind the randoms, for each length there is. */
static uint32_t head_of(size_t n)
{
    switch (n) {
    case 133:
        return 0x03001741;
    case 165:
        return 0x03001861;
    case 201:
        return 0x03001985;
    case 100:
        return 0x03001d20;
    case 124:
        return 0x03001e38;
    default:
        return 0;
    }
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct err err = {0};
    bool ok = tbs_tls12_server(input, n, &err);
    bool dhe = tbs_tls12_is_dhe(input, n);

    FUZZ_ASSERT(ok || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(!(ok && dhe));
    if (!ok)
        return 0;
    uint32_t head = (uint32_t)input[64] << 24 | (uint32_t)input[65] << 16 |
                    (uint32_t)input[66] << 8 | input[67];
    FUZZ_ASSERT(head == head_of(n));
    FUZZ_ASSERT(n == 100 || n == 124 || input[68] == 4);
    FUZZ_ASSERT(!ber_is_signable(input, n));
    FUZZ_ASSERT(tbs_tls13(input, n, &err) == 0);
    return 0;
}
