/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/custodian/internal.h"

static void put_types(struct custodian *c)
{
    uint32_t n = 0;

    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++)
        n += c->abilities.can_generate[t];
    put_u32(c->parent, n);
    for (int t = KEY_TYPE_NONE + 1; t < KEY_TYPE_COUNT; t++)
        if (c->abilities.can_generate[t])
            put_str(c->parent, key_type_info((enum key_type)t)->name);
}

static void put_notes(struct custodian *c)
{
    put_u32(c->parent, (uint32_t)(c->abilities.note_count + c->note_count));
    for (size_t i = 0; i < c->abilities.note_count; i++)
        put_str(c->parent, c->abilities.notes[i]);
    for (size_t i = 0; i < c->note_count; i++)
        put_str(c->parent, c->notes[i]);
}

void stats_answer(struct custodian *c, uint64_t ask)
{
    const struct token_info *info = token_info(c->token);
    uint32_t tenants = 0, keys = 0;
    struct err err;

    if (!registry_counts(c->registry, &tenants, &keys, &err))
        custodian_note(c, "the registry could not be counted: %s", err.text);
    chan_put(c->parent, MSG_STATS);
    put_u64(c->parent, ask);
    put_u8(c->parent, PROC_CUSTODIAN);
    put_u32(c->parent, 0);
    put_u32(c->parent, tenants);
    put_u32(c->parent, keys);
    put_u32(c->parent, c->missing);
    put_str(c->parent, info->label);
    put_str(c->parent, info->manufacturer);
    put_str(c->parent, info->model);
    put_str(c->parent, info->serial);
    put_str(c->parent, info->module);
    put_types(c);
    put_notes(c);
    chan_end(c->parent);
}
