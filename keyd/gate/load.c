/* SPDX-License-Identifier: Apache-2.0 */
#include "keyd/gate/load.h"

#define SECOND_NS  UINT64_C(1000000000)
#define IN_HAND_MS 10 /* when to come again if too many are in flight: no clock tells */

bool load_fits(const struct load *l, uint32_t rate, uint32_t most, uint64_t now_us,
               uint32_t *ret_wait_ms)
{
    uint64_t now = now_us * 1000;

    if (most && l->in_flight >= most) {
        *ret_wait_ms = IN_HAND_MS;
        return false;
    }
    if (!rate || l->full_ns <= now || l->full_ns - now + SECOND_NS / rate <= SECOND_NS)
        return true;
    *ret_wait_ms = (uint32_t)((l->full_ns - now + SECOND_NS / rate - SECOND_NS) / 1000000) + 1;
    return false;
}

void load_more(struct load *l, uint32_t rate, uint64_t now_us)
{
    uint64_t now = now_us * 1000;

    l->in_flight++;
    if (rate)
        l->full_ns = (l->full_ns > now ? l->full_ns : now) + SECOND_NS / rate;
}

void load_less(struct load *l)
{
    if (l->in_flight > 0)
        l->in_flight--;
}

/* ---- of a call */

static bool refuse(const char *whose, const char *setting, uint32_t wait_ms, struct err *err)
{
    err_set(err, ERR_BUSY, "the %s is at its limit", whose);
    err_hint(err, "raise [limits] %s-rate or %s-in-flight", setting, setting);
    return err_retry(err, wait_ms);
}

bool load_admit(const struct gate *g, const struct call *call, struct err *err)
{
    const struct limits *m = &g->limits;
    const struct load *key = call->key->user;
    uint32_t wait_ms;

    if (!load_fits(&call->line->load, m->principal_rate, m->principal_in_flight, call->received,
                   &wait_ms))
        return refuse("principal", "principal", wait_ms, err);
    if (key && !load_fits(key, m->key_rate, m->key_in_flight, call->received, &wait_ms))
        return refuse("key", "key", wait_ms, err);
    return true;
}

void load_call_begins(struct gate *g, struct call *call)
{
    struct load *key = call->key->user;

    load_more(&call->line->load, g->limits.principal_rate, call->received);
    if (key)
        load_more(key, g->limits.key_rate, call->received);
    call->counted = true;
}

void load_call_ends(struct call *call)
{
    if (!call->counted)
        return;
    load_less(&call->line->load);
    if (call->key->user)
        load_less(call->key->user);
    call->counted = false;
}
