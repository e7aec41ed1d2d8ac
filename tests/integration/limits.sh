#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# limits: what one client may take from the others, and processes of keyd that hang instead of dying.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd "signers = 2
restart-delay-max-ms = 100
[token]
signer-timeout-ms = $((400 * SLOW))
[limits]
connections = 20
in-flight = 32
queue = 64"
begin make_key acme/www ec-p256
begin make_key acme/slow rsa-4096
ID=$(key_id acme/www)
SLOW_ID=$(key_id acme/slow)

# 64 blanks, the context, a transcript hash of 32 bytes: what a TLS 1.3 server signs.
MESSAGE=$(printf '20%.0s' {1..64})$(printf 'TLS 1.3, server CertificateVerify\0' | od -An -v -tx1 | tr -d ' \n')$(printf '5a%.0s' {1..32})

load_begin() {
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --threads 2 --deadline $((2000 * SLOW)) "$@" \
        > "$T/load.out" 2> "$T/log/load.log" &
    LOAD_PID=$!
    started $LOAD_PID
    soon 10 grep -q running "$T/load.out"
}
load_end() {
    kill -TERM "$LOAD_PID"
    wait "$LOAD_PID" || fail "$(tail -n 1 "$T/load.out") $(head -n 2 "$T/log/load.log")"
}

# More connections than there may be are told so and closed; those that are open go on.
case_connections() {
    local out crowd
    load_begin
    # one that was there before the crowd stays, until its own silence ends it
    "$WIRE" "$SOCKET" connect=40 rest rest rest > "$T/crowd.out" &
    crowd=$!
    soon 5 crowded
    out=$("$WIRE" "$SOCKET" rest)
    has "$out" "error id=0 code=BUSY" "end"
    load_end
    wait $crowd
    has "$(cat "$T/crowd.out")" "error id=0 code=DEADLINE no hello" "end"
    soon 15 served
}
crowded() { [ "$(ctl status --json | jq .queue.connections)" -ge 20 ]; }
served() { "$WIRE" "$SOCKET" hello ping=1 read=2 2> /dev/null | grep -q '^ping id=1'; }

# One connection with more open requests than it may have is read more slowly, not refused.
case_in_flight() {
    local steps=() i
    for ((i = 1; i <= 60; i++)); do steps+=("sign=$i:$ID:0403:$MESSAGE"); done
    equal 60 "$("$WIRE" "$SOCKET" hello "${steps[@]}" read=61 | grep -c '^signature')"
}

# A queue that is full, and deadlines that cannot be kept: BUSY at once, and well again afterwards.
case_queue_full() {
    local i steps=() out pids=()
    for ((i = 1; i <= 30; i++)); do steps+=("sign=$i:$SLOW_ID:0804:$MESSAGE"); done
    for i in {1..12}; do # more at once than a busy machine starts one after another
        "$WIRE" "$SOCKET" hello "${steps[@]}" read=31 > "$T/queue.$i" &
        pids+=($!)
    done
    for i in "${pids[@]}"; do wait "$i"; done
    out=$(cat "$T"/queue.*)
    has "$out" "code=BUSY" "signature id="
    equal 360 "$(grep -cE '^(signature|error id=[1-9][0-9]* code=(BUSY|DEADLINE))' <<< "$out")"
    has "$("$WIRE" "$SOCKET" hello "sign=1:$ID:0403:$MESSAGE" read=2)" "signature id=1"
    [ "$(ctl status --json | jq .queue.busy_total)" -gt 0 ] || fail "busy_total does not count"
}

