#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# memory: where an imported private key lies, and where it does not: the memory of every process
# that had to do with it, and all files, are searched by memsearch for runs of 16 bytes of each
# private number. keyd/README.md (What a thief of memory gets) says what is asserted here. Needs
# root: none of these processes may be looked into by anybody else.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

TYPES="rsa-2048 rsa-3072 rsa-4096 ec-p256 ec-p384"
MEMSEARCH=$BUILD/tests/integration/memsearch
ALL="$TYPES second-${TYPES// / second-}" # that were imported, two of each type
export HOME=$T/home XDG_CONFIG_HOME=
mkdir "$HOME"

# new_key TYPE NAME: a key in NAME.pem.
new_key() {
    case $1 in
        rsa-*) openssl genrsa -out "$T/$2.pem" "${1#rsa-}" ;;
        ec-p*) openssl genpkey -algorithm EC -pkeyopt "ec_paramgen_curve:P-${1#ec-p}" -out "$T/$2.pem" ;;
    esac
}
make_keys() {
    local key
    for key in $TYPES; do
        new_key "$key" "$key"
        new_key "$key" "second-$key"
    done
}

with_keyd
begin make_keys
begin new_tenant acme

root_only() { [ "$(id -u)" = 0 ] || skip "memory of others is readable for root alone"; }

# search KEYS ARG...: what memsearch says is left in $found. Each line has found its needle, else
# nothing was searched.
search() {
    local key
    local -a files=()
    for key in $1; do files+=("$T/$key.pem"); done
    found=$("$MEMSEARCH" ${NEEDLE+-n "$NEEDLE"} "${files[@]}" -- "${@:2}" \
        2> "$T/log/memsearch.log") ||
        fail "memsearch: $found $(tail -n 2 "$T/log/memsearch.log")"
    found=$(results <<< "$found")
    printf '%s: %s\n' "$1" "$found"
    lacks "$found " " needle 0 "
}
results() { grep -E '^(pid|run|file) .* key [0-9]+ needle [0-9]+'; }

# nothing WHO: no part of the key was found.
nothing() {
    local left
    left=$(grep -v ' key 0 ' <<< "$found") || return 0
    fail "$1 has parts of the key: $left"
}

# only_malloc WHO: none in any page that keyd's own code keeps secrets in or computes in: what there
# is lies where the token's module, in the same process, takes its memory.
only_malloc() { lacks "$found" " stack " " secret " " memfd " " file "; }

objects() { find "$STATE/tokens" -name '*.object' | wc -l; }
more_objects() { [ "$(objects)" -gt "$1" ]; }

case_the_search_proves_itself() {
    local key
    for key in $TYPES; do
        equal "found in 6 kinds of mappings, in both byte orders" \
            "$("$MEMSEARCH" "$T/$key.pem" -- prove)"
    done
}

# ---- the client, after its last instruction

# The needle is the name, which stands in its arguments. This one imports what the others look for.
case_client() {
    local key
    root_only
    for key in $TYPES; do
        NEEDLE=the-key-of-a-client-$key search "$key" run "$KEYDCTL" --socket "$CONTROL" \
            keys-import --tenant acme --name "the-key-of-a-client-$key" --key "$T/$key.pem"
        nothing keydctl
        soon 20 ready
    done
}

# Also when it is refused at the end, and when the key came encrypted.
case_client_refused() {
    local NEEDLE=another-name-for-the-key
    root_only
    (umask 077 && printf 'correct horse\n' > "$T/pass")
    openssl pkey -in "$T/rsa-3072.pem" -aes256 -passout "file:$T/pass" -out "$T/encrypted.pem"
    said=$("$MEMSEARCH" -n "$NEEDLE" "$T/rsa-3072.pem" -- run "$KEYDCTL" --socket "$CONTROL" \
        keys-import --tenant acme --name "$NEEDLE" --key "$T/encrypted.pem" \
        --passphrase-file "$T/pass" 2>&1) && fail "the same key was taken twice"
    has "$said" "has this key already" "run "
    found=$(results <<< "$said")
    lacks "$found " " needle 0 "
    nothing keydctl
}

# ---- keyd

