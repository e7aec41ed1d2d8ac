/* SPDX-License-Identifier: Apache-2.0
 *
 * The second judge: the gate has asked who may have this signed, here it is asked what it is. The
 * signer believes nothing of the gate's but the key's id.
 */
#include "keyd/signer/sign.h"

#include "keyd/policy/tbs.h"
#include "keyd/signer/keys.h"
#include "keyd/signer/stats.h"
#include "keyd/token/sign.h"
#include "proto/base/clock.h"

struct request {
    uint64_t call;
    uint8_t id[KEY_ID_LEN];
    uint32_t granted; /* purposes */
    uint32_t scheme;
    const uint8_t *message; /* borrowed from the channel's buffer */
    size_t len;
};

static struct request read_request(struct signer *s, struct msg *m)
{
    struct request r = {.call = rd_u64(&m->body)};

    rd_copy(&m->body, r.id, sizeof(r.id));
    r.granted = rd_u32(&m->body);
    r.scheme = rd_u32(&m->body);
    r.message = msg_get_bytes(m, &r.len);
    msg_end(m, &s->gate);
    return r;
}

static struct table_key *find_key(struct signer *s, const struct request *r, struct err *err)
{
    struct table_key *key = table_find(&s->table, r->id);
    char hex[KEY_ID_HEX_LEN + 1];

    if (!key)
        err_set(err, ERR_NOT_FOUND, "no key %s", hex_encode(r->id, sizeof(r->id), hex));
    return key;
}

/* Which purpose the message serves, if the key was made for it. */
static bool judge_shape(const struct table_key *key, const struct request *r, enum purpose *ret,
                        struct err *err)
{
    char may[160];
    enum purpose purpose = tbs_recognise(r->message, r->len, err);

    if (!purpose)
        return false;
    if (!(key->purposes & purpose)) {
        err_set(err, ERR_BAD_SHAPE, "the message is of shape %s, the key may sign %s",
                purpose_name(purpose), purposes_text(key->purposes, may, sizeof(may)));
        return err_hint(err, "a key's purposes are fixed when it is made");
    }
    if (!(r->granted & purpose)) {
        err_set(err, ERR_DENIED, "the message is of shape %s, and the caller was granted %s",
                purpose_name(purpose), purposes_text(r->granted, may, sizeof(may)));
        return err_hint(err, "an operator can grant it: keydctl grants-add");
    }
    *ret = purpose;
    return true;
}

static bool judge_scheme(const struct table_key *key, const struct request *r, enum purpose purpose,
                         const struct scheme **ret, struct err *err)
{
    const struct scheme *scheme = scheme_by_code(r->scheme);

    if (!scheme) {
        err_set(err, ERR_BAD_SCHEME, "no signature scheme 0x%04x", r->scheme);
        return err_hint(err, "schemes are numbered as in the IANA registry TLS SignatureScheme");
    }
    TRY(scheme_fits(scheme, (enum key_type)key->type, purpose, err));
    *ret = scheme;
    return true;
}

static bool sign(struct signer *s, const struct request *r, uint8_t *sig, size_t *sig_len,
                 struct err *err)
{
    struct table_key *key = find_key(s, r, err);
    enum purpose purpose = 0;
    const struct scheme *scheme = NULL;
    token_handle handle = 0;

    if (!key)
        return false;
    TRY(judge_shape(key, r, &purpose, err));
    TRY(judge_scheme(key, r, purpose, &scheme, err));
    TRY(keys_ready(s, key, &handle, err));
    if (token_sign(s->token, handle, scheme, r->message, r->len, sig, sig_len, err))
        return true;
    keys_forget_copy(s, key);
    return false;
}

bool sign_answer(struct signer *s, struct msg *m, struct err *err)
{
    uint64_t start = clock_us();
    struct request r = read_request(s, m);
    uint8_t sig[SIGNATURE_MAX];
    size_t len = sizeof(sig);
    struct err why = {0};

    bool ok = sign(s, &r, sig, &len, &why);
    if (!ok && token_lost(s->token)) {
        *err = why;
        return false;
    }
    uint64_t now = clock_us();
    uint32_t took = (uint32_t)(now - start);
    chan_put(&s->gate, ok ? MSG_SIGNED : MSG_UNSIGNED);
    put_u64(&s->gate, r.call);
    put_u32(&s->gate, took);
    if (ok)
        put_bytes(&s->gate, sig, len);
    else
        put_err(&s->gate, &why);
    chan_end(&s->gate);
    signer_stats_count(s, ok ? scheme_by_code(r.scheme) : NULL, now, took);
    return true;
}