# limit [SETTING VALUE]: it alone is set in [limits], and in force.
limit() {
    local before
    before=$(grep -c "settings read again" "$T/log/keyd.log" || true)
    sed -i -E '/^(principal|key)-(rate|in-flight) /d' "$CONF"
    [ $# = 0 ] || sed -i "s/^\[limits\]\$/&\n$1 = $2/" "$CONF"
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 5 read_again "$before"
}
read_again() { [ "$(grep -c "settings read again" "$T/log/keyd.log")" -gt "$1" ]; }

# ask_for KEY-ID SCHEME: thirty signatures asked for at once, over one connection.
ask_for() {
    local steps=() i
    for ((i = 1; i <= 30; i++)); do steps+=("sign=$i:$1:$2:$MESSAGE"); done
    "$WIRE" "$SOCKET" hello "${steps[@]}" read=31
}

# Rates and what is in flight, of a principal and of a key: BUSY at once and when to come again.
case_rates() {
    local out
    sleep 1.1 # a second's worth may come in a burst: what others did is over
    limit principal-rate 8
    out=$(ask_for "$ID" 0403)
    [[ $(grep -c '^signature' <<< "$out") =~ ^(8|9|10)$ ]] || fail "rate 8: $out"
    has "$out" "code=BUSY the principal is at its limit" "principal-rate"
    has "$("$WIRE" "$SOCKET" hello "sign=1:$SLOW_ID:0804:$MESSAGE" read=2)" "the principal is at its limit"
    limit key-rate 8
    out=$(ask_for "$ID" 0403)
    [[ $(grep -c '^signature' <<< "$out") =~ ^(8|9|10)$ ]] || fail "rate 8: $out"
    has "$out" "code=BUSY the key is at its limit" "key-rate"
    has "$("$WIRE" "$SOCKET" hello "sign=1:$SLOW_ID:0804:$MESSAGE" read=2)" "signature id=1"
    limit principal-in-flight 3
    out=$(ask_for "$SLOW_ID" 0804)
    has "$out" "code=BUSY the principal is at its limit" "signature id=1 "
    limit key-in-flight 3
    out=$(ask_for "$SLOW_ID" 0804)
    has "$out" "code=BUSY the key is at its limit" "signature id=1 "
    limit
    equal 30 "$(ask_for "$ID" 0403 | grep -c '^signature')"
}

# Its log has one line for each failed call, with the request's id and why; and no secret.
case_log_of_failures() {
    sleep 1.1 # a flood of lines is cut, second by second: what others did is over
    "$WIRE" "$SOCKET" hello "sign=4711:$ID:0403:abcd" read=2 > /dev/null
    "$WIRE" "$SOCKET" hello "sign=4712:$(printf '00%.0s' {1..32}):0403:$MESSAGE" read=2 > /dev/null
    soon 5 grep -q 4712 "$T/log/keyd.log"
    equal 1 "$(grep -c 'request=4711 ' "$T/log/keyd.log")"
    has "$(grep 'request=4711 ' "$T/log/keyd.log")" BAD_SHAPE principal=fe "${ID:0:8}"
    has "$(grep 'request=4712 ' "$T/log/keyd.log")" NOT_FOUND
}

# A signer that hangs is killed and replaced, and nobody's signature fails.
case_hung_signer() {
    local pid round
    for round in 1 2 3; do
        soon 20 ready
        load_begin
        pid=$(pid_of "signer $((round % 2))")
        kill -STOP "$pid"
        soon 10 dead "$pid"
        soon 20 ready
        load_end
    done
    has "$(cat "$T/log/keyd.log")" "overstays"
    has "$(ctl status)" "overstay"
}

# A custodian that hangs disturbs no signature; who asks for a change is told in time.
case_hung_custodian() {
    local pid began
    soon 20 ready
    load_begin
    pid=$(pid_of custodian)
    kill -STOP "$pid"
    began=$(now_ms)
    refused 3 ctl --timeout 2 tenants-add stuck
    [ $(($(now_ms) - began)) -lt $((4000 * SLOW)) ] || fail "it took $(($(now_ms) - began)) ms"
    sleep 1
    load_end
    kill -CONT "$pid" 2> /dev/null || true # if it was not replaced
    soon 20 ready
    ctl tenants-list > /dev/null
    "$WIRE" "$SOCKET" hello "sign=1:$ID:0403:$MESSAGE" read=2 | grep -q '^signature'
}

# Half a frame, and nothing more: the connection ends after a while, with a word about it.
case_half_a_frame() {
    has "$(timeout 30 "$WIRE" "$SOCKET" hello part=5 rest rest rest)" "hello version=1" \
        "error id=0 code=DEADLINE half a frame" "end"
}

run_cases "$@"
