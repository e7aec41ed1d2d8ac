#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# provider: the openssl command with key references where key files are expected.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd
begin make_key acme/www ec-p256
begin make_key acme/rsa rsa-2048
begin make_key acme/ed ed25519
begin make_key acme/p384 ec-p384

case_provider_is_listed() {
    has "$(ossl "$CONTROL" list -providers)" "default" "keyd" "status: active"
}

case_csr_by_openssl_req() {
    local name
    for name in www rsa ed p384; do
        ossl "$CONTROL" req -new -key "$T/$name.ref.pem" -subj "/CN=$name.example.com" \
            -addext "subjectAltName=DNS:$name.example.com" -out "$T/$name.csr"
        openssl req -in "$T/$name.csr" -verify -noout
        has "$(openssl req -in "$T/$name.csr" -noout -text)" "DNS:$name.example.com"
    done
}

# The same kind of CSR, whoever builds it: same subject, same names, same key.
case_csr_as_keydctl_makes_it() {
    local form=(-noout -text -nameopt RFC2253)
    ctl csr --key acme/www --subject CN=www.example.com --san www.example.com > "$T/a.csr"
    ossl "$CONTROL" req -new -key "$T/www.ref.pem" -subj /CN=www.example.com \
        -addext "subjectAltName=DNS:www.example.com" -out "$T/b.csr"
    # signatures differ from one to the next
    equal "$(openssl req -in "$T/a.csr" "${form[@]}" | sed '/Signature Value/,$d')" \
        "$(openssl req -in "$T/b.csr" "${form[@]}" | sed '/Signature Value/,$d')"
}

# The socket of frontends signs no CSR, through whatever tool.
case_no_csr_on_keyd_sock() {
    refused any ossl "$SOCKET" req -new -key "$T/www.ref.pem" -subj /CN=www.example.com -out "$T/no.csr"
    [ ! -s "$T/no.csr" ] || fail "there is a CSR"
    has "$said" keyd
}

case_no_self_signed_certificate() {
    refused any ossl "$CONTROL" req -x509 -new -key "$T/www.ref.pem" -subj /CN=x -days 1 -out "$T/x.crt"
}

# What else the openssl command would have signed: the reason stands in its words.
case_nothing_else_is_signed() {
    local name
    echo "pay 100 to mallory" > "$T/text"
    for name in www rsa p384; do
        refused any ossl "$CONTROL" dgst -sha256 -sign "$T/$name.ref.pem" -out "$T/sig" "$T/text"
        has "$said" "keyd refused: message of no shape this key may sign" "certificate requests alone"
        refused any ossl "$SOCKET" dgst -sha256 -sign "$T/$name.ref.pem" -out "$T/sig" "$T/text"
        has "$said" "keyd refused: message of no shape this key may sign" "no TLS 1.3 CertificateVerify"
        refused any ossl "$SOCKET" pkeyutl -sign -rawin -digest sha256 -inkey "$T/$name.ref.pem" \
            -in "$T/text" -out "$T/sig"
        has "$said" "keyd refused: message of no shape this key may sign"
    done
    refused any ossl "$SOCKET" pkeyutl -sign -rawin -inkey "$T/ed.ref.pem" -in "$T/text" -out "$T/sig"
    # a digest is not even asked for: the provider has no such operation
    refused any ossl "$SOCKET" pkeyutl -sign -inkey "$T/rsa.ref.pem" -in "$T/text" -out "$T/sig"
    [ ! -s "$T/sig" ] || fail "there is a signature"
}

# signed_by_ca NAME: a certificate for that key, so that tools go as far as to sign with it.
signed_by_ca() {
    [ -e "$T/ca.pem" ] || make_ca
    [ -e "$T/$1.crt" ] || certify "acme/$1" "$1.example.com"
}

# A signed mail is a set of attributes, a CA's signature a TBSCertificate: neither is a shape.
case_no_cms_no_certificate() {
    local name socket
    echo text > "$T/text"
    for name in www rsa; do
        signed_by_ca "$name"
        for socket in "$CONTROL" "$SOCKET"; do
            refused any ossl "$socket" cms -sign -signer "$T/$name.crt" -inkey "$T/$name.ref.pem" \
                -in "$T/text" -out "$T/cms"
            has "$said" "keyd refused: message of no shape this key may sign"
            [[ $(cat "$T/cms" 2> /dev/null) != *BEGIN* ]] || fail "there is a signed mail"
            refused any ossl "$socket" x509 -req -in "$T/$name.csr" -CA "$T/$name.crt" \
                -CAkey "$T/$name.ref.pem" -days 1 -out "$T/issued.crt"
            has "$said" "keyd refused: message of no shape this key may sign"
            refused any ossl "$socket" x509 -req -in "$T/$name.csr" -signkey "$T/$name.ref.pem" -days 1 \
                -out "$T/issued.crt"
            has "$said" "keyd refused: message of no shape this key may sign"
            [ ! -s "$T/issued.crt" ] || fail "there is a certificate"
        done
    done
}

