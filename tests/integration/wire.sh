#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# wire: what no client of ours would say. The connection ends with an error, or gets one; keyd and
# its other clients go on: every case ends with a check of that.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd
begin make_key acme/www ec-p256
begin make_key acme/rsa rsa-2048
ID=$(key_id acme/www)
RSA=$(key_id acme/rsa)

# all_well: the same processes as before still serve.
processes() { ctl status --json | jq -c '[.processes[] | [.name, .pid]] | sort'; }
BEFORE=$(processes)
all_well() {
    equal "ping id=1" "$("$WIRE" "$SOCKET" hello ping=1 read=2 | tail -n 1)"
    equal "$BEFORE" "$(processes)" "processes were replaced"
}

# ended TEXT: keyd closed the connection ("reset": while something of ours lay unread).
ended() { [[ $'\n'$1 =~ $'\n'(end|reset)$ ]] || fail "the connection goes on: $1"; }

# talk SOCKET STEP...
talk() { timeout 60 "$WIRE" "$@"; }

# A TLS 1.3 server's message over a transcript of $1 bytes (RFC 8446 4.4.3), in hex.
tls13() {
    local i role=${2-server}
    for ((i = 0; i < 64; i++)); do printf 20; done
    printf 'TLS 1.3, %s CertificateVerify' "$role" | od -An -v -tx1 | tr -d ' \n'
    printf 00
    for ((i = 0; i < $1; i++)); do printf '%02x' $((i * 7 % 256)); done
}

case_hello_and_ping() {
    local out
    out=$(talk "$SOCKET" hello ping=7 read=2)
    has "$out" "hello version=1" "ping id=7"
    out=$(talk "$CONTROL" hello ping=8 read=2)
    has "$out" "hello version=1" "ping id=8"
    has "$(talk "$SOCKET" drip ping=9 read=2)" "ping id=9"
    all_well
}

case_pipelined() {
    equal 500 "$(talk "$SOCKET" hello pings=500 read=501 | grep -c '^ping')"
    equal 500 "$(talk "$CONTROL" hello pings=500 read=501 | grep -c '^ping')"
    all_well
}

case_no_hello() {
    local out
    for s in "$SOCKET" "$CONTROL"; do
        out=$(talk "$s" ping=1 rest)
        has "$out" "error id=" "end"
        lacks "$out" "ping id=1"
    done
    all_well
}

case_unknown_version() {
    local out
    out=$(talk "$SOCKET" hello=9-12 ping=1 rest)
    has "$out" "error id=1000 code=UNSUPPORTED"
    ended "$out"
    lacks "$out" "ping id=1"
    has "$(talk "$SOCKET" hello=1-12 ping=1 read=2)" "hello version=1" "ping id=1"
    has "$(talk "$SOCKET" hello=3-1 read=1)" "error id=1000 code="
    all_well
}

case_unknown_verb() {
    local out
    for s in "$SOCKET" "$CONTROL"; do
        out=$(talk "$s" hello unknown=5 half-close rest)
        has "$out" "error id=" "code=UNSUPPORTED" "end"
    done
    all_well
}

case_envelope_without_body() {
    for s in "$SOCKET" "$CONTROL"; do
        has "$(talk "$s" hello empty=5 half-close rest)" "error id=" "end"
    done
    all_well
}

case_answer_from_a_client() {
    for s in "$SOCKET" "$CONTROL"; do
        has "$(talk "$s" hello answer=5 half-close rest)" "error id=" "end"
    done
    all_well
}

case_second_hello() {
    has "$(talk "$SOCKET" hello hello ping=1 read=3)" "ping id=1" # no harm in it
    all_well
}

case_truncated_frame() {
    local n
    for n in 1 3 4 5; do
        lacks "$(talk "$SOCKET" hello part=$n half-close rest)" "ping id" "quiet"
        lacks "$(talk "$CONTROL" hello part=$n half-close rest)" "ping id" "quiet"
    done
    # cut off without a word
    talk "$SOCKET" hello part=5
    talk "$SOCKET" part=2
    all_well
}

