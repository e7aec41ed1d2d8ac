#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# cli: every command line as a person types it, each yes with its no.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd
begin new_tenant acme

case_help_everywhere() {
    local verb
    has "$("$KEYDCTL" --help)" tenants-add tenants-list keys-generate keys-list keys-show keys-ref \
        csr token-objects token-bench pin-change status
    for verb in tenants-add tenants-list keys-generate keys-list keys-show keys-ref csr \
        token-objects token-bench pin-change status; do
        has "$("$KEYDCTL" "$verb" --help)" "$verb"
    done
    has "$("$KEYD" --help)" --foreground --init-token --check-config --config
    has "$("$KEYD" --version)" keyd
    has "$("$KEYDCTL" --version)" keydctl
}

case_wrong_usage() {
    refused 2 ctl
    refused 2 ctl no-such-verb
    has "$said" no-such-verb
    refused 2 ctl tenants-add
    refused 2 ctl tenants-list --no-such-option
    refused 2 ctl keys-generate --tenant acme --name x
    refused 2 ctl tenants-add one two
    refused any "$KEYD" --no-such-option
    refused any "$KEYD"
}

case_tenants() {
    ctl tenants-add bravo
    has "$(ctl tenants-list)" acme bravo
    equal acme,bravo "$(ctl tenants-list --json | jq -r '[.tenants[].tenant] | sort | join(",")')"
    refused 1 ctl tenants-add bravo
    has "$said" bravo
    for bad in Upper -dash .dot "with space" "a/b" "$(printf 'a%.0s' {1..64})" ""; do
        refused any ctl tenants-add "$bad"
    done
    ctl tenants-add "$(printf 'a%.0s' {1..63})"
    ctl tenants-add 0.a_b-c
}

case_keys_of_each_type() {
    local type
    for type in ec-p256 ec-p384 ed25519 rsa-2048 rsa-3072; do
        ctl keys-generate --tenant acme --name "k-$type" --type "$type"
        has "$(ctl keys-show "acme/k-$type")" "k-$type" "$type" tls13-server tls12-server csr
    done
    equal 5 "$(ctl keys-list --tenant acme --json | jq '[.keys[] | select(.key | startswith("acme/k-"))] | length')"
    has "$(ctl keys-list)" acme k-ec-p256 k-ed25519
}

case_key_rsa_4096() {
    ctl keys-generate --tenant acme --name k-rsa-4096 --type rsa-4096
    ctl keys-ref acme/k-rsa-4096 > "$T/4096.ref.pem"
    has "$(ossl "$SOCKET" pkey -in "$T/4096.ref.pem" -pubout -text_pub -noout)" "4096 bit"
}

case_key_refusals() {
    refused 2 ctl keys-generate --tenant acme --name x --type dsa-1024
    has "$said" ec-p256 rsa-2048 # says which it can
    refused 1 ctl keys-generate --tenant nobody --name x --type ec-p256
    has "$said" nobody
    refused 1 ctl keys-generate --tenant acme --name 'Bad Name' --type ec-p256
    ctl keys-generate --tenant acme --name twice --type ec-p256
    refused 1 ctl keys-generate --tenant acme --name twice --type ec-p256
    has "$said" twice
    refused 1 ctl keys-show acme/none
    has "$said" acme none
    refused 1 ctl keys-ref acme/none
}

case_key_by_prefix() {
    local id
    ctl keys-generate --tenant acme --name prefix --type ec-p256
    id=$(key_id acme/prefix)
    [[ $id =~ ^[0-9a-f]{64}$ ]] || fail "not an id: $id"
    equal acme/prefix "$(ctl keys-show "$id" --json | jq -r .key)"
    equal acme/prefix "$(ctl keys-show "${id:0:8}" --json | jq -r .key)"
    refused 1 ctl keys-show "${id:0:7}"
    refused 1 ctl keys-show "$(tr 0-9a-f 1-9a-f0 <<< "${id:0:12}")"
}

