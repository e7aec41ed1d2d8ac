/* SPDX-License-Identifier: Apache-2.0
 *
 * token-bench and pin-change: the token as a machine.
 */
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

/* ---- token-bench */

static json_t *type_string(int type)
{
    const char *name = keyd_key_type_name(type);

    return out_string(name ? name : "unknown");
}

static json_t *generations_json(const struct keyd_bench *b)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < b->generation_count; i++) {
        const struct keyd_bench_generation *g = &b->generations[i];

        json_array_append_new(rows,
                              json_pack("{s:o, s:I, s:I, s:I}", "type", type_string(g->type),
                                        "keys", (json_int_t)g->keys, "p50_us",
                                        (json_int_t)g->p50_us, "max_us", (json_int_t)g->max_us));
    }
    return rows;
}

/* The name that the scheme was tried under. */
static const char *scheme_name(const struct keyd_bench *b, uint32_t scheme)
{
    for (size_t i = 0; i < b->tried_count; i++)
        if (b->tried[i].scheme == scheme)
            return b->tried[i].name;
    return "unknown";
}

static json_t *rates_json(const struct keyd_bench *b)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < b->rate_count; i++) {
        const struct keyd_bench_rate *r = &b->rates[i];

        json_array_append_new(
            rows,
            json_pack("{s:o, s:o, s:I, s:I, s:f, s:I, s:I}", "type", type_string(r->type), "scheme",
                      out_string(scheme_name(b, r->scheme)), "code", (json_int_t)r->scheme,
                      "signers", (json_int_t)r->signers, "per_second", r->per_second, "p50_us",
                      (json_int_t)r->p50_us, "p99_us", (json_int_t)r->p99_us));
    }
    return rows;
}

static json_t *tried_json(const struct keyd_bench *b)
{
    json_t *rows = json_array();

    for (size_t i = 0; i < b->tried_count; i++) {
        const struct keyd_bench_tried *t = &b->tried[i];

        json_array_append_new(rows, json_pack("{s:o, s:o, s:I, s:b, s:o}", "type",
                                              type_string(t->type), "scheme", out_string(t->name),
                                              "code", (json_int_t)t->scheme, "signs", !t->error[0],
                                              "error", out_string(t->error)));
    }
    return rows;
}

static json_t *bench_json(const struct keyd_bench *b)
{
    json_t *advice = json_array();

    for (size_t i = 0; i < b->advice_count; i++)
        json_array_append_new(advice, out_string(b->advice[i]));
    return json_pack("{s:o, s:o, s:o, s:o, s:I, s:I, s:o}", "generations", generations_json(b),
                     "rates", rates_json(b), "tried", tried_json(b), "advice", advice, "signers",
                     (json_int_t)b->signers, "cores", (json_int_t)b->cores, "cut_short",
                     out_string(b->cut_short));
}