case_oversize_frame() {
    local out
    for n in 65537 1048577 2147483647 2147483648 4294967295; do
        out=$(talk "$SOCKET" hello head=$n rest)
        has "$out" "code=TOO_LARGE"
        ended "$out"
    done
    for n in 1048577 4294967295; do
        has "$(talk "$CONTROL" hello head=$n rest)" "code=TOO_LARGE" "end"
        has "$(talk "$CONTROL" head=$n rest)" "code=TOO_LARGE" "end"
    done
    has "$(talk "$SOCKET" head=65537 rest)" "code=TOO_LARGE" "end"
    all_well
}

case_largest_frame() {
    local out
    has "$(talk "$SOCKET" hello padded=65536 read=2)" "ping id=1"
    has "$(talk "$CONTROL" hello padded=1048576 read=2)" "ping id=1"
    out=$(talk "$SOCKET" hello padded=65537 rest)
    has "$out" "code=TOO_LARGE"
    ended "$out"
    all_well
}

case_garbage() {
    local n out before
    before=$(counted "no message of the protocol")
    for n in 1 2 100 65000; do
        for s in "$SOCKET" "$CONTROL"; do
            out=$(talk "$s" hello garbage=$n rest)
            has "$out" "error id=0 code=BAD_REQUEST"
            ended "$out"
            ended "$(talk "$s" garbage=$n rest)"
        done
    done
    has "$(talk "$SOCKET" hello garbage=0 read=2)" "error id=0" # an Envelope, but an empty one
    ended "$(talk "$SOCKET" garbage=0 rest)"
    equal $((before + 4 * 2 * 2 + 1)) "$(counted "no message of the protocol")" "counted"
    for n in 1 4 5 1000 100000; do
        lacks "$(talk "$SOCKET" noise=$n half-close rest)" "hello" "quiet"
        lacks "$(talk "$CONTROL" noise=$n half-close rest)" "hello" "quiet"
    done
    all_well
}

# Others' connections feel nothing of it.
case_others_go_on() {
    local load i
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --threads 2 > "$T/load.out" 2> "$T/log/load.log" &
    load=$!
    started $load
    soon 10 grep -q running "$T/load.out"
    for ((i = 0; i < 20; i++)); do
        talk "$SOCKET" hello garbage=50 rest > /dev/null
        talk "$SOCKET" head=4294967295 rest > /dev/null
        talk "$SOCKET" hello unknown=1 half-close rest > /dev/null
        talk "$SOCKET" noise=4096 half-close rest > /dev/null
    done
    kill -TERM $load
    wait $load || fail "$(cat "$T/load.out" "$T/log/load.log")"
    has "$(tail -n 1 "$T/load.out")" "failed=0"
    all_well
}

case_management_verb_on_keyd_sock() {
    local out
    out=$(talk "$SOCKET" hello status=4 half-close rest)
    has "$out" "error id=4"
    lacks "$out" "status id"
    has "$(talk "$CONTROL" hello status=4 read=2)" "status id=4"
    all_well
}

# ---- Sign

case_sign() {
    has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$(tls13 32)" read=2)" "signature id=1 30"
    has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$(tls13 48)" read=2)" "signature id=1 30"
    has "$(talk "$SOCKET" hello "sign=1:$RSA:0804:$(tls13 32)" read=2)" "signature id=1 "
    all_well
}

case_sign_unknown_key() {
    local none
    none=$(printf '00%.0s' {1..32})
    has "$(talk "$SOCKET" hello "sign=1:$none:0403:$(tls13 32)" read=2)" "error id=1 code=NOT_FOUND"
    has "$(talk "$SOCKET" hello "sign=1:${ID:0:62}:0403:$(tls13 32)" read=2)" "error id=1 code=BAD_REQUEST"
    has "$(talk "$SOCKET" hello "sign=1::0403:$(tls13 32)" read=2)" "error id=1 code=BAD_REQUEST"
    all_well
}