case_key_reference() {
    local der id spki
    ctl keys-generate --tenant acme --name ref --type ec-p256
    ctl keys-ref acme/ref > "$T/ref.pem"
    has "$(cat "$T/ref.pem")" "-----BEGIN KEYD KEY REFERENCE-----" "-----END KEYD KEY REFERENCE-----"
    sed '/^---/d' "$T/ref.pem" | base64 -d > "$T/ref.der"
    der=$(openssl asn1parse -inform DER -in "$T/ref.der")
    has "$der" "UTF8STRING" "keyd-ref-v1" "OCTET STRING" "id-ecPublicKey"
    # its id is the SHA-256 over the key that it carries, and the one that keyd tells
    ossl "$SOCKET" pkey -in "$T/ref.pem" -pubout -outform DER > "$T/ref.spki"
    spki=$(sha256sum < "$T/ref.spki")
    id=$(key_id acme/ref)
    equal "$id" "${spki%% *}"
    has "${der,,}" "$id"
    lacks "$der" "PRIVATE"
}

case_csr() {
    local text
    ctl keys-generate --tenant acme --name csr --type ec-p256
    ctl csr --key acme/csr --subject "CN=www.example.com" --san www.example.com > "$T/www.csr"
    openssl req -in "$T/www.csr" -verify -noout
    text=$(openssl req -in "$T/www.csr" -noout -text -nameopt RFC2253)
    has "$text" "Subject: CN=www.example.com" "DNS:www.example.com" "ecdsa-with-SHA256"
}

case_csr_of_each_type() {
    local type
    for type in ec-p384 ed25519 rsa-2048; do
        ctl keys-generate --tenant acme --name "csr-$type" --type "$type"
        ctl csr --key "acme/csr-$type" --subject "CN=$type.example.com" --san "$type.example.com" |
            openssl req -verify -noout
    done
}

case_csr_subjects() {
    local text
    ctl keys-generate --tenant acme --name subj --type ec-p256
    text=$(ctl csr --key acme/subj --subject "CN=www.example.com,O=Acme\, Inc.,C=DE" --san a.example.com |
        openssl req -noout -subject -nameopt RFC2253)
    equal 'subject=CN=www.example.com,O=Acme\, Inc.,C=DE' "$text"
    text=$(ctl csr --key acme/subj --subject "/C=DE/O=Acme, Inc./CN=www.example.com" --san a.example.com |
        openssl req -noout -subject -nameopt RFC2253)
    equal 'subject=CN=www.example.com,O=Acme\, Inc.,C=DE' "$text"
    refused 1 ctl csr --key acme/subj --subject "www.example.com" --san a.example.com
    refused 1 ctl csr --key acme/subj --subject "NOSUCH=x" --san a.example.com
    refused 1 ctl csr --key acme/subj --subject "CN=" --san a.example.com
}

case_csr_names() {
    local text bad
    ctl keys-generate --tenant acme --name names --type ec-p256
    text=$(ctl csr --key acme/names --subject "CN=example.com" --san example.com --san '*.example.com' \
        --san 'bücher.example' --san 'xn--bcher-kva.example.org' | openssl req -noout -text)
    has "$text" "DNS:example.com" "DNS:*.example.com" "DNS:xn--bcher-kva.example" \
        "DNS:xn--bcher-kva.example.org"
    for bad in 'a b.example' 'w*.example.com' '*.*.example.com' 'www.*.example' '-a.example' \
        'a..example' '.example.com' 'a_b.example' 'xn--\u1.example' '192.0.2.1' '*' \
        "$(printf 'a%.0s' {1..64}).example" "$(printf 'aaaaaaa.%.0s' {1..32})example"; do
        refused 1 ctl csr --key acme/names --subject "CN=example.com" --san "$bad"
    done
}

case_csr_refusals() {
    refused 1 ctl csr --key acme/none --subject "CN=x.example" --san x.example
    has "$said" acme none
    refused 2 ctl csr --subject "CN=x.example" --san x.example
}

case_token_objects() {
    local json id
    ctl keys-generate --tenant acme --name seen --type ec-p256
    has "$(ctl token-objects)" CKO_PRIVATE_KEY keyd/acme/seen acme/seen
    json=$(ctl token-objects --json)
    for attribute in 'CKA_SENSITIVE true' 'CKA_EXTRACTABLE false' 'CKA_DECRYPT false' \
        'CKA_UNWRAP false' 'CKA_DERIVE false' 'CKA_SIGN_RECOVER false' 'CKA_SIGN true' \
        'CKA_PRIVATE true' 'CKA_TOKEN true' 'CKA_NEVER_EXTRACTABLE true'; do
        equal "${attribute#* }" "$(jq -r --arg a "${attribute% *}" '.objects[] | select(.key == "acme/seen")
            | .attributes[$a]' <<< "$json")" "${attribute% *}"
    done
    # the token holds no secret value that it shows
    id=$(jq -r '.objects[] | select(.key == "acme/seen") | .attributes.CKA_VALUE // "absent"' <<< "$json")
    [[ $id = absent || $id = "(sensitive)" ]] || fail "CKA_VALUE reads '$id'"
    has "$(jq -r '.objects[] | select(.key == "acme/seen") | .attributes.CKA_ALLOWED_MECHANISMS' <<< "$json")" \
        CKM_ECDSA
}

