#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# completion: what bash offers behind keydctl, by bash's own means: the words of the line in
# COMP_WORDS, the offers in COMPREPLY.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

with_keyd
begin ctl tenants-add acme
begin ctl tenants-add acorn
begin ctl tenants-add zeta
begin make_key acme/www ec-p256
begin make_key acme/api ec-p256
begin make_key zeta/www ec-p256
export KEYD_CONTROL_SOCKET=$CONTROL
WAIT_MS=$((1500 * SLOW)) # of the half second that completion gives itself, on a loaded machine

# offered WANTED WORD...: what is offered for the last word, sorted, with a blank between. Completion
# never says anything. It waits half a second for keyd: a machine that is busy gets three tries.
offered() {
    local got i
    for i in 1 2 3; do
        got=$(completed "${@:2}" 2> "$T/spoken" < /dev/null | sort | tr '\n' ' ' | sed 's/ $//')
        [ ! -s "$T/spoken" ] || fail "completion of ${*:2} said: $(cat "$T/spoken")"
        [ "$got" != "$1" ] || return 0
    done
    fail "completion of ${*:2}: wanted '$1', got '$got'"
}
completed() {
    # shellcheck disable=SC2016
    bash --norc -uc '
        source "$1"
        COMP_WORDS=(keydctl "${@:3}") COMP_CWORD=$(($# - 2))
        _keydctl "$2" "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
        printf "%s\n" "${COMPREPLY[@]-}"' - "$ROOT/clients/keydctl/keydctl.bash" "$KEYDCTL" "$@"
}
in_order() { tr ' ' '\n' | sort | tr '\n' ' ' | sed 's/^ *//; s/ $//'; }

# options_of COMMAND: as the help tells them, sorted, with a blank between.
options_of() {
    "$KEYDCTL" "$@" --help | sed -n 's/^  \(--[a-z-]*\).*/\1/p' | in_order
}

case_is_found() {
    # shellcheck disable=SC2016
    has "$(bash --norc -c '. "$1"; complete -p keydctl' - "$ROOT/clients/keydctl/keydctl.bash")" "-F _keydctl"
}

case_commands() {
    offered "$("$KEYDCTL" --help | sed -n '/^commands:/,/^$/s/^  \([a-z-]*\) .*/\1/p' | in_order)" ""
    offered "tenants-add tenants-list" ten
    offered "csr" --json cs
    offered "csr" --timeout 5 cs # 5 is no command
    offered "" no-such
    offered "" no-such ""
}

case_options() {
    local name
    for name in tenants-list keys-generate csr status; do
        offered "$(options_of "$name")" "$name" -
    done
    offered "$(options_of)" --
    offered "--tenant --timeout --tls-ca --tls-cert --tls-key --token-file --type" keys-generate --t
    # what was given once is not offered again, unless it may be
    offered "--timeout --tls-ca --tls-cert --tls-key --token-file --type" keys-generate --tenant acme --t
    offered "--san" csr --san a.example --sa
}

# The lists in keydctl.bash are those of keydctl, as it tells them itself.
case_types_and_purposes() {
    refused 2 ctl keys-generate --tenant a --name b --type '?'
    offered "$(sed -n "s/.*there are //p" <<< "$said" | tr -d , | in_order)" keys-generate --type ""
    refused 2 ctl keys-generate --tenant a --name b --type ec-p256 --purposes '?'
    offered "$(sed -n "s/.*there are //p" <<< "$said" | tr -d , | in_order)" keys-generate --purposes ""
    offered "ec-p256 ec-p384" keys-generate --type ec
    offered "ec-p256 ec-p384" keys-generate --type = ec # bash takes --type=ec apart
    offered "rsa-2048 rsa-3072 rsa-4096" keys-generate --tenant = acme --type = rsa
    offered "csr,tls13-client csr,tls13-server" keys-generate --purposes csr,tls13
}

case_tenants_and_keys() {
    offered "acme acorn zeta" keys-list --tenant ""
    offered "acme acorn" keys-generate --tenant ac
    offered "acme" keys-generate --tenant = acm
    offered "acme/api acme/www zeta/www" keys-show ""
    offered "acme/api acme/www" keys-show acme/
    offered "acme/www" csr --key acme/w
    offered "zeta/www" csr --subject CN=x z
    offered "zeta/www" csr --san a.example --json z
    offered "" keys-show acme/www "" # there is one operand
    offered "" keys-show nobody/
    offered "" tenants-add ac # a new name
    offered "" csr --subject ""
}

case_principals_grants_and_tokens() {
    local grant token
    offered "fe operator" grants-add --principal ""
    offered "fe" config-test f
    offered "fe" explain x --key acme/www --as f
    offered "edge" grants-add --group ""
    offered "" grants-remove ""
    grant=$(ctl grants-add --principal fe --key acme/www --json | jq .id)
    offered "$grant" grants-remove ""
    offered "fe operator" grants-list --principal ""
    token=$(ctl tokens-create --tenant acme --json | jq -r .token.id)
    offered "$token" tokens-revoke "${token:0:3}"
    refused 2 ctl tokens-create --role '?'
    offered "$(sed -n 's/.*hint: //p' <<< "$said" | tr -d , | sed 's/ or / /' | in_order)" \
        tokens-create --role ""
}

case_files() {
    mkdir -p "$T/files"
    touch "$T/files/one" "$T/files/other"
    offered "$T/files/one $T/files/other" status --socket "$T/files/o"
}

case_the_socket_that_is_named() {
    export KEYD_CONTROL_SOCKET=$T/nowhere.sock
    offered "" keys-list --tenant ac
    offered "acme acorn" --socket "$CONTROL" keys-list --tenant ac
    offered "acme acorn" keys-list --socket = "$CONTROL" --tenant ac
}

# quickly WORD...: nothing is offered, nothing is said, and nobody waits for it.
quickly() {
    local began
    began=$(now_ms)
    offered "" "$@"
    [ $(($(now_ms) - began)) -lt "$WAIT_MS" ] || fail "took $(($(now_ms) - began)) ms"
}

case_nobody_answers() {
    local gate
    gate=$(pid_of "control gate")
    kill -STOP "$gate"
    (quickly keys-show "") || touch "$T/slow"
    kill -CONT "$gate"
    [ ! -e "$T/slow" ] || exit 1
    KEYD_CONTROL_SOCKET=$T/nowhere.sock quickly keys-show ""
    KEYD_CONTROL_SOCKET=$T/keyd.conf quickly keys-show "" # no socket
    soon 10 ready
    offered "acme/api acme/www zeta/www" keys-show ""
}

case_without_keydctl() {
    KEYDCTL=$T/no-such-program quickly keys-show ""
    KEYDCTL=/bin/false quickly ""
}

run_cases "$@"
