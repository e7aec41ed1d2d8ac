/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"
#include "proto/base/mem.h"

static bool show_pem(const json_t *value)
{
    return fputs(json_string_value(json_object_get(value, "pem")), stdout) != EOF;
}

static int csr(struct ctx *ctx)
{
    const struct args *args = &ctx->args;
    const char **sans AUTO_FREE = mem_array(args->count, sizeof(*sans));
    struct keyd_error error = {.code = KEYD_INTERNAL, .message = "no memory"};
    size_t count = 0;
    char *pem;

    if (!sans)
        return complain(ctx, &error);
    while ((sans[count] = args_nth(args, "san", count)))
        count++;
    if (keyd_create_csr(ctx->client, args_get(args, "key"), args_get(args, "subject"), sans, count,
                        &pem, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = json_pack("{s:o}", "pem", out_string(pem));
    keyd_free(pem);
    return present(ctx, value, show_pem);
}

static const struct option_row options[] = {
    KEY_OPTION(""),
    {"subject", "SUBJECT", "\"CN=www.example.com,O=Acme\" or \"/O=Acme/CN=www.example.com\"",
     OPTION_REQUIRED},
    {"san", "NAME", "a DNS name, also *.example.com or with umlauts", OPTION_REPEAT},
    {0},
};

const struct command csr_commands[] = {
    {.name = "csr",
     .run = csr,
     .line = "make a certificate signing request, in PEM",
     .about = "Makes a certificate signing request (PKCS #10), signed in the token, for a\n"
              "certificate authority.",
     .example = "keydctl csr --key acme/www --subject \"CN=www.example.com\" \\\n"
                "      --san www.example.com > www.csr",
     .options = options},
    {0},
};
