#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# bench: token-bench on a keyd that signs meanwhile; it measures, and leaves nothing behind.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd "signers = 2
[token]
signer-timeout-ms = 10000"
begin make_key acme/www ec-p256

objects() { ctl token-objects --json | jq '.objects | length'; }

case_measures() {
    local json before
    before=$(objects)
    json=$(ctl token-bench --seconds 4 --json)
    jq -e '.signers == 2 and .cores >= 1' <<< "$json"
    equal "1 2" "$(jq -r '[.rates[] | select(.type == "ec-p256") | .signers] | join(" ")' <<< "$json")"
    jq -e '.rates | all(.per_second > 0 and .p50_us > 0 and .p50_us <= .p99_us)' <<< "$json"
    jq -e '.generations | length > 0 and all(.keys > 0 and .p50_us <= .max_us)' <<< "$json"
    jq -e '.tried | length > 0 and all(.signs == (.error == ""))' <<< "$json"
    jq -e '.advice | any(startswith("ec-p256: "))' <<< "$json"
    equal "$before" "$(objects)" "objects"
}

case_in_words() {
    has "$(ctl token-bench --seconds 2)" "TYPE" "SIGNERS" ecdsa_secp256r1_sha256 "ways to sign" "ec-p256: "
    refused 1 ctl token-bench --seconds 16
    has "$said" "2 to 15 seconds"
    refused 2 ctl token-bench --seconds much
}

# Live signing goes on, and not one signature fails.
case_beside_live_signing() {
    local load
    "$LOAD" --socket "$SOCKET" --key "$T/www.ref.pem" --scheme 0403 --threads 2 --seconds 60 \
        --deadline 20000 > "$T/load.out" 2>&1 &
    load=$!
    soon 20 grep -q running "$T/load.out"
    ctl token-bench --seconds 3 > /dev/null
    kill -TERM "$load"
    wait "$load" || fail "load: $(cat "$T/load.out")"
    has "$(cat "$T/load.out")" "failed=0"
}

# What takes away does not wait for it.
case_gives_way() {
    local bench
    ctl keys-generate --tenant acme --name going --type ec-p256
    ctl token-bench --seconds 15 --json > "$T/bench.json" &
    bench=$!
    sleep 0.5
    ctl keys-destroy acme/going --yes
    wait "$bench"
    jq -e '.cut_short != ""' "$T/bench.json"
}

# A signer that is killed takes its key with it; keyd says so, and goes on.
case_a_signer_dies() {
    local bench before
    before=$(objects)
    ctl token-bench --seconds 15 --json > "$T/bench.json" &
    bench=$!
    sleep 0.3
    kill -KILL "$(pids_of "signer 1")"
    wait "$bench"
    jq -e '.cut_short != ""' "$T/bench.json"
    soon 20 ready
    equal "$before" "$(objects)" "objects"
    ctl token-bench --seconds 2 > /dev/null
}

# So does a custodian.
case_the_custodian_dies() {
    local bench before
    before=$(objects)
    ctl token-bench --seconds 10 > /dev/null 2>&1 &
    bench=$!
    sleep 0.3
    kill -KILL "$(pid_of custodian)"
    wait "$bench" || true
    soon 20 ready
    equal "$before" "$(objects)" "objects"
    jq -e '.signers == 2 and (.rates | length > 0)' <<< "$(ctl token-bench --seconds 2 --json)"
}

run_cases "$@"
