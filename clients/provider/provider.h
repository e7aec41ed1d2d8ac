/* SPDX-License-Identifier: Apache-2.0
 *
 * provider: what the files of the OpenSSL 3 provider share: the provider's context and the tables
 * of algorithms that it offers to the core. See provider(7) and provider-base(7).
 */
#ifndef KEYD_PROVIDER_PROVIDER_H
#define KEYD_PROVIDER_PROVIDER_H

#include <openssl/core.h>
#include <openssl/core_dispatch.h>
#include <openssl/types.h>

#include "clients/libkeyd/keyd.h"

#define PROVIDER_DEADLINE_MS     2000  /* of a signature, when the settings do not say */
#define PROVIDER_DEADLINE_MS_MAX 60000 /* no TLS client waits longer than that */

/* One loaded provider. Nothing in it changes after OSSL_provider_init, so that any thread and any
 * forked child may use it. */
struct provider {
    const OSSL_CORE_HANDLE *core;
    /* Our own library context, with OpenSSL's default provider in it and never ourselves. All that
     * is done with public keys is done there. */
    OSSL_LIB_CTX *libctx;
    OSSL_PROVIDER *defaults;
    struct keyd_client *client;

    OSSL_FUNC_core_new_error_fn *new_error;
    OSSL_FUNC_core_set_error_debug_fn *set_error_debug;
    OSSL_FUNC_core_vset_error_fn *vset_error;
};

/* Two layers: PEM to the DER of a key reference, that DER to a key; decoder.c. */
extern const OSSL_ALGORITHM provider_decoders[];
/* One table per key type; keymgmt.c. */
extern const OSSL_ALGORITHM provider_keymgmts[];
/* RSA, ECDSA, Ed25519; signature.c. */
extern const OSSL_ALGORITHM provider_signatures[];

#endif
