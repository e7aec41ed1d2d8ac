/* SPDX-License-Identifier: Apache-2.0
 *
 * provider: keyd as an OpenSSL 3 provider. A TLS server that is given a key reference where it
 * wants a key file gets a key object that holds the public half; its signatures are made by keyd.
 *
 * It lives in other people's processes: nginx, HAProxy, Apache, stunnel, the openssl tool. So it
 * starts no thread, writes nothing to stdout or stderr, reads no environment variable (nginx wipes
 * them) and opens nothing at load but the directory of keyd's socket (O_PATH, by libkeyd); the
 * process that signs is often a fork with another uid and another root. Settings come from the
 * provider's own section in openssl.cnf:
 *
 *   socket = /run/keyd/frontend/keyd.sock     absolute
 *   deadline_ms = 2000                        of one signature, all retries included
 *   socket = tls:keyd.example.net:7443        or over TLS, and then, all absolute:
 *   certificate, key, ca = /path.pem          who we are; who certified keyd
 *   token_file = /path                        instead of certificate and key, or with them
 */
#include "clients/provider/provider.h"

#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#include "clients/provider/errors.h"
#include "proto/base/mem.h"

/* Ours: the one symbol that keyd.so exports. */
OSSL_provider_init_fn OSSL_provider_init __attribute__((visibility("default")));

static int read_deadline(const struct provider *p, const char *text, uint32_t *ret)
{
    char *end;

    errno = 0;
    unsigned long ms = strtoul(text, &end, 10);
    if (errno || end == text || *end || *text == '-' || ms < 1 || ms > PROVIDER_DEADLINE_MS_MAX)
        return raise_error(p, REASON_SETTING, "deadline_ms = %.40s: milliseconds, 1 to %d", text,
                           PROVIDER_DEADLINE_MS_MAX);
    *ret = (uint32_t)ms;
    return 1;
}

static int read_settings(const struct provider *p, OSSL_FUNC_core_get_params_fn *get,
                         struct keyd_options *ret)
{
    char *socket = NULL, *deadline = NULL, *cert = NULL, *key = NULL, *ca = NULL, *token = NULL;
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_utf8_ptr("socket", &socket, 0),
        OSSL_PARAM_construct_utf8_ptr("deadline_ms", &deadline, 0),
        OSSL_PARAM_construct_utf8_ptr("certificate", &cert, 0),
        OSSL_PARAM_construct_utf8_ptr("key", &key, 0),
        OSSL_PARAM_construct_utf8_ptr("ca", &ca, 0),
        OSSL_PARAM_construct_utf8_ptr("token_file", &token, 0),
        OSSL_PARAM_construct_end(),
    };

    if (get && !get(p->core, params))
        return raise_error(p, REASON_SETTING, "the provider's section cannot be read");
    *ret = (struct keyd_options){.endpoint = socket, /* the core's; NULL: libkeyd's default */
                                 .deadline_ms = PROVIDER_DEADLINE_MS,
                                 .name = "provider/" KEYD_VERSION,
                                 .certificate = cert,
                                 .key = key,
                                 .ca = ca,
                                 .token_file = token};
    return !deadline || read_deadline(p, deadline, &ret->deadline_ms);
}

static const OSSL_ALGORITHM *query(void *p, int operation, int *no_cache)
{
    (void)p;
    *no_cache = 0;
    switch (operation) {
    case OSSL_OP_DECODER:
        return provider_decoders;
    case OSSL_OP_KEYMGMT:
        return provider_keymgmts;
    case OSSL_OP_SIGNATURE:
        return provider_signatures;
    default:
        return NULL;
    }
}

static const OSSL_PARAM *gettable(void *p)
{
    static const OSSL_PARAM params[] = {
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_NAME, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_VERSION, NULL, 0),
        OSSL_PARAM_utf8_ptr(OSSL_PROV_PARAM_BUILDINFO, NULL, 0),
        OSSL_PARAM_int(OSSL_PROV_PARAM_STATUS, NULL),
        OSSL_PARAM_END,
    };

    (void)p;
    return params;
}

