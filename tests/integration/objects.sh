#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# objects: what token-objects finds, and what token-sweep removes and leaves. Fragments are made as a
# kill makes them: the beginning of an object's file.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MODULE=/usr/lib/softhsm/libsofthsm2.so

# tool ARG...: pkcs11-tool on keyd's own token.
tool() {
    SOFTHSM2_CONF=$STATE/softhsm2.conf pkcs11-tool --module "$MODULE" --token-label keyd --login \
        --pin "$(cat "$STATE/user.pin")" "$@" > "$T/log/tool.log" 2>&1 ||
        fail "pkcs11-tool: $(cat "$T/log/tool.log")"
}

# findings OBJECT: "danger extractable", a line each.
findings() {
    ctl token-objects --json |
        jq -r --arg o "$1" '.findings[] | select(.object == $o) | "\(.severity) \(.kind)"'
}

# folder: of the token.
folder() { dirname "$STATE"/tokens/*/token.object; }

# beginning NAME BYTES [AGE]. An object's file is a counter of eight bytes and then its attributes,
# each a type, a kind and a value; the first is CKA_CLASS (24 bytes), the second CKA_TOKEN (17).
beginning() {
    head -c "$2" "$T/a-private-key" > "$(folder)/$1.object"
    [ -z "${3-}" ] || touch -d "$3" "$(folder)/$1.object"
}

keep_a_private_key() {
    find "$(folder)" -name '*.object' ! -name token.object -exec cp {} "$T/a-private-key" \;
}

empty_file() {
    : > "$(folder)/$1.object"
    [ -z "${2-}" ] || touch -d "$2" "$(folder)/$1.object"
}

with_keyd
begin ctl tenants-add acme
begin ctl keys-generate --tenant acme --name www --type ec-p256
begin keep_a_private_key # there is no other object as yet
begin ctl keys-generate --tenant acme --name rsa --type rsa-2048

case_keys_of_keyd_are_without_fault() {
    ctl import-key > /dev/null # that one too
    equal '[]' "$(ctl token-objects --json | jq -c .findings)"
    equal "nothing was found" "$(ctl token-objects --findings)"
}

case_others_keys_are_a_warning() {
    tool --keypairgen --key-type RSA:2048 --id 77 --label theirs --usage-sign --usage-decrypt \
        --extractable
    has "$(findings theirs)" "warning extractable" "warning can-decrypt" "warning any-mechanism" \
        "note unowned"
    lacks "$(findings theirs)" danger
    ctl token-objects --findings > "$T/found" # no danger: status 0
    has "$(cat "$T/found")" "theirs (id 77)" "can be taken out" "keys-adopt"
    has "$(ctl token-objects)" CKO_PRIVATE_KEY acme/www "warning [extractable]: theirs"
    tool --write-object "$T/found" --type data --label keyd/acme/planted
    has "$(findings keyd/acme/planted)" "warning label"
}

case_changed_behind_our_back() {
    tool --set-id 99 --type privkey --id "$(ctl keys-show acme/rsa --json | jq -r .cka_id)"
    refused 5 ctl token-objects --findings
    has "$said" "danger [missing]: acme/rsa" "a wrong permission looks the same"
    has "$(findings keyd/acme/rsa)" "warning label" "note unowned"
    refused 5 ctl token-objects --findings --json
    jq -e '.findings[0] | .severity == "danger" and .object == "acme/rsa"' <<< "$said" > /dev/null
    tool --set-id "$(ctl keys-show acme/rsa --json | jq -r .cka_id)" --type privkey --id 99
    ctl token-objects --findings > /dev/null
}

case_nothing_to_sweep() {
    equal "the token holds no fragments" "$(ctl token-sweep < /dev/null)"
    equal '{"removed":[],"left":0}' "$(ctl token-sweep --json | jq -c .)"
}

case_sweep() {
    local before swept
    before=$(find "$(folder)" -type f | sort)
    beginning 00000000-0000-0000-0000-00000000000a 32
    beginning 00000000-0000-0000-0000-00000000000d 49
    beginning 00000000-0000-0000-0000-00000000000e 8 '1 hour ago'
    empty_file 00000000-0000-0000-0000-00000000000b '1 hour ago'
    empty_file 00000000-0000-0000-0000-00000000000c # somebody may be about to write it
    stop_keyd
    start_keyd
    has "$(ctl token-objects)" "note [fragment]" token-sweep
    refused 2 ctl token-sweep < /dev/null
    has "$said" CKO_PRIVATE_KEY 00000000000b.object 00000000000e.object --yes
    lacks "$said" 00000000000c
    refused 2 ctl token-sweep <<< "yes"
    [ -e "$(folder)/00000000-0000-0000-0000-00000000000b.object" ]
    swept=$(ctl token-sweep <<< sweep 2> "$T/log/sweep.log")
    has "$swept" 00000000000b.object 00000000000e.object
    equal 2 "$(grep -c "removed: CKO_PRIVATE_KEY" <<< "$swept")"
    rm "$(folder)/00000000-0000-0000-0000-00000000000c.object"
    equal "$before" "$(find "$(folder)" -type f | sort)"
    equal "the token holds no fragments" "$(ctl token-sweep --yes)"
    has "$(ctl csr --key acme/www --subject CN=x)" "CERTIFICATE REQUEST"
}

# A key without CKA_ID that is a key is somebody's.
case_what_cannot_be_explained_stays() {
    tool --keypairgen --key-type EC:prime256v1 --usage-sign
    tool --keypairgen --key-type RSA:2048 --usage-decrypt
    tool --write-object "$T/found" --type data
    equal "the token holds no fragments" "$(ctl token-sweep --yes)"
    equal 2 "$(ctl token-objects --json |
        jq '[.objects[] | select(.class == "CKO_PRIVATE_KEY" and .id == "")] | length')"
}

run_cases "$@"
