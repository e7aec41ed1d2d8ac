/* SPDX-License-Identifier: Apache-2.0
 *
 * keys: which handle of the token is which key of the table. Handles come from one enumeration at
 * the start, and one search for a key that is new; never from a search while somebody waits for a
 * signature. What signs is a session copy, made at a key's first use and proven by a signature that
 * verifies under the key's SPKI.
 */
#ifndef KEYD_SIGNER_KEYS_H
#define KEYD_SIGNER_KEYS_H

#include "keyd/signer/state.h"
#include "keyd/token/keys.h"

/* Takes a whole table (a sealed memory file) into the signer's. New keys have no handle yet: see
 * keys_look_up. fd stays the caller's. */
bool keys_take_table(struct signer *s, int fd, struct err *err) MUST_USE;

/* Finds the handles of the keys that have none, by one enumeration of the token, if there are any.
 * A key that the token does not show stays without: absence is no proof, the others serve. */
bool keys_look_up(struct signer *s, struct err *err) MUST_USE;

/* Takes one new or changed entry. An enabled key is looked up (a scan of the token) and made ready;
 * of any other the copy is destroyed. True: from now on it is as the entry says. */
bool keys_take_one(struct signer *s, const struct table_key *key, struct err *err) MUST_USE;

/* The proven handle that signs for a key of the table; makes and proves it at the first use.
 * ERR_UNAVAILABLE: not enabled, or the token did not show it. */
bool keys_ready(struct signer *s, struct table_key *key, token_handle *ret,
                struct err *err) MUST_USE;

/* Forgets the copy, so that the next use makes and proves a new one: after a failed signature. */
void keys_forget_copy(struct signer *s, struct table_key *key);

/* Proves that the token works: by a key of the table that it shows, or, without one that can be
 * proven, by a session key made for it. One key that fails does not stop the others. */
bool keys_prove_token(struct signer *s, struct err *err) MUST_USE;

/* Frees the table and what it holds. */
void keys_free(struct signer *s);

#endif
