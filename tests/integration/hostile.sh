#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# hostile: imports as no client of ours would send them (hostile.c sends them): spoilt, recorded,
# of somebody else's key, of keys that keyd must not keep. What a person brings by mistake is in
# import.sh.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

HOSTILE=$BUILD/tests/integration/hostile
export HOME=$T/home XDG_CONFIG_HOME=
mkdir "$HOME"
COULD_NOT="refused BAD_REQUEST retry=0 the key could not be unwrapped; was it wrapped for this import \
key, by a client of this keyd? begin anew"

new_key() { openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:${2-P-256}" -out "$T/$1.pem"; }

make_keys() {
    new_key mine
    new_key other
    new_key victim
    new_key p384 P-384
    new_key p521 P-521
    new_key k1 secp256k1
    new_key brainpool brainpoolP256r1
    openssl genrsa -out "$T/rsa.pem" 2048
    openssl genrsa -out "$T/rsa1024.pem" 1024
    openssl genpkey -algorithm ED25519 -out "$T/ed25519.pem"
}

# Each of these users is an operator of his own: who has failed five times must wait.
many_users() {
    local uid
    echo '[principals]'
    for uid in {1000..1019} {3000..3199}; do echo "u$uid = operator user=$uid"; done
}

with_keyd "$(many_users)"
begin make_keys
begin ctl tenants-add acme
begin ctl tenants-add bravo
begin ctl import-key

USERS=1000 # who asks, and nineteen more
USER_FILE=$T/user
# as_new_user: a uid that has not failed yet, where root can take one; else keyd is given time.
as_new_user() {
    local n
    [ "$(id -u)" = 0 ] || { sleep 1.1; id -u; return; }
    n=$(cat "$USER_FILE" 2> /dev/null || echo $USERS)
    echo $((USERS + (n + 1) % 20)) > "$USER_FILE" # 1000 is a multiple of 20
    echo "$n"
}

# says OPTION...: what keyd says to one import for acme/new.
says() {
    "$HOSTILE" "$CONTROL" tenant=acme name=new key="$T/mine.pem" uid="$(as_new_user)" "$@"
}

# What the token and the registry hold: nothing of all this may change it.
state() {
    ctl token-objects --json | jq -S '[.objects[] | [.label, .cka_id]] | sort'
    ctl keys-list --json | jq -S '[.keys[].id] | sort'
}
unchanged() { equal "$before" "$(state)" "something was left behind"; }

# ---- what is wrapped

# Each byte of both pieces, and then again: 1,000 in all. One answer to all of them, to the last
# byte, nothing in the token, and a custodian that is the same and no larger.
case_a_thousand() {
    local times=1000 small
    local -a as=(uid=3000) # and those after him
    before=$(state)
    [ "$PRESET" = release ] || times=200
    [ "$(id -u)" = 0 ] || times=4 as=() # one user alone, who would have to wait after five
    "$HOSTILE" "$CONTROL" tenant=acme name=new key="$T/mine.pem" times=1
    small=$(resident)
    equal "$times alike: $COULD_NOT" "$("$HOSTILE" "$CONTROL" tenant=acme name=new \
        key="$T/mine.pem" "${as[@]}" times="$times")"
    [ "$PRESET" = asan ] || # its runtime keeps what was freed for a while
        [ "$(resident)" -lt $((small + 1024)) ] ||
        fail "the custodian grew from $small to $(resident) kB"
    unchanged
}
resident() { # kB of the custodian, which may just be replaced
    local kb=
    while [ -z "$kb" ]; do
        soon 20 ready
        kb=$(sed -n 's/^VmRSS:[[:space:]]*\([0-9]*\) kB/\1/p' "/proc/$(pid_of custodian)/status" || true)
    done
    echo "$kb"
}

case_spoilt_inside() {
    before=$(state)
    equal "$COULD_NOT" "$(says wrap-for="$T/rsa.pem")"          # not for keyd's import key
    equal "$COULD_NOT" "$(says cut=8)"
    equal "$COULD_NOT" "$(says cut=1)"
    head -c 64 /dev/urandom > "$T/noise"
    equal "$COULD_NOT" "$(says pkcs8="$T/noise")"               # no key
    openssl x509 -in <(openssl req -x509 -key "$T/mine.pem" -subj /CN=x) -outform DER -out "$T/crt"
    equal "$COULD_NOT" "$(says pkcs8="$T/crt")"
    der rsa
    equal "$COULD_NOT" "$(says pkcs8="$T/rsa.der")"             # a key of another type
    der p384
    equal "$COULD_NOT" "$(says pkcs8="$T/p384.der")"            # of another curve
    der other
    equal "$COULD_NOT" "$(says pkcs8="$T/other.der")"           # of the same, and another one
    der k1
    equal "$COULD_NOT" "$(says pkcs8="$T/k1.der")"
    ready_again
    unchanged
}
der() { openssl pkcs8 -topk8 -nocrypt -in "$T/$1.pem" -outform DER -out "$T/$1.der"; }
ready_again() { soon 20 ready; } # a custodian that has unwrapped something is replaced

# ---- who brings it

case_recorded() {
    before=$(state)
    "$HOSTILE" "$CONTROL" tenant=bravo name=shop key="$T/victim.pem" record="$T/recorded"
    # the pieces, under another's proof: they are not his key
    equal "$COULD_NOT" "$(says blobs="$T/recorded")"
    # the pieces, and the victim's public key: he cannot prove it
    has "$(says blobs="$T/recorded" claim="$T/victim.pem" signer="$T/mine.pem")" \
        "refused DENIED" "the proof does not verify"
    # the whole, by another user: it was not begun by him
    [ "$(id -u)" != 0 ] ||
        has "$("$HOSTILE" "$CONTROL" replay="$T/recorded" uid="$(as_new_user)")" \
            "refused DENIED" "not begun here by you"
    ready_again
    unchanged
    # the owner himself, once, and not twice
    equal imported "$("$HOSTILE" "$CONTROL" replay="$T/recorded")"
    has "$("$HOSTILE" "$CONTROL" replay="$T/recorded")" "refused EXISTS" "bravo/shop"
    ready_again
    ctl keys-destroy bravo/shop --yes
    has "$("$HOSTILE" "$CONTROL" replay="$T/recorded")" "refused DENIED" "not begun here by you"
    unchanged
}

# Under the hand of whoever sits between: each thing that is signed.
case_changed_on_the_way() {
    local what
    before=$(state)
    for what in kek:0 kek:200 key:0 key:100 proof:8; do
        has "$(says late="$what")" "refused DENIED" "the proof does not verify"
    done
    has "$(says send-as=bravo)" "refused DENIED" "the proof does not verify"
    for what in nonce:0 import-key:0; do
        has "$(says late="$what")" "refused DENIED" "not begun here by you"
        has "$(says flip="$what")" "refused DENIED" "not begun here by you"
    done
    unchanged
}

case_another_key_than_it_says() {
    before=$(state)
    has "$(says claim="$T/other.pem" signer="$T/mine.pem")" "refused DENIED" "does not verify"
    equal "$COULD_NOT" "$(says claim="$T/other.pem")"
    equal "$COULD_NOT" "$(says claim="$T/rsa.pem")"
    ready_again
    unchanged
}

# ---- what keyd must not keep

case_keys_of_no_use() {
    local key words
    before=$(state)
    while IFS=: read -r key words; do
        has "$(says claim="$T/$key.pem" signer="$T/mine.pem")" "refused UNSUPPORTED retry=0 $words"
    done << END
rsa1024:this is an RSA key of 1024 bits
k1:this is a key on the curve secp256k1
brainpool:this is a key on the curve brainpoolP256r1
p521:this is a key on the curve secp521r1
ed25519:the token "keyd" cannot take in keys of type ed25519: it does not unwrap them
END
    rsa_spki 2048 65536
    has "$(says spki="$T/spki")" "refused UNSUPPORTED" "even"
    rsa_spki 2048 3
    has "$(says spki="$T/spki")" "refused UNSUPPORTED" "exponent"
    rsa_spki 16384 65537
    has "$(says spki="$T/spki")" "refused UNSUPPORTED" "16384 bits"
    printf 'x' >> "$T/spki"
    has "$(says spki="$T/spki")" "refused"
    unchanged
}
# rsa_spki BITS E: a public key with some odd number of so many bits.
rsa_spki() {
    cat > "$T/spki.cnf" << END
asn1 = SEQUENCE:spki
[spki]
algorithm = SEQUENCE:algorithm
key = BITWRAP,SEQUENCE:key
[algorithm]
oid = OID:rsaEncryption
null = NULL
[key]
n = INTEGER:0xC0$(openssl rand -hex $(($1 / 8 - 2)))01
e = INTEGER:$2
END
    openssl asn1parse -genconf "$T/spki.cnf" -noout -out "$T/spki"
}

# Bytes behind the key and attributes in it, wrapped as they are: keyd cannot see them. The token
# makes of them the key that proves itself, or nothing.
case_more_than_the_key() {
    local said
    new_key trailing
    der trailing
    printf 'and more' >> "$T/trailing.der"
    said=$("$HOSTILE" "$CONTROL" tenant=acme name=trailing key="$T/trailing.pem" \
        pkcs8="$T/trailing.der" uid="$(as_new_user)")
    echo "$said"
    ready_again
    if [ "$said" = imported ]; then signs_as trailing; else equal "$COULD_NOT" "$said"; fi
}
signs_as() {
    ctl csr --key "acme/$1" --subject "CN=$1.example" > "$T/$1.csr"
    openssl req -in "$T/$1.csr" -verify -noout
    equal "$(openssl pkey -in "$T/$1.pem" -pubout)" "$(openssl req -in "$T/$1.csr" -pubkey -noout)"
}

# ---- the same key twice

case_twice() {
    new_key twice
    equal imported "$("$HOSTILE" "$CONTROL" tenant=acme name=twice key="$T/twice.pem")"
    ready_again
    before=$(state)
    has "$(says key="$T/twice.pem")" "refused EXISTS" "has this key already: it is acme/twice"
    # another tenant learns nothing before it has shown that it has the key
    has "$("$HOSTILE" "$CONTROL" tenant=bravo name=new key="$T/mine.pem" claim="$T/twice.pem" \
        signer="$T/mine.pem")" "refused DENIED" "does not verify"
    said=$("$HOSTILE" "$CONTROL" tenant=bravo name=new key="$T/twice.pem")
    equal "refused CONFLICT retry=0 this key cannot be imported; make a new one; " "$said"
    unchanged
}

# ---- too many

# keydctl says how long to wait; and after that it works.
case_busy() {
    local i
    sleep 6 # what failed before is forgiven
    for i in {1..5}; do
        "$HOSTILE" "$CONTROL" tenant=acme name=new key="$T/mine.pem" flip="kek:$i"
    done
    said=$("$HOSTILE" "$CONTROL" tenant=acme name=new key="$T/mine.pem" flip=kek:9)
    has "$said" "refused BUSY retry=" "too many of your imports have failed"
    lacks "$said" "retry=0 "
    refused 3 ctl keys-import --tenant acme --name late --key "$T/mine.pem"
    has "$said" "too many of your imports have failed" "try again in 1 s"
    soon 20 ctl keys-import --tenant acme --name late --key "$T/mine.pem"
    ready_again
    cp "$T/mine.pem" "$T/late.pem"
    signs_as late
}

run_cases "$@"
