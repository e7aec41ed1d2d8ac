/* SPDX-License-Identifier: Apache-2.0
 *
 * lies: what a token may say or do that SoftHSM never does. A test in whose process the module is
 * sets them by dlsym(3), others by the line "lie NAME" of the script.
 */
#ifndef KEYD_TESTS_MOCK_TOKEN_LIES_H
#define KEYD_TESTS_MOCK_TOKEN_LIES_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

/* The module has one, by the name of `lies`. Calls are counted, and fail, below the script: its
 * failures are not in these numbers. */
struct lies {
    unsigned logins, sign_inits, finds;                                     /* calls so far */
    CK_RV fail_login, fail_sign, fail_generate, fail_copy, fail_initialize; /* CKR_OK: does not */
    unsigned fail_sign_after; /* so many C_SignInit still work */
    CK_FLAGS token_flags;     /* added to CK_TOKEN_INFO */
    bool blank;               /* tokens look uninitialised */
    bool raw_points;          /* CKA_EC_POINT without its OCTET STRING */
    bool bad_points;          /* CKA_EC_POINT is no point of the curve */
    bool shows_values;        /* CKA_VALUE of a private key can be read */
    bool flags_turn;          /* CKA_EXTRACTABLE reads true after C_SetAttributeValue */
    bool wraps;               /* C_WrapKey gives something out */
    bool any_mechanism;       /* CKA_ALLOWED_MECHANISMS is stored as all, so nothing is refused */
    bool bad_signatures;      /* one bit of each signature is wrong */
    CK_BYTE signature[200];   /* with signature_len: what C_Sign gives instead */
    CK_ULONG signature_len;
    bool no_names;              /* the OID of Ed25519 is not understood, its name is */
    bool few_mechanisms;        /* C_GetMechanismInfo knows CKM_ECDSA and its generation alone */
    unsigned unwraps;           /* C_UnwrapKey so far */
    CK_RV fail_unwrap;          /* CKR_OK: does not */
    unsigned fail_unwrap_after; /* so many C_UnwrapKey still work */
    bool one_step;  /* CKM_RSA_AES_KEY_WRAP is there, done in two steps behind the scenes */
    bool any_hash;  /* OAEP takes every hash, and does SHA-1 */
    bool any_value; /* what is unwrapped is not what came in, but another key of the type */
};

#endif