case_sign_wrong_scheme() {
    local scheme
    for scheme in 0804 0503 0807 0401 0203 0000 ffff; do
        has "$(talk "$SOCKET" hello "sign=1:$ID:$scheme:$(tls13 32)" read=2)" "error id=1 code=BAD_SCHEME"
    done
    for scheme in 0403 0401 0807; do # PKCS#1 v1.5 (0401) is not for TLS 1.3
        has "$(talk "$SOCKET" hello "sign=1:$RSA:$scheme:$(tls13 32)" read=2)" "error id=1 code=BAD_SCHEME"
    done
    all_well
}

case_sign_no_known_shape() {
    local message
    # a bare digest, an empty message, a transcript too short, too long, other context, other padding
    for message in "$(printf 'ab%.0s' {1..32})" "" "$(tls13 31)" "$(tls13 33)" "$(tls13 49)" \
        "$(tls13 64)" "$(tls13 32 sErver)" "21$(tls13 32 | cut -c3-)" "$(tls13 32)00"; do
        has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$message" read=2)" "error id=1 code=BAD_SHAPE"
    done
    all_well
}

# A key that is not for it: tls13-client is no purpose by default.
case_sign_wrong_purpose() {
    has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$(tls13 32 client)" read=2)" "error id=1 code=BAD_SHAPE"
    all_well
}

# 201 bytes that are a P-521 key exchange by their lengths and a CSR by their DER.
case_sign_two_meanings() {
    local twofold
    twofold=$(sed '/^#/d' "$ROOT/tests/integration/tls12-and-csr.hex" | tr -d ' \n')
    equal 402 ${#twofold}
    has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$twofold" read=2)" "error id=1 code=BAD_SHAPE"
    has "$(talk "$CONTROL" hello "sign=1:$ID:0403:$twofold" read=2)" "error id=1 code="
    all_well
}

# keyd.sock signs TLS shapes alone, control.sock csr alone.
case_sign_on_the_other_socket() {
    local csr offset
    ctl csr --key acme/www --subject CN=www.example.com --san www.example.com |
        openssl req -outform DER -out "$T/www.csr.der"
    # the CertificationRequestInfo is the first thing within
    offset=$(openssl asn1parse -inform DER -in "$T/www.csr.der" | sed -n '2s/^ *\([0-9]*\):.*/\1/p')
    openssl asn1parse -inform DER -in "$T/www.csr.der" -strparse "$offset" -noout -out "$T/cri.der"
    csr=$(od -An -v -tx1 "$T/cri.der" | tr -d ' \n')
    has "$(talk "$CONTROL" hello "sign=1:$ID:0403:$csr" read=2)" "signature id=1 30"
    has "$(talk "$SOCKET" hello "sign=1:$ID:0403:$csr" read=2)" "error id=1 code=BAD_SHAPE"
    has "$(talk "$CONTROL" hello "sign=1:$RSA:0401:$csr" read=2)" "error id=1 code=BAD_SHAPE" # another's key
    has "$(talk "$CONTROL" hello "sign=1:$ID:0403:${csr}00" read=2)" "error id=1 code=BAD_SHAPE"
    has "$(talk "$CONTROL" hello "sign=1:$ID:0403:$(tls13 32)" read=2)" "error id=1 code="
    all_well
}

# ---- limits

# Silent connections, more than keyd takes, do not keep others out for long, nor eat it up.
case_many_silent_connections() {
    talk "$SOCKET" hello connect=300 ping=1 read=2 > "$T/many.out" || true
    soon 10 all_well_quietly
    all_well
}
all_well_quietly() { [ "$("$WIRE" "$SOCKET" hello ping=1 read=2 2> /dev/null | tail -n 1)" = "ping id=1" ]; }

run_cases "$@"
