#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# adopt: keys that the HSM held before keyd, made there by pkcs11-tool and softhsm2-util: which come
# under keyd, which do not, and what is said of each. Nothing of it changes an object.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

MODULE=/usr/lib/softhsm/libsofthsm2.so
PKCS11_PIN=

# tool ARG...: pkcs11-tool on keyd's own token.
tool() {
    [ -n "$PKCS11_PIN" ] || PKCS11_PIN=$(cat "$STATE/user.pin")
    SOFTHSM2_CONF=$STATE/softhsm2.conf pkcs11-tool --module "$MODULE" --token-label keyd --login \
        --pin "$PKCS11_PIN" "$@" > "$T/log/tool.log" 2>&1 || fail "pkcs11-tool: $(cat "$T/log/tool.log")"
}

# put FILE LABEL ID: softhsm2-util --import: extractable never, but made outside.
put() {
    SOFTHSM2_CONF=$STATE/softhsm2.conf softhsm2-util --import "$1" --token keyd --label "$2" \
        --id "$3" --pin "$(cat "$STATE/user.pin")" > "$T/log/put.log" 2>&1
}

EC_GOOD=(--usage-sign --sensitive --allowed-mechanisms ECDSA) # as good as pkcs11-tool makes them

# A keyd that lost its registry: its keys are there, and as safe as they were.
make_orphan() {
    start_keyd
    ctl tenants-add old
    ctl keys-generate --tenant old --name good --type rsa-2048
    ctl keys-show old/good --json | jq -r .cka_id > "$T/good.id"
    ctl keys-ref old/good > "$T/good.ref.pem"
    stop_keyd
    rm "$STATE"/registry.db*
}

make_objects() {
    tool --keypairgen --key-type EC:secp256k1 --id 12 --label koblitz "${EC_GOOD[@]}"
    tool --keypairgen --key-type RSA:1024 --id 13 --label small --usage-sign --sensitive
    tool --keypairgen --key-type RSA:2048 --id 14 --label open --usage-sign --usage-decrypt \
        --extractable
    tool --keypairgen --key-type EC:prime256v1 --id 15 --label twin "${EC_GOOD[@]}"
    tool --keypairgen --key-type EC:prime256v1 --id 16 --label twin "${EC_GOOD[@]}"
    tool --keypairgen --key-type EC:prime256v1 --id 17 --label derives --usage-derive --sensitive
    tool --keypairgen --key-type EC:prime256v1 --label anonymous "${EC_GOOD[@]}"
    tool --keypairgen --key-type EC:prime256v1 --id 18 --label same-id-a "${EC_GOOD[@]}"
    tool --keypairgen --key-type EC:prime256v1 --id 18 --label same-id-b "${EC_GOOD[@]}"
    tool --keypairgen --key-type EC:prime256v1 --id 19 --label alone "${EC_GOOD[@]}"
    tool --delete-object --type pubkey --id 19
    tool --keypairgen --key-type EC:prime256v1 --id 1a --label doomed "${EC_GOOD[@]}"
    openssl genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out "$T/rsa.key" 2> "$T/log/gen.log"
    put "$T/rsa.key" rsa 21
    tool --delete-object --type pubkey --id 21 # it is computed
}

begin configure
begin init_token
begin make_orphan
begin make_objects
begin start_keyd
begin new_tenant acme
begin new_tenant zeta

GOOD=pkcs11:object=keyd/old/good # what pkcs11-tool calls good is good for much more

# adopt LABEL NAME [ARG...]
adopt() {
    local label=$1 name=$2
    shift 2
    ctl keys-adopt --object "pkcs11:object=$label" --tenant acme --name "$name" "$@"
}

objects() { ctl token-objects --json | jq -S '[.objects[] | del(.key)] | sort'; }

