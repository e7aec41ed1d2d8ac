#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# status: what keydctl status tells of signatures, of processes that hang, and of those that ended.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd "signers = 2"
begin make_key acme/www ec-p256
begin make_key acme/rsa rsa-2048

# status_is FILTER: whether jq's filter holds for the status.
status_is() { ctl status --json | jq -e "$1"; }

# sign NAME SCHEME: signs for a second; prints how many there were.
sign() {
    "$LOAD" --socket "$SOCKET" --key "$T/$1.ref.pem" --scheme "$2" --threads 2 --seconds 1 \
        --deadline $((2000 * SLOW)) | sed -n 's/^signed=\([0-9]*\) failed=0 .*/\1/p'
}

case_nothing_yet() {
    status_is '.schemes == [] and .exits == [] and all(.processes[]; .health == "ready")'
    lacks "$(ctl status)" SCHEME ENDED
}

# Not one signature is missing or counted twice, whichever signer made it.
case_figures() {
    local p256 rsa json
    p256=$(sign www 0403)
    rsa=$(sign rsa 0804)
    json=$(ctl status --json)
    equal "$p256 $rsa" "$(jq -r '[.schemes[] | .total] | join(" ")' <<< "$json")" "signatures"
    equal "ecdsa_secp256r1_sha256:1027 rsa_pss_rsae_sha256:2052" \
        "$(jq -r '[.schemes[] | "\(.scheme):\(.code)"] | join(" ")' <<< "$json")"
    equal $((p256 + rsa)) "$(jq '[.processes[].signatures] | add' <<< "$json")" "sum of the signers"
    jq -e 'all(.schemes[]; .p50_us > 0 and .p50_us <= .p90_us and .p90_us <= .p99_us)' <<< "$json"
    # RSA takes longer than P-256, on any machine
    jq -e '.schemes[0].p50_us < .schemes[1].p50_us' <<< "$json"
    # within the last 60 s of a keyd that is at least as old as this
    jq -e 'all(.schemes[]; .per_second_10s > 0 and .per_second_60s > 0 and
        .per_second_60s >= .total / 60 and .per_second_10s <= .total)' <<< "$json"
    has "$(ctl status)" SCHEME "/S (10 S)" ecdsa_secp256r1_sha256 rsa_pss_rsae_sha256 "P99 US"
}

case_refusals_are_counted() {
    # a csr is no message that a signer knows: on keyd.sock it is refused
    refused any ossl "$SOCKET" req -new -key "$T/www.ref.pem" -subj /CN=x
    status_is '[.processes[].failed] | add == 1'
}

# A process that is there and does nothing: its state is "ready", its health is not.
case_one_hangs() {
    local pid json text
    pid=$(pid_of "signer 1")
    kill -STOP "$pid"
    json=$(ctl status --json) text=$(ctl status)
    kill -CONT "$pid"
    equal "signer 1" "$(jq -r '.processes[] | select(.health == "no answer") | .name' <<< "$json")"
    equal 6 "$(jq '[.processes[] | select(.state == "ready")] | length' <<< "$json")"
    has "$text" "no answer"
    soon 10 status_is 'all(.processes[]; .health == "ready")'
}

case_one_ended() {
    local before i
    before=$(date -u +%Y-%m-%dT%H:%M:%SZ)
    kill -KILL "$(pid_of "signer 0")"
    soon 20 status_is '.exits | length == 1'
    soon 20 ready
    status_is '.exits[0] | .process == "signer 0" and (.why | contains("signal 9"))'
    status_is "(.exits[0].at >= \"$before\") and (.exits[0].at <= \"$(date -u +%Y-%m-%dT%H:%M:%SZ)\")"
    status_is '.processes[] | select(.name == "signer 0") | .restarts == 1 and .signatures == 0'
    has "$(ctl status)" ENDED "signer 0 killed by signal 9"
    # the last one first, and no more than eight
    kill -KILL "$(pid_of custodian)"
    soon 20 status_is '.exits[0].process == "custodian"'
    soon 20 ready
    for ((i = 0; i < 8; i++)); do
        kill -KILL "$(pid_of "signing gate")"
        soon 20 status_is ".processes[] | select(.name == \"signing gate\") | .restarts == $((i + 1))"
        soon 20 ready
    done
    status_is '(.exits | length == 8) and all(.exits[]; .process == "signing gate")'
}

run_cases "$@"