# The custodian waits for a gate's word: it has the key in the token and is not replaced yet.
case_custodian() {
    local key custodian gate before job
    root_only
    for key in $TYPES; do
        ctl import-key > /dev/null
        custodian=$(pid_of custodian) gate=$(pid_of "signing gate") before=$(objects)
        kill -STOP "$gate"
        ctl keys-import --tenant acme --name "second-$key" --key "$T/second-$key.pem" > /dev/null &
        job=$!
        soon 20 more_objects "$before"
        kill -STOP "$custodian"
        search "second-$key" pid "$custodian"
        kill -CONT "$gate" "$custodian"
        only_malloc custodian
        wait "$job"
        # replaced, and with it what the module left
        soon 20 dead "$custodian"
        soon 20 ready
        search "second-$key" pid "$(pid_of custodian)"
        nothing "the custodian after its replacement"
    done
}

# A key that the token unwraps and then refuses, as it is of another type than was claimed: how
# somebody would send pieces that he has recorded. The module may have it until the custodian is
# replaced, which takes some seconds here.
case_custodian_refuses() {
    local custodian
    root_only
    new_key rsa-2048 recorded
    new_key ec-p256 new-ec-p256
    openssl pkcs8 -topk8 -nocrypt -in "$T/recorded.pem" -outform DER -out "$T/recorded.der"
    custodian=$(pid_of custodian)
    has "$("$BUILD/tests/integration/hostile" "$CONTROL" tenant=acme name=new \
        key="$T/ec-p256.pem" claim="$T/new-ec-p256.pem" pkcs8="$T/recorded.der")" \
        "the key could not be unwrapped"
    NEEDLE=$CONF search recorded pid "$custodian"
    only_malloc custodian
    soon 20 dead "$custodian"
    soon 20 ready
    NEEDLE=$CONF search recorded pid "$(pid_of custodian)"
    nothing "the custodian after its replacement"
}

# All of them, after both keys of each type have signed in every signer.
case_signers() {
    local key name id scheme
    root_only
    local -A schemes=([ec-p256]=0403 [ec-p384]=0503)
    for key in $TYPES; do
        scheme=${schemes[$key]-0804}
        for name in "the-key-of-a-client-$key" "second-$key"; do
            id=$(key_id "acme/$name")
            signs "$id" "$scheme"
        done
    done
    for id in $(pids_of signer); do
        [ "$(signed_by "$id")" -gt 20 ] || fail "signer $id has not signed"
        search "$ALL" pid "$id"
        only_malloc "signer $id"
    done
}
tls13_server() { # the message of a TLS 1.3 server (RFC 8446 4.4.3), in hex
    printf '20%.0s' {1..64}
    printf 'TLS 1.3, server CertificateVerify' | od -An -v -tx1 | tr -d ' \n'
    printf '00%s' "$(printf 'ab%.0s' {1..32})"
}
signs() {
    local i
    local -a steps=()
    for i in {1..20}; do steps+=("sign=$i:$1:$2:$(tls13_server)"); done
    equal 20 "$("$WIRE" "$SOCKET" hello "${steps[@]}" read=21 | grep -c '^signature ')"
}
signed_by() { ctl status --json | jq ".processes[] | select(.pid == $1) | .signatures"; }

case_gates() {
    local pid
    root_only
    for pid in $(pids_of "signing gate") $(pids_of "control gate") $(pids_of custodian); do
        search "$ALL" pid "$pid"
        nothing "process $pid"
    done
}

# It knows no key at all, so that its needle is its argument; the table that it keeps for those to
# come is a file without a name.
case_parent() {
    local fd tables=0
    root_only
    NEEDLE=$CONF search "$ALL" pid "$KEYD_PID"
    nothing "the parent"
    for fd in "/proc/$KEYD_PID/fd/"*; do
        [[ $(readlink "$fd") == "/memfd:the table of keys"* ]] || continue
        search "$ALL" files "$fd"
        nothing "the parent's table"
        tables=$((tables + 1))
    done
    [ "$tables" -gt 0 ] || fail "no table was found"
}

# ---- files

# Below the state directory, which is all that keyd can write to: no part of a key; the registry has
# the public ones.
case_files() {
    local key
    local -a keys=()
    root_only # else nothing was imported
    for key in $ALL; do keys+=("$T/$key.pem"); done
    openssl pkey -in "$T/second-ec-p384.pem" -outform DER -out "$T/planted.der"
    equal "$T/planted.der" "$(files_with "$T/planted.der")"
    equal "" "$(files_with "$STATE")"
    search "$ALL" files "$STATE/registry.db"
}
files_with() {
    find "$@" -type f -size +15c -exec "$MEMSEARCH" "${keys[@]}" -- files {} + |
        sed -n '/ key 0 /!s/^file \(.*\) key .*/\1/p'
}

run_cases "$@"