# An object that another program put into the token is shown, and never touched.
case_token_objects_of_others() {
    local json
    openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/foreign.key" 2> /dev/null
    SOFTHSM2_CONF=$STATE/softhsm2.conf softhsm2-util --import "$T/foreign.key" --token keyd \
        --label stranger --id 0badc0de --pin "$(cat "$STATE/user.pin")" > /dev/null
    json=$(ctl token-objects --json)
    equal '["","",2]' "$(jq -c '[.objects[] | select(.label == "stranger") | .key // ""] | . + [length]' \
        <<< "$json")"
    has "$(ctl token-objects)" stranger 0badc0de
    stop_keyd
    start_keyd
    has "$(ctl token-objects)" stranger
}

case_status() {
    local json
    has "$(ctl status)" signer custodian gate keyd
    json=$(ctl status --json)
    jq -e '.version and .uptime_ms >= 0 and .tenants >= 1 and .keys >= 1 and .keys_missing == 0' \
        <<< "$json" > /dev/null
    jq -e '.token.label == "keyd" and (.token.manufacturer | length > 0)' <<< "$json" > /dev/null
    jq -e '.token.key_types | index("ec-p256") and index("rsa-2048")' <<< "$json" > /dev/null
    jq -e '.queue.waiting == 0' <<< "$json" > /dev/null
    equal 1 "$(jq '[.processes[] | select(.name == "custodian")] | length' <<< "$json")"
}

case_json_everywhere() {
    local verb
    for verb in tenants-list keys-list token-objects status; do
        ctl "$verb" --json | jq -e . > /dev/null
    done
}

case_no_colour_in_a_pipe() {
    local verb
    for verb in tenants-list keys-list token-objects status; do
        lacks "$(ctl "$verb")" $'\033'
    done
}

# On a terminal there is colour, and the table is as aligned as in a pipe.
case_colour_on_a_terminal() {
    local out
    out=$(TERM=xterm script -qec "$KEYDCTL --socket $CONTROL status" /dev/null < /dev/null | tr -d '\r')
    has "$out" $'\033[' ready
    equal "$(ctl keys-list)" "$(TERM=xterm script -qec "$KEYDCTL --socket $CONTROL keys-list" /dev/null \
        < /dev/null | tr -d '\r' | sed 's/\x1b\[[0-9;]*m//g; s/ *$//')"
}

case_tables_are_aligned() {
    local out
    out=$(ctl keys-list | head -n 3)
    has "$out" KEY TYPE
    # the second column begins at the same place in all lines
    equal 1 "$(awk '{ match($0, /^[^ ]+ +/); print RLENGTH }' <<< "$out" | sort -u | wc -l)"
}

case_socket_by_environment() {
    has "$(KEYD_CONTROL_SOCKET=$CONTROL "$KEYDCTL" tenants-list)" acme
    refused any env KEYD_CONTROL_SOCKET="$T/nowhere.sock" "$KEYDCTL" tenants-list
    has "$said" "$T/nowhere.sock"
}

# keyd.sock is no place for management: not even the operator's own tool gets through.
case_management_on_the_wrong_socket() {
    refused any "$KEYDCTL" --socket "$SOCKET" tenants-list
    refused any "$KEYDCTL" --socket "$SOCKET" keys-generate --tenant acme --name w --type ec-p256
    refused 1 ctl keys-show acme/w
}

# A second page and more: lists go on behind the last name of a page.
case_lists_are_whole() {
    local i
    for ((i = 0; i < 60; i++)); do ctl tenants-add "many-$i" > /dev/null; done
    equal 60 "$(ctl tenants-list --json | jq '[.tenants[] | select(.tenant | startswith("many-"))] | length')"
}

run_cases "$@"
