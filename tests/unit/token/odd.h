/* SPDX-License-Identifier: Apache-2.0
 *
 * odd: a PKCS#11 module that passes everything on to SoftHSM, but counts, fails or lies where the
 * test says so. What a token may do that SoftHSM never does is tried with it.
 */
#ifndef KEYD_TESTS_TOKEN_ODD_H
#define KEYD_TESTS_TOKEN_ODD_H

#include <p11-kit/pkcs11.h>
#include <stdbool.h>

/* Where the module runs in another process, KEYD_ODD in its environment says "sign RV AFTER",
 * "unwr RV AFTER" or "copy RV 0" (numbers in hexadecimal): the call fails with RV from the AFTER-th
 * on. */
struct odd {
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

/* The module's one `struct odd`, for dlsym(3) on the module. */
extern struct odd odd;

/* PKCS#11 v2.40 5.3. */
CK_RV C_GetFunctionList(CK_FUNCTION_LIST_PTR_PTR list);

#endif
