#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# kill-verbs: keys are made, imported, switched off and on and destroyed by several clients at once,
# the import key is rotated, and at random moments the custodian, the parent or every process dies
# by kill -9. Then: no key that was answered is lost, none is there that was answered destroyed,
# every object is owned or a fragment, and what was cut short works when it is repeated.
# KEYD_TEST_KILLS sets how many rounds (30), KEYD_TEST_SEED which moments.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

ROUNDS=${KEYD_TEST_KILLS:-$((30 / ROUNDS_OF))}
SEED=${KEYD_TEST_SEED:-$((EPOCHSECONDS % 32768))}
RANDOM=$SEED
export HOME=$T/home XDG_CONFIG_HOME=
mkdir "$HOME" "$T/said"

with_keyd "signers = 2
restart-delay-max-ms = 100"
begin ctl tenants-add acme
begin make_key acme/stays ec-p256

# ---- clients: each works on names of its own until $T/go is gone, and writes down before a verb
# that it asks, and after it what it was told: "ask VERB NAME", "told VERB NAME". A refusal ends its
# round: keyd is going.

ask() { # ask VERB NAME ARG...
    printf 'ask %s %s\n' "$1" "$2" >> "$OUT"
    ctl "$1" "${@:3}" > /dev/null 2>> "$T/log/clients.log" || return 1
    printf 'told %s %s\n' "$1" "$2" >> "$OUT"
}
generate() { ask keys-generate "$1" --tenant acme --name "$1" --type ec-p256; }
import() { ask keys-import "$1" --tenant acme --name "$1" --key "$T/$1.pem"; }
fresh() { openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out "$T/$1.pem"; }

client_makes() {
    local i name
    for ((i = 0; ; i++)); do
        [ -e "$T/go" ] || break
        name=g-$1-$i
        generate "$name" || break
        ((i % 3)) || ask keys-destroy "$name" "acme/$name" --yes || break
    done
}
client_switches() {
    local name=s-$1
    generate "$name" || return 0
    while [ -e "$T/go" ]; do
        ask keys-disable "$name" "acme/$name" || break
        ask keys-enable "$name" "acme/$name" || break
    done
}
client_imports() {
    local i name
    for ((i = 0; ; i++)); do
        [ -e "$T/go" ] || break
        name=i-$1-$i
        fresh "$name"
        import "$name" || break
        ((i % 4 != 3)) || ask import-key-rotate - || break
    done
}
client() { # client NAME ROUND
    OUT=$T/said/$2-$1
    : > "$OUT"
    "client_$1" "$2"
}

# ---- one round

alive_children() { cat "/proc/$(cat "$T/keyd.pid")/task/"*/children 2> /dev/null; }

strike() { # strike ROUND: says whom
    local parent
    parent=$(cat "$T/keyd.pid")
    case $(($1 % 3)) in
        0)
            # at any time of its life, not only when it says that it is ready
            local pid
            for pid in $(alive_children); do
                [ "$(tr -d '\0' < "/proc/$pid/cmdline")" != "keyd: custodian" ] || kill -KILL "$pid"
            done
            echo custodian
            ;;
        1)
            kill -KILL "$parent"
            echo parent
            ;;
        2)
            # shellcheck disable=SC2046
            kill -KILL "$parent" $(alive_children)
            echo all
            ;;
    esac
}

# state NAME: of the key as keyd tells it now; "gone".
state() {
    jq -r --arg k "acme/$1" '[.keys[] | select(.key == $k) | .state][0] // "gone"' "$T/keys.json"
}

# wanted VERB: the state that a verb leaves.
wanted() {
    case $1 in
        keys-generate | keys-import | keys-enable) echo enabled ;;
        keys-disable) echo disabled ;;
        keys-destroy) echo gone ;;
    esac
}

# judge FILE: what each key is fits what was said of it: the last answer, or the verb that was asked
# after it and never answered.
judge() {
    local name is verb told asked
    while read -r name; do
        [ "$name" != - ] || continue
        told=$(sed -n "s/^told \(.*\) $name\$/\1/p" "$1" | tail -n 1)
        asked=$(sed -n "s/^ask \(.*\) $name\$/\1/p" "$1" | tail -n 1)
        is=$(state "$name")
        [ "$is" = "$(wanted "$told")" ] && continue
        [ "$told" != "$asked" ] && [ "$is" = "$(wanted "$asked")" ] && continue
        [ -z "$told" ] && [ "$is" = gone ] && continue
        fail "$name is $is after \"$told\" was answered and \"$asked\" asked (seed $SEED)"
    done < <(cut -d' ' -f3 "$1" | sort -u)
    # what was cut short works now, or is told that it was done
    verb=$(tail -n 1 "$1")
    [[ $verb == "ask "* ]] || return 0
    read -r _ verb name <<< "$verb"
    OUT=$T/said/again
    case $verb in
        keys-generate) [ "$(state "$name")" = enabled ] || generate "$name" ;;
        keys-import) [ "$(state "$name")" = enabled ] || import "$name" ;;
        keys-destroy) [ "$(state "$name")" = gone ] || ask "$verb" "$name" "acme/$name" --yes ;;
        import-key-rotate) ask "$verb" - ;;
        *) ask "$verb" "$name" "acme/$name" ;;
    esac || fail "$verb $name does not work again: $(tail -n 1 "$T/log/clients.log") (seed $SEED)"
}

# unowned: private keys that have a CKA_ID and are nobody's.
unowned() {
    ctl token-objects --json | jq -c '[.objects[] | select(.key == null and .id != "") | .id]'
}

judge_all() { # judge_all ROUND
    local file
    soon 30 ready
    equal 0 "$(ctl status --json | jq .keys_missing)" "missing keys (seed $SEED)"
    ctl keys-list --json > "$T/keys.json"
    equal enabled "$(state stays)"
    for file in "$T/said/$1-"*; do judge "$file"; done
    equal '[]' "$(unowned)" "objects without an owner (seed $SEED)"
    ctl csr --key acme/stays --subject CN=stays > /dev/null
}

case_random_instants() {
    local round who pids pid kills=""
    echo "seed $SEED, $ROUNDS rounds"
    for ((round = 0; round < ROUNDS; round++)); do
        touch "$T/go"
        pids=
        for who in makes switches imports; do
            client $who $round &
            pids="$pids $!"
        done
        # imports replace the custodian, so starts are hit, too
        sleep "$((RANDOM % 3)).$(printf '%03d' $((RANDOM % 1000)))"
        who=$(strike $round)
        kills="$kills $who"
        rm "$T/go"
        for pid in $pids; do wait "$pid" || true; done
        alive "$(cat "$T/keyd.pid")" || start_keyd
        judge_all $round
    done
    echo "$kills" | tr ' ' '\n' | sort | uniq -c | tr '\n' ' '
    echo "$(cat "$T"/said/* | grep -c '^told') verbs answered, $(cat "$T"/said/* | grep -c '^ask') asked"
    [ "$(cat "$T"/said/* | grep -c '^told')" -gt "$ROUNDS" ] || fail "hardly anything was done"
}

# Every key of the registry signs after all that, also after one more start.
case_every_key_signs() {
    local key
    stop_keyd
    start_keyd
    ctl keys-list --json | jq -r '.keys[] | select(.state == "enabled") | .key' > "$T/all"
    [ -s "$T/all" ] || fail "no key is left"
    while read -r key; do
        ctl csr --key "$key" --subject CN=x > "$T/csr"
        openssl req -in "$T/csr" -verify -noout
    done < "$T/all"
    echo "$(wc -l < "$T/all") keys sign"
}

run_cases "$@"
