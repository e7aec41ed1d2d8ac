/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "clients/keydctl/keydctl.h"
#include "clients/keydctl/output.h"

/* Health: the state, but for a process that is ready and does not answer. */
static json_t *process_json(const struct keyd_process *p)
{
    return json_pack("{s:o, s:I, s:o, s:o, s:I, s:I, s:I, s:I, s:o}", "name", out_string(p->name),
                     "pid", (json_int_t)p->pid, "state", out_string(p->state), "health",
                     out_string(p->silent ? "no answer" : p->state), "uptime_ms",
                     (json_int_t)p->uptime_ms, "restarts", (json_int_t)p->restarts, "signatures",
                     (json_int_t)p->signatures, "failed", (json_int_t)p->failed, "last_exit",
                     out_string(p->last_exit));
}

static json_t *scheme_json(const struct keyd_scheme_status *s)
{
    return json_pack("{s:o, s:I, s:I, s:f, s:f, s:I, s:I, s:I}", "scheme", out_string(s->name),
                     "code", (json_int_t)s->scheme, "total", (json_int_t)s->total, "per_second_10s",
                     s->per_second_10s, "per_second_60s", s->per_second_60s, "p50_us",
                     (json_int_t)s->p50_us, "p90_us", (json_int_t)s->p90_us, "p99_us",
                     (json_int_t)s->p99_us);
}

static json_t *exit_json(const struct keyd_exit *e)
{
    return json_pack("{s:o, s:o, s:o}", "process", out_string(e->process), "at", out_time(e->at),
                     "why", out_string(e->why));
}

static json_t *refusals_json(const struct keyd_status *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->refusal_count; i++)
        json_array_append_new(all,
                              json_pack("{s:o, s:I}", "reason", out_string(s->refusals[i].reason),
                                        "count", (json_int_t)s->refusals[i].count));
    return all;
}

static json_t *strings_json(char *const *s, size_t count)
{
    json_t *a = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(a, out_string(s[i]));
    return a;
}

static json_t *token_json(const struct keyd_status *s)
{
    return json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "label", out_string(s->token.label),
                     "manufacturer", out_string(s->token.manufacturer), "model",
                     out_string(s->token.model), "serial", out_string(s->token.serial), "module",
                     out_string(s->token.module), "key_types",
                     strings_json(s->token.key_types, s->token.key_type_count), "notes",
                     strings_json(s->token.notes, s->token.note_count));
}

static json_t *queue_json(const struct keyd_status *s)
{
    return json_pack(
        "{s:I, s:I, s:I, s:I, s:I, s:I, s:I}", "waiting", (json_int_t)s->queue.waiting,
        "at_signers", (json_int_t)s->queue.at_signers, "connections",
        (json_int_t)s->queue.connections, "signed_total", (json_int_t)s->queue.signed_total,
        "refused_total", (json_int_t)s->queue.refused_total, "busy_total",
        (json_int_t)s->queue.busy_total, "retried_total", (json_int_t)s->queue.retried_total);
}

static json_t *status_json(const struct keyd_status *s)
{
    json_t *processes = json_array(), *schemes = json_array(), *exits = json_array();

    for (size_t i = 0; i < s->process_count; i++)
        json_array_append_new(processes, process_json(&s->processes[i]));
    for (size_t i = 0; i < s->scheme_count; i++)
        json_array_append_new(schemes, scheme_json(&s->schemes[i]));
    for (size_t i = 0; i < s->exit_count; i++)
        json_array_append_new(exits, exit_json(&s->exits[i]));
    return json_pack("{s:o, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:I, s:I, s:I}", "version",
                     out_string(s->version), "uptime_ms", (json_int_t)s->uptime_ms, "processes",
                     processes, "schemes", schemes, "exits", exits, "refusals", refusals_json(s),
                     "token", token_json(s), "queue", queue_json(s), "tenants",
                     (json_int_t)s->tenants, "keys", (json_int_t)s->keys, "keys_missing",
                     (json_int_t)s->keys_missing);
}

/* ---- for people */

static const char *state_colour(const char *state)
{
    return strcmp(state, "ready") == 0 ? "green" : "red";
}

