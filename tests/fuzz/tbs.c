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
#include "tests/fuzz/spki.h"

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    const struct tbs_names any = {0};
    struct err err = {0};
    enum purpose purpose = tbs_recognise(input, n, &err);

    FUZZ_ASSERT(purpose == 0 || (purpose & PURPOSES_TLS && !(purpose & (purpose - 1))));
    FUZZ_ASSERT(purpose || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(!purpose || !ber_is_signable(input, n));
    err = (struct err){0};
    bool csr = tbs_csr(input, n, spki, sizeof(spki), &any, &err);
    FUZZ_ASSERT(csr || err.code == ERR_BAD_SHAPE);
    FUZZ_ASSERT(!(csr && purpose));
    FUZZ_ASSERT(!csr || ber_is_signable(input, n));
    bool tls12 = tbs_tls12_server(input, n, &err);
    enum purpose tls13 = tbs_tls13(input, n, &err);
    FUZZ_ASSERT(purpose != PURPOSE_TLS12_SERVER || tls12);
    FUZZ_ASSERT(!(purpose & (PURPOSE_TLS13_SERVER | PURPOSE_TLS13_CLIENT)) || tls13 == purpose);
    return 0;
}