/* 0: it was the custodian. */
static void text_signers(const json_t *value, char *buf)
{
    if (json_integer_value(value))
        snprintf(buf, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
    else
        snprintf(buf, CELL_MAX, "custodian");
}

static void text_ms(const json_t *value, char *buf)
{
    snprintf(buf, CELL_MAX, "%.1f", (double)json_integer_value(value) / 1000);
}

static const struct column rates[] = {
    {.title = "TYPE", .member = "type"},
    {.title = "SCHEME", .member = "scheme"},
    {.title = "SIGNERS", .member = "signers", .text = text_signers, .right = true},
    {.title = "/S", .member = "per_second", .text = text_rate, .right = true},
    {.title = "P50 US", .member = "p50_us", .right = true},
    {.title = "P99 US", .member = "p99_us", .right = true},
    {0},
};

static const struct column generations[] = {
    {.title = "NEW KEY", .member = "type"},
    {.title = "MADE", .member = "keys", .right = true},
    {.title = "P50 MS", .member = "p50_us", .text = text_ms, .right = true},
    {.title = "MAX MS", .member = "max_us", .text = text_ms, .right = true},
    {0},
};

static void show_line(const char *before, const char *text)
{
    fputs(before, stdout);
    out_text(stdout, text);
    putchar('\n');
}

static void show_tried(const json_t *tried)
{
    size_t refused = 0;

    for (size_t i = 0; i < json_array_size(tried); i++) {
        const json_t *t = json_array_get(tried, i);
        char line[CELL_MAX];

        if (json_is_true(json_object_get(t, "signs")))
            continue;
        refused++;
        snprintf(line, sizeof(line), "%s %s: %s", json_string_value(json_object_get(t, "type")),
                 json_string_value(json_object_get(t, "scheme")),
                 json_string_value(json_object_get(t, "error")));
        show_line("refused: ", line);
    }
    printf("tried %zu ways to sign, %zu refused\n", json_array_size(tried), refused);
}

static bool show_bench(const json_t *value)
{
    const json_t *advice = json_object_get(value, "advice");
    const char *cut_short = json_string_value(json_object_get(value, "cut_short"));

    if (json_array_size(json_object_get(value, "rates")) > 0 &&
        (!out_table(stdout, rates, json_object_get(value, "rates")) || putchar('\n') == EOF))
        return false;
    if (json_array_size(json_object_get(value, "generations")) > 0 &&
        (!out_table(stdout, generations, json_object_get(value, "generations")) ||
         putchar('\n') == EOF))
        return false;
    show_tried(json_object_get(value, "tried"));
    for (size_t i = 0; i < json_array_size(advice); i++)
        show_line("", json_string_value(json_array_get(advice, i)));
    if (cut_short && *cut_short)
        show_line("not all was measured: ", cut_short);
    return true;
}

static int token_bench(struct ctx *ctx)
{
    const char *given = args_get(&ctx->args, "seconds");
    unsigned seconds = 0;
    struct keyd_bench *bench;
    struct keyd_error error;
    struct err err;

    if (given && !args_seconds(given, "--seconds", &seconds, &err))
        return complain_usage(&err);
    if (keyd_token_bench(ctx->client, seconds, &bench, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = bench_json(bench);
    keyd_token_bench_free(bench);
    return present(ctx, value, show_bench);
}

/* ---- pin-change */

static bool show_change(const json_t *value)
{
    printf("the token's user PIN is changed; %s ", json_is_true(json_object_get(value, "given"))
                                                       ? "yours is now in"
                                                       : "keyd's new one is in");
    out_text(stdout, json_string_value(json_object_get(value, "file")));
    return putchar('\n') != EOF;
}

static int pin_change(struct ctx *ctx)
{
    struct keyd_pin_change *change;
    struct keyd_error error;

    if (keyd_pin_change(ctx->client, &change, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value =
        json_pack("{s:o, s:b}", "file", out_string(change->file), "given", change->given);
    keyd_pin_change_free(change);
    return present(ctx, value, show_change);
}

static const struct option_row bench_options[] = {
    {"seconds", "N", "how long it may take, 2 to 15 (10)", 0},
    {0},
};

const struct command bench_commands[] = {
    {.name = "token-bench",
     .run = token_bench,
     .line = "measure the token, and how many signers pay",
     .about = "Tries what the token can sign with, how long keys take to make, and how many\n"
              "signatures one signer makes a second, two, ... all that run. Live signing goes\n"
              "on meanwhile, and takes its share; nothing is left in the token. SIGNERS is\n"
              "\"custodian\" where keys take too long to make for that: one process signed.",
     .example = "keydctl token-bench --seconds 5",
     .options = bench_options,
     .timeout = 60},
    {.name = "pin-change",
     .run = pin_change,
     .line = "give the token a new user PIN",
     .about = "keyd makes a new PIN, sets it in the token and puts it into its PIN file. To\n"
              "choose it yourself, write it into that file's name with .next behind it (mode\n"
              "0600, owner keyd or root) before. No PIN is ever on the wire. Signing goes on;\n"
              "cut short anywhere, keyd finds out by itself which PIN the token has.",
     .example = "keydctl pin-change",
     .timeout = 120},
    {0},
};
