/* SPDX-License-Identifier: Apache-2.0
 *
 * keyd/policy/tbs_tls13.c: what it takes is one of two texts of 98 bytes and a hash (RFC 8446
 * 4.4.3), by a comparison that is written another way.
 */
#include "keyd/policy/tbs_tls13.h"

#include <string.h>

#include "keyd/policy/ber.h"
#include "keyd/policy/tbs_tls12.h"
#include "tests/fuzz/fuzz.h"

#define EIGHT "        "
#define PAD   EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT EIGHT
#define HEAD  98

static const char server[] = PAD "TLS 1.3, server CertificateVerify";
static const char client[] = PAD "TLS 1.3, client CertificateVerify";

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    (void)argc, (void)argv;
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *input, size_t n)
{
    struct err err = {0};
    enum purpose purpose = tbs_tls13(input, n, &err);
    bool whole = n == HEAD + 32 || n == HEAD + 48;

    FUZZ_ASSERT(sizeof(server) == HEAD && sizeof(client) == HEAD); /* with the separator */
    FUZZ_ASSERT((purpose == PURPOSE_TLS13_SERVER) == (whole && memcmp(input, server, HEAD) == 0));
    FUZZ_ASSERT((purpose == PURPOSE_TLS13_CLIENT) == (whole && memcmp(input, client, HEAD) == 0));
    FUZZ_ASSERT(purpose == 0 || !ber_is_signable(input, n));
    FUZZ_ASSERT(purpose == 0 || !tbs_tls12_server(input, n, &err));
    err = (struct err){0};
    FUZZ_ASSERT(tbs_tls13(input, n, &err) || err.code == ERR_BAD_SHAPE);
    return 0;
}