case_a_good_key_comes_in_and_signs() {
    local before
    before=$(objects)
    has "$(ctl token-objects)" unowned "its label says that it is keyd's, but it is not" 
    has "$(ctl keys-adopt --object "$GOOD" --tenant acme --name www)" acme/www rsa-2048 adopted
    equal "$before" "$(objects)" "the objects"
    equal true "$(ctl keys-show acme/www --json | jq .adopted)"
    equal "$(cat "$T/good.id")" "$(ctl keys-show acme/www --json | jq -r .cka_id)"
    equal '["tls13-server","tls12-server","csr"]' "$(ctl keys-show acme/www --json | jq -c .purposes)"
    ctl csr --key acme/www --subject "CN=www.example.com" --san www.example.com > "$T/www.csr"
    openssl req -verify -noout -in "$T/www.csr" 2> "$T/log/req.log"
    stop_keyd
    start_keyd
    ctl csr --key acme/www --subject "CN=www.example.com" > "$T/www.csr"
    equal 0 "$(ctl status --json | jq .keys_missing)"
    # its label is its own, and nothing to find fault with
    equal '[]' "$(ctl token-objects --json |
        jq -c '[.findings[] | select(.object == "acme/www") | .kind]')"
}

# A TLS server with a key reference: signers take the key by its CKA_ID, for what the registry says.
case_signers_serve_it() {
    make_ca
    certify acme/www www.example.com
    ctl keys-ref acme/www > "$T/www.ref.pem"
    equal "$(cat "$T/good.ref.pem")" "$(cat "$T/www.ref.pem")" # frontends need not be told
    PORT=$(free_port)
    IN_PLACE=1 ossl "$SOCKET" s_server -accept "127.0.0.1:$PORT" -cert "$T/www.crt" -key "$T/www.ref.pem" -www \
        -quiet > "$T/log/server.log" 2>&1 &
    started $!
    soon 10 listening "$PORT"
    handshake www.example.com -tls1_3 || fail "$(tail -n 12 <<< "$said")"
    has "$said" TLSv1.3 "Verification: OK"
    handshake www.example.com -tls1_2 || fail "$(tail -n 12 <<< "$said")"
    # purposes are the registry's: none of them is in its CKA_ID
    adopt doomed client-only --accept --purposes tls13-client
    refused 1 ctl csr --key acme/client-only --subject "CN=x"
    has "$said" tls13-client
}

case_what_is_less_safe_must_be_accepted() {
    refused 1 adopt open loose
    has "$said" extractable "can be taken out" can-decrypt any-mechanism --accept \
        "not adopted"
    refused 1 ctl keys-show acme/loose
    refused 1 adopt open loose --accept --allow-name "no name"
    refused 1 ctl keys-show acme/loose
    has "$(adopt open loose --accept --allow-name loose.test)" acme/loose rsa-2048 extractable
    equal '["loose.test"]' "$(ctl keys-show acme/loose --json | jq -c .allowed_names)"
    refused 1 ctl csr --key acme/loose --subject "CN=www.test" --san www.test
    has "$said" "may not ask for"
    ctl csr --key acme/loose --subject "CN=loose.test" --san loose.test > "$T/loose.csr"
    openssl req -verify -noout -in "$T/loose.csr" 2> "$T/log/req.log"
    # what was accepted warns, and does not ring again
    has "$(ctl token-objects --findings)" "accepted when it was adopted"
    refused 1 adopt derives derives
    has "$said" can-derive
}

case_rsa_without_a_public_object() {
    adopt rsa rsa --accept --purposes tls13-server,csr
    ctl csr --key acme/rsa --subject "CN=rsa" > "$T/rsa.csr"
    openssl req -verify -noout -in "$T/rsa.csr" 2> "$T/log/req.log"
    equal "$(openssl pkey -in "$T/rsa.key" -pubout)" "$(openssl req -in "$T/rsa.csr" -noout -pubkey)"
}

case_refused_for_what_it_is() {
    refused 1 adopt koblitz k
    has "$said" secp256k1 P-256
    refused 1 adopt small s --accept
    has "$said" "1024 bits"
    refused 1 adopt anonymous a
    has "$said" "no CKA_ID"
    refused 1 adopt same-id-a a
    has "$said" "2 private keys of one CKA_ID"
    refused 1 adopt alone a
    has "$said" "no public key"
    refused 1 adopt nothing-there n
    has "$said" "no private key"
    equal 4 "$(ctl keys-list --json | jq '.keys | length')" # www, client-only, loose, rsa
}

case_two_that_fit_are_named() {
    refused 1 adopt twin t
    has "$said" "2 private keys" '"twin" (id 15)' '"twin" (id 16)'
    ctl keys-adopt --object 'pkcs11:object=twin;id=%16;type=private' --tenant acme --name twin --accept
    equal 16 "$(ctl keys-show acme/twin --json | jq -r .cka_id)"
    # by id alone, under the token's own name
    ctl keys-adopt --object 'pkcs11:token=keyd;id=%15' --tenant acme --name twin2 --accept
}