static int get_params(void *vp, OSSL_PARAM params[])
{
    OSSL_PARAM *p;

    (void)vp;
    return !(
        ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_NAME)) &&
         !OSSL_PARAM_set_utf8_ptr(p, "keyd: keys that stay in the token")) ||
        ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_VERSION)) &&
         !OSSL_PARAM_set_utf8_ptr(p, KEYD_VERSION)) ||
        ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_BUILDINFO)) &&
         !OSSL_PARAM_set_utf8_ptr(p, KEYD_VERSION)) ||
        ((p = OSSL_PARAM_locate(params, OSSL_PROV_PARAM_STATUS)) && !OSSL_PARAM_set_int(p, 1)));
}

static const OSSL_ITEM *reasons(void *p)
{
    (void)p;
    return provider_reasons;
}

/* Runs in forked nginx workers too, when they exit: it ends what this process opened, no more. */
static void teardown(void *vp)
{
    struct provider *p = vp;

    keyd_client_free(p->client);
    if (p->defaults)
        OSSL_PROVIDER_unload(p->defaults);
    OSSL_LIB_CTX_free(p->libctx);
    mem_free(p);
}

static const OSSL_DISPATCH table[] = {
    {OSSL_FUNC_PROVIDER_TEARDOWN, (void (*)(void))teardown},
    {OSSL_FUNC_PROVIDER_GETTABLE_PARAMS, (void (*)(void))gettable},
    {OSSL_FUNC_PROVIDER_GET_PARAMS, (void (*)(void))get_params},
    {OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))query},
    {OSSL_FUNC_PROVIDER_GET_REASON_STRINGS, (void (*)(void))reasons},
    {0, NULL}};

/* Takes what we need of the core's functions. False if one is missing. */
static bool take_core(struct provider *p, const OSSL_DISPATCH *in,
                      OSSL_FUNC_core_get_params_fn **ret_get)
{
    for (; in->function_id; in++)
        switch (in->function_id) {
        case OSSL_FUNC_CORE_GET_PARAMS:
            *ret_get = OSSL_FUNC_core_get_params(in);
            break;
        case OSSL_FUNC_CORE_NEW_ERROR:
            p->new_error = OSSL_FUNC_core_new_error(in);
            break;
        case OSSL_FUNC_CORE_SET_ERROR_DEBUG:
            p->set_error_debug = OSSL_FUNC_core_set_error_debug(in);
            break;
        case OSSL_FUNC_CORE_VSET_ERROR:
            p->vset_error = OSSL_FUNC_core_vset_error(in);
            break;
        default:
            break;
        }
    return p->new_error && p->set_error_debug && p->vset_error;
}

/* The library context and the client. */
static int set_up(struct provider *p, const OSSL_DISPATCH *in, OSSL_FUNC_core_get_params_fn *get)
{
    struct keyd_options options;
    struct keyd_error error;

    if (!read_settings(p, get, &options))
        return 0;
    p->libctx = OSSL_LIB_CTX_new_from_dispatch(p->core, in);
    p->defaults = p->libctx ? OSSL_PROVIDER_load(p->libctx, "default") : NULL;
    if (!p->defaults)
        return raise_error(p, REASON_MEMORY, "no library context with the default provider");
    if (keyd_client_open(&p->client, &options, &error) != KEYD_OK)
        return raise_keyd(p, &error, "socket");
    return 1;
}

int OSSL_provider_init(const OSSL_CORE_HANDLE *core, const OSSL_DISPATCH *in,
                       const OSSL_DISPATCH **out, void **ret)
{
    struct provider *p = mem_new(sizeof(*p));
    OSSL_FUNC_core_get_params_fn *get = NULL;

    if (!p)
        return 0;
    p->core = core;
    if (!take_core(p, in, &get) || !set_up(p, in, get)) {
        teardown(p);
        return 0;
    }
    *out = table;
    *ret = p;
    return 1;
}
