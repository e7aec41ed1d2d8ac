/* SPDX-License-Identifier: Apache-2.0
 *
 * Before a key is looked at. libcrypto clears most of what held a secret, but not all of it (what
 * PEM and DER readers copy about goes back as it is): so every block that it frees is wiped here.
 */
#include <malloc.h>
#include <openssl/crypto.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include "clients/keydctl/keyfile/keyfile.h"
#include "proto/base/mem.h"

#define STACK_BYTES (64u << 10)

static void *wiping_alloc(size_t n, const char *file, int line)
{
    (void)file, (void)line;
    return n ? mem_new(n) : NULL;
}

static void wiping_free(void *p, const char *file, int line)
{
    (void)file, (void)line;
    if (p)
        secret_wipe(p, malloc_usable_size(p));
    mem_free(p);
}

/* Never in place: what shrinks or moves must not leave its tail behind. */
static void *wiping_realloc(void *p, size_t n, const char *file, int line)
{
    size_t old = p ? malloc_usable_size(p) : 0;
    void *q = wiping_alloc(n, file, line);

    if (q && p)
        memcpy(q, p, old < n ? old : n);
    if (q || n == 0)
        wiping_free(p, file, line);
    return q;
}

bool keyfile_begin(struct err *err)
{
    static const struct rlimit none = {0, 0};

    if (setrlimit(RLIMIT_CORE, &none) != 0 || prctl(PR_SET_DUMPABLE, 0) != 0)
        return err_set(err, ERR_INTERNAL, "cannot forbid core files");
    if (CRYPTO_set_mem_functions(wiping_alloc, wiping_realloc, wiping_free) != 1)
        return err_set(err, ERR_INTERNAL, "libcrypto was in use before the key's memory was safe");
    if (OPENSSL_init_crypto(OPENSSL_INIT_NO_LOAD_CONFIG, NULL) != 1)
        return err_set(err, ERR_INTERNAL, "libcrypto cannot start");
    return true;
}

__attribute__((noinline)) void keyfile_scrub(void)
{
    uint8_t stack[STACK_BYTES];

    secret_wipe(stack, sizeof(stack));
}