/* A pid of 0: it does not run. */
static void text_pid(const json_t *value, char *buf)
{
    if (json_integer_value(value))
        snprintf(buf, CELL_MAX, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static const struct column processes[] = {
    {.title = "PROCESS", .member = "name"},
    {.title = "PID", .member = "pid", .text = text_pid, .right = true},
    {.title = "STATE", .member = "health", .colour = state_colour},
    {.title = "UP", .member = "uptime_ms", .text = text_duration, .right = true},
    {.title = "RESTARTS", .member = "restarts", .right = true},
    {.title = "SIGNATURES", .member = "signatures", .right = true},
    {.title = "FAILED", .member = "failed", .right = true},
    {0},
};

static const struct column schemes[] = {
    {.title = "SCHEME", .member = "scheme"},
    {.title = "SIGNATURES", .member = "total", .right = true},
    {.title = "/S (10 S)", .member = "per_second_10s", .text = text_rate, .right = true},
    {.title = "/S (60 S)", .member = "per_second_60s", .text = text_rate, .right = true},
    {.title = "P50 US", .member = "p50_us", .right = true},
    {.title = "P90 US", .member = "p90_us", .right = true},
    {.title = "P99 US", .member = "p99_us", .right = true},
    {0},
};

static const struct column exits[] = {
    {.title = "ENDED", .member = "at"},
    {.title = "PROCESS", .member = "process"},
    {.title = "WHY", .member = "why"},
    {0},
};

static const struct column refusals[] = {
    {.title = "REFUSED", .member = "reason"},
    {.title = "TIMES", .member = "count", .right = true},
    {0},
};

static const struct column token[] = {
    {.title = "label", .member = "label"},
    {.title = "manufacturer", .member = "manufacturer"},
    {.title = "model", .member = "model"},
    {.title = "serial", .member = "serial"},
    {.title = "module", .member = "module"},
    {.title = "can generate", .member = "key_types"},
    {0},
};

static const struct column queue[] = {
    {.title = "waiting", .member = "waiting"},
    {.title = "at signers", .member = "at_signers"},
    {.title = "connections", .member = "connections"},
    {.title = "signed", .member = "signed_total"},
    {.title = "refused", .member = "refused_total"},
    {.title = "busy or late", .member = "busy_total"},
    {.title = "retried", .member = "retried_total"},
    {0},
};

static const struct column counts[] = {
    {.title = "tenants", .member = "tenants"},
    {.title = "keys", .member = "keys"},
    {.title = "keys missing", .member = "keys_missing"},
    {0},
};

static void show_notes(const json_t *notes)
{
    for (size_t i = 0; i < json_array_size(notes); i++) {
        printf("  note: ");
        out_text(stdout, json_string_value(json_array_get(notes, i)));
        putchar('\n');
    }
}

/* A table that may be empty, with a blank line before it. */
static bool show_some(const struct column *columns, const json_t *rows)
{
    return json_array_size(rows) == 0 || (putchar('\n') != EOF && out_table(stdout, columns, rows));
}

static bool show_status(const json_t *s)
{
    char up[CELL_MAX];

    text_duration(json_object_get(s, "uptime_ms"), up);
    printf("keyd ");
    out_text(stdout, json_string_value(json_object_get(s, "version")));
    printf(", up %s\n\n", up);
    if (!out_table(stdout, processes, json_object_get(s, "processes")) ||
        !show_some(schemes, json_object_get(s, "schemes")) ||
        !show_some(exits, json_object_get(s, "exits")) ||
        !show_some(refusals, json_object_get(s, "refusals")))
        return false;
    printf("\ntoken\n");
    out_fields(stdout, token, json_object_get(s, "token"), 2);
    show_notes(json_object_get(json_object_get(s, "token"), "notes"));
    printf("\nqueue of the signing gate\n");
    out_fields(stdout, queue, json_object_get(s, "queue"), 2);
    printf("\nregistry\n");
    out_fields(stdout, counts, s, 2);
    return true;
}

static int status(struct ctx *ctx)
{
    struct keyd_status *s;
    struct keyd_error error;

    if (keyd_status(ctx->client, &s, &error) != KEYD_OK)
        return complain(ctx, &error);
    json_t *value = status_json(s);
    keyd_status_free(s);
    return present(ctx, value, show_status);
}

const struct command status_commands[] = {
    {.name = "status",
     .run = status,
     .line = "show how keyd is doing",
     .about =
         "Shows keyd's processes, its signatures by scheme (how many a second, how long the\n"
         "signer needs), the processes that ended unasked and why, who was refused and why, the\n"
         "token, the queue of signatures, and counts. Figures count from the start of each\n"
         "process.",
     .example = "keydctl status"},
    {0},
};
