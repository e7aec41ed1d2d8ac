/* SPDX-License-Identifier: Apache-2.0
 *
 * The recognisers (keyd/policy/tbs*.c): no message is two things, and none that is recognised as a
 * TLS handshake's can be taken for a structure that people sign (design D1).
 */
#include "keyd/policy/tbs.h"

#include <string.h>

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs_csr.h"
#include "keyd/policy/tbs_tls12.h"
#include "keyd/policy/tbs_tls13.h"
#include "tests/fuzz/fuzz.h"

/* The public key in corpus/tbs/csr-p256. */
static const uint8_t spki[] = {
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04, 0x3d, 0x14, 0x56, 0xbe, 0x93,
    0x79, 0x17, 0xd6, 0xda, 0x8b, 0xd2, 0x04, 0xdb, 0x54, 0xe9, 0x03, 0x73, 0xbe, 0x8c, 0xa9, 0xfa,
    0x79, 0xdd, 0x05, 0xa2, 0x26, 0x6a, 0xac, 0xc5, 0xe8, 0x17, 0xc0, 0x19, 0x37, 0x6b, 0x29, 0x22,
    0xc6, 0x10, 0x59, 0x24, 0xb4, 0x24, 0x43, 0x19, 0xe9, 0x24, 0xc1, 0xc3, 0x80, 0x52, 0x2d, 0xba,
    0x64, 0x35, 0x84, 0xab, 0x17, 0x15, 0x96, 0x85, 0x09, 0xd1, 0x35,
};

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct err err = {0};
    enum purpose purpose = tbs_recognise(input, n, &err);

    FUZZ_ASSERT(purpose == 0 || (purpose & PURPOSES_TLS && !(purpose & (purpose - 1))));
    FUZZ_ASSERT(purpose || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(!purpose || !ber_is_signable(input, n));
    err = (struct err){0};
    bool csr = tbs_csr(input, n, spki, sizeof(spki), &err);
    FUZZ_ASSERT(csr || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(!(csr && purpose));
    FUZZ_ASSERT(!csr || ber_is_signable(input, n));
    bool tls12 = tbs_tls12_server(input, n, &err);
    enum purpose tls13 = tbs_tls13(input, n, &err);
    FUZZ_ASSERT(purpose != PURPOSE_TLS12_SERVER || tls12);
    FUZZ_ASSERT(!(purpose & (PURPOSE_TLS13_SERVER | PURPOSE_TLS13_CLIENT)) || tls13 == purpose);
    return 0;
}