# Nobody decrypts with a key of keyd's, for whatever purpose it was encrypted.
case_no_decryption() {
    signed_by_ca rsa
    echo text > "$T/text"
    openssl pkeyutl -encrypt -certin -inkey "$T/rsa.crt" -in "$T/text" -out "$T/encrypted"
    openssl cms -encrypt -aes128 -in "$T/text" -out "$T/mail" "$T/rsa.crt"
    refused any ossl "$SOCKET" pkeyutl -decrypt -inkey "$T/rsa.ref.pem" -in "$T/encrypted" -out "$T/plain"
    has "$said" "operation not supported for this keytype"
    refused any ossl "$SOCKET" cms -decrypt -inkey "$T/rsa.ref.pem" -recip "$T/rsa.crt" -in "$T/mail" \
        -out "$T/plain"
    [ ! -s "$T/plain" ] || fail "there is a plain text"
    # and no secret is agreed on with a curve's key
    openssl pkey -in "$T/ca.key" -pubout -out "$T/peer.pub"
    refused any ossl "$SOCKET" pkeyutl -derive -inkey "$T/www.ref.pem" -peerkey "$T/peer.pub" -out "$T/plain"
    [ ! -s "$T/plain" ] || fail "there is a secret"
}

case_public_half() {
    local name
    for name in www rsa ed p384; do
        ossl "$SOCKET" pkey -in "$T/$name.ref.pem" -pubout -out "$T/$name.pub"
        openssl pkey -pubin -in "$T/$name.pub" -noout
        equal "$(openssl pkey -pubin -in "$T/$name.pub" -outform DER | sha256sum | cut -d' ' -f1)" \
            "$(key_id "acme/$name")"
    done
}

case_no_private_half() {
    refused any ossl "$SOCKET" pkey -in "$T/www.ref.pem" -out "$T/private"
    refused any ossl "$SOCKET" pkey -in "$T/rsa.ref.pem" -text -noout
    [ ! -s "$T/private" ] || fail "something was written"
}

# Loading asks nobody: it works without the daemon, and says what is wrong with a bad reference.
case_loading_needs_no_daemon() {
    ossl "$T/no/such/keyd2.sock" pkey -in "$T/www.ref.pem" -pubout -out /dev/null
}

case_bad_references() {
    local body other
    body=$(sed '/^---/d' "$T/www.ref.pem" | base64 -d | od -An -v -tx1 | tr -d ' \n')
    other=${body/2d7631/2d7632} # keyd-ref-v1 -> keyd-ref-v2
    [ "$other" != "$body" ] || fail "the version is not where it was expected"
    local wrong
    for wrong in "$other" "${body}00" "${body:0:$((${#body} - 2))}" "${body/0420??/0420ff}"; do
        {
            echo "-----BEGIN KEYD KEY REFERENCE-----"
            # shellcheck disable=SC2001
            printf '%b' "$(sed 's/../\\x&/g' <<< "$wrong")" | base64 -w 64
            echo "-----END KEYD KEY REFERENCE-----"
        } > "$T/wrong.pem"
        refused any ossl "$SOCKET" pkey -in "$T/wrong.pem" -pubout -out /dev/null
    done
}

# Ordinary keys and certificates go on as ever beside the provider.
case_ordinary_keys() {
    ossl "$SOCKET" genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/file.key"
    ossl "$SOCKET" req -x509 -new -key "$T/file.key" -subj /CN=file -days 1 -out "$T/file.crt"
    ossl "$SOCKET" verify -CAfile "$T/file.crt" "$T/file.crt"
    ossl "$SOCKET" genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$T/rsa.key" 2> /dev/null
    ossl "$SOCKET" dgst -sha256 -sign "$T/rsa.key" -out "$T/rsa.sig" "$T/rsa.key"
    ossl "$SOCKET" dgst -sha256 -prverify "$T/rsa.key" -signature "$T/rsa.sig" "$T/rsa.key"
}

case_bad_setting_is_told() {
    provider_conf "$T/openssl-relative.cnf" "relative/keyd.sock"
    refused any ossl relative.sock pkey -in "$T/www.ref.pem" -pubout -out /dev/null
}

run_cases "$@"