case_uris_that_are_none() {
    local uri
    for uri in nonsense 'pkcs11:' 'pkcs11:type=private' 'pkcs11:id=%15;type=public' \
        'pkcs11:id=%15?pin-value=1234' 'pkcs11:id=%15;token=other' \
        'pkcs11:id=%15;colour=red' 'pkcs11:id=%15?module-path=/lib/x.so'; do
        refused 1 ctl keys-adopt --object "$uri" --tenant acme --name bad
        lacks "$said" 1234
    done
    refused 2 ctl keys-adopt --tenant acme --name bad
    refused 1 ctl keys-adopt --object "$GOOD" --tenant nobody --name bad
    refused 1 ctl keys-adopt --object "$GOOD" --tenant acme --name 'Bad Name'
}

case_twice() {
    refused 1 ctl keys-adopt --object "$GOOD" --tenant acme --name again
    has "$said" "it is acme/www"
    refused 1 ctl keys-adopt --object "$GOOD" --tenant zeta --name www
    has "$said" "cannot be adopted"
    lacks "$said" acme
    refused 1 adopt twin www
    has "$said" acme/www
}

case_changed_since() {
    tool --keypairgen --key-type EC:prime256v1 --id 31 --label steady "${EC_GOOD[@]}"
    adopt steady steady --accept
    equal 0 "$(ctl token-objects --json | jq '[.findings[] | select(.object == "acme/steady" and .severity == "danger")] | length')"
    # a key of the same CKA_ID is planted beside it
    tool --keypairgen --key-type EC:prime256v1 --id 31 --label planted "${EC_GOOD[@]}"
    refused 5 ctl token-objects --findings
    has "$said" doubled
    refused 1 ctl keys-destroy acme/steady --yes # which of the two?
    tool --delete-object --type privkey --label steady --id 31
}

# The object that has the key's CKA_ID now is another one: it is not destroyed.
case_destroy_takes_the_key_alone() {
    refused 1 ctl keys-destroy acme/steady --yes
    has "$said" "not proven"
    equal 1 "$(ctl token-objects --json | jq '[.objects[] | select(.label == "planted" and .class == "CKO_PRIVATE_KEY")] | length')"
    stop_keyd
    start_keyd # and keyd starts all the same
    has "$(ctl status)" acme/steady
    tool --delete-object --type privkey --id 31
    ctl keys-destroy acme/steady --yes || stop_keyd
    alive "$(cat "$T/keyd.pid")" || start_keyd
    refused 1 ctl keys-show acme/steady
}

case_destroy_says_that_it_was_adopted() {
    refused 2 ctl keys-destroy acme/client-only < /dev/null
    has "$said" "It was adopted"
    echo acme/client-only | ctl keys-destroy acme/client-only
    equal 0 "$(ctl token-objects --json | jq '[.objects[] | select(.label == "doomed" and .class == "CKO_PRIVATE_KEY")] | length')"
    refused 1 adopt doomed doomed --accept
}

# kill -9 of the custodian while keys are adopted and let go again: never half, never destroyed.
case_killed_while_adopting() {
    local i pid
    for i in $(seq 1 $((20 / ROUNDS_OF + 1))); do
        pid=$(pid_of custodian)
        [ -n "$pid" ] || { soon 20 ready; pid=$(pid_of custodian); }
        (sleep "0.00$((RANDOM % 10))$((RANDOM % 10))" && kill -KILL "$pid") &
        adopt derives "killed-$i" --accept > "$T/log/killed.log" 2>&1 || true
        wait $!
        soon 20 ready
        equal 1 "$(ctl token-objects --json | jq '[.objects[] | select(.label == "derives" and .class == "CKO_PRIVATE_KEY")] | length')"
        if [ "$(ctl keys-list --json | jq '[.keys[] | select(.key | contains("killed-"))] | length')" != 0 ]; then
            equal enabled "$(ctl keys-list --json | jq -r '.keys[] | select(.key | contains("killed-")) | .state')"
            return 0
        fi
    done
    adopt derives "killed-0" --accept # repeated, it works
}

run_cases "$@"
