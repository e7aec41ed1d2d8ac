#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# thief: what whoever has stolen a frontend's, a tenant's or an auditor's credentials gets out of a
# real keyd: the two shapes of the keys that were granted, and nothing else. Each refusal has its
# reason and is counted. The table thief x answer is left beside the logs, in thief.table.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
unset KEYD_TOKEN

THIEF=$ROOT/tests/thief/corpus
SNAPSHOT=$ROOT/tests/unit/policy/verbs.snapshot
TABLE=$KEYD_TEST_LOGS/thief.table

# acme/www was made for more than its frontend was granted. Nobody granted globex's.
prepare() {
    ctl tenants-add acme
    ctl tenants-add globex
    ctl keys-generate --tenant acme --name www --type ec-p256 \
        --purposes tls13-server,tls13-client,tls12-server,csr
    ctl keys-generate --tenant acme --name rsa --type rsa-2048
    ctl keys-generate --tenant acme --name p384 --type ec-p384
    ctl keys-generate --tenant acme --name ed --type ed25519
    ctl keys-generate --tenant acme --name other --type ec-p256
    ctl keys-generate --tenant acme --name raw --type ec-p256 --purposes raw
    ctl keys-generate --tenant globex --name www --type ec-p256
    local key
    for key in www rsa p384 ed; do ctl grants-add --principal fe --key acme/$key; done
    local role
    for role in auditor agent issuer; do
        ctl tokens-create --role $role --name "stolen-$role" > "$T/$role.token"
    done
    ctl tokens-create --tenant acme --name stolen-tenant > "$T/tenant.token"
    ctl tokens-create --role frontend --name elsewhere > "$T/frontend.token"
    chmod 0600 "$T"/*.token
    mkdir -p "$KEYD_TEST_LOGS"
    printf '%-16s %-44s %s\n' THIEF ASKS ANSWER > "$TABLE"
} > /dev/null
with_keyd
begin prepare
WWW=$(key_id acme/www) RSA=$(key_id acme/rsa) P384=$(key_id acme/p384) ED=$(key_id acme/ed)
OTHER=$(key_id acme/other) RAW=$(key_id acme/raw) GLOBEX=$(key_id globex/www)

# row THIEF ASKS ANSWER: of the table.
row() {
    local answer=${3%%$'\n'*}
    answer=${answer#keydctl: } answer=${answer#code=}
    printf '%-16s %-44s %s\n' "$1" "$2" "${answer%; }" >> "$TABLE"
}

# token ROLE COMMAND...: with the stolen token of that role.
token() { KEYD_TOKEN=$(cat "$T/$1.token") "${@:2}"; }

bytes() { for ((i = 0; i < $1; i++)); do printf '%02x' $(((i * 7 + 1) % 256)); done; }
unhex() { sed 's/../\\x&/g' | xargs -0 printf %b; }

# The two shapes, and the third that the key may sign and the frontend may not have signed.
message() {
    local i
    case $1 in
        tls12-server) { bytes 64; printf 03001d20; bytes 32; } | unhex ;;
        *)
            printf '%64s' ''
            printf 'TLS 1.3, %s CertificateVerify\0' "${1#tls13-}"
            bytes 32 | unhex
            ;;
    esac
}
for shape in tls13-server tls13-client tls12-server; do message $shape > "$T/$shape.msg"; done

total() { ctl status --json | jq .queue.refused_total; }
signed() { ctl status --json | jq .queue.signed_total; }
by_reason() { counted "sign: $1"; }

# All that anyone could have changed.
everything() {
    local list
    for list in tenants keys grants tokens principals; do
        ctl $list-list --json | jq 'del(.. | .last_used?, .connections?)'
    done
}

# ask SOCKET STEP...: the answers without the greeting.
ask() { timeout 120 "$WIRE" "$1" hello read=1 "${@:2}" | tail -n +2; }

# one ID LINES: the answer to that request.
one() { grep -E "^[a-z]+ id=$1 " <<< "$2" || true; }

# ---- a stolen frontend

case_frontend_has_its_two_shapes() {
    local shape before
    before=$(total)
    for shape in tls13-server tls12-server; do
        has "$(ask "$SOCKET" "sign-file=1:$WWW:0403:$T/$shape.msg" read=1)" "signature id=1 30"
        row frontend "$shape, a key that it was granted" "a signature"
    done
    equal "$before" "$(total)"
}

# every MESSAGE of the corpus with key $1 by scheme $2; each is refused for its own reason.
corpus_with() {
    local steps=() names=() reasons=() name why said i
    while IFS=$'\t' read -r name why; do
        [ "$name" != 64k ] || continue # no frame holds it: below
        names+=("$name") reasons+=("$why")
        steps+=("sign-file=${#names[@]}:$1:$2:$THIEF/$name")
    done < "$THIEF/table"
    [ ${#names[@]} -ge 50 ] || fail "the corpus has ${#names[@]} messages"
    local before signatures shapes
    before=$(total) signatures=$(signed) shapes=$(by_reason BAD_SHAPE)
    said=$(ask "$SOCKET" "${steps[@]}" read=${#names[@]})
    for i in "${!names[@]}"; do
        has "$(one $((i + 1)) "$said")" "code=BAD_SHAPE" "${reasons[i]}"
        [ "$1" != "$WWW" ] || row frontend "${names[i]}" "$(one $((i + 1)) "$said" | cut -d' ' -f3-)"
    done
    equal $((before + ${#names[@]})) "$(total)" "refused"
    equal $((shapes + ${#names[@]})) "$(by_reason BAD_SHAPE)" "refused for their shape"
    equal "$signatures" "$(signed)" "signed"
}
case_frontend_and_every_message() {
    corpus_with "$WWW" 0403
    corpus_with "$RSA" 0804
    corpus_with "$RSA" 0401 # PKCS#1 v1.5, as TLS 1.2 has it
    corpus_with "$P384" 0503
    corpus_with "$ED" 0807
}

case_frontend_and_a_message_too_long() {
    local said before
    before=$(counted "a frame larger than may be")
    said=$(ask "$SOCKET" "sign-file=1:$WWW:0403:$THIEF/64k" rest)
    has "$said" "error id=0 code=TOO_LARGE"
    equal $((before + 1)) "$(counted "a frame larger than may be")" "refused"
    row frontend "64k" "$(sed -n '/TOO_LARGE/s/error id=0 //p' <<< "$said"), and the end"
    head -c 65000 "$THIEF/64k" > "$T/65000.msg"
    has "$(ask "$SOCKET" "sign-file=1:$WWW:0403:$T/65000.msg" read=1)" "code=BAD_SHAPE" "65000 bytes"
}

# The key may sign it; this frontend was not granted it.
case_frontend_and_what_was_not_granted() {
    local before said
    before=$(by_reason DENIED)
    said=$(ask "$SOCKET" "sign-file=1:$WWW:0403:$T/tls13-client.msg" read=1)
    has "$said" "code=DENIED" "tls13-client" "was granted tls13-server, tls12-server"
    equal $((before + 1)) "$(by_reason DENIED)"
    row frontend "tls13-client, granted for servers alone" "$(cut -d' ' -f3- <<< "$said")"
}

# Keys of others are answered as keys that do not exist, byte for byte but for the id.
case_frontend_and_keys_of_others() {
    local none id before said want
    none=$(bytes 32)
    before=$(by_reason NOT_FOUND)
    want=$(ask "$SOCKET" "sign-file=1:$none:0403:$T/tls13-server.msg" read=1)
    has "$want" "code=NOT_FOUND"
    for id in "$GLOBEX" "$OTHER" "$RAW"; do
        said=$(ask "$SOCKET" "sign-file=1:$id:0403:$T/tls13-server.msg" read=1)
        equal "$want" "${said//${id:0:16}/${none:0:16}}"
        row frontend "tls13-server, key of $(of "$id")" "$(cut -d' ' -f3- <<< "$said")"
        # what it is like, too: a public key is asked for by the same field, 16
        said=$(ask "$SOCKET" "call=1:16:0a20$id" read=1)
        equal "$(ask "$SOCKET" "call=1:16:0a20$none" read=1)" "${said//${id:0:16}/${none:0:16}}"
    done
    equal $((before + 4)) "$(by_reason NOT_FOUND)" "refused"
}
of() {
    case $1 in
        "$GLOBEX") echo "another tenant" ;;
        "$OTHER") echo "its tenant, not granted" ;;
        *) echo "its tenant, raw" ;;
    esac
}

# A grant on a whole tenant does not make a raw key sign handshakes, or anything else, for frontends.
case_frontend_and_a_raw_key() {
    local id what said
    refused 1 ctl grants-add --principal fe --key acme/raw
    id=$(ctl grants-add --principal fe --tenant acme --json | jq .id)
    for what in "$T/tls13-server.msg" "$THIEF/digest-32" "$THIEF/jwt"; do
        said=$(ask "$SOCKET" "sign-file=1:$RAW:0403:$what" read=1)
        has "$said" "error id=1 code=BAD_SHAPE"
    done
    row frontend "jwt, raw key of a tenant that was granted" "$(cut -d' ' -f3- <<< "$said")"
    ctl grants-remove "$id"
}

# schemes KEY MESSAGE WANTED: what is signed of 65,536 tries; the others are counted.
schemes() {
    local before said count=0
    [ -z "$3" ] || count=$(tr ',' '\n' <<< "$3" | wc -l)
    before=$(total)
    said=$(ask "$SOCKET" "schemes=$(key_id "$1"):$2")
    has "$said" "schemes refused=$((65536 - count)) others=0 signed="
    equal "$3" "$(tr ',' '\n' <<< "${said##*signed=}" | sort | paste -sd,)" "$1 $2"
    equal $((before + 65536 - count)) "$(total)" "refused"
    row frontend "$1: $(basename "$2" .msg) by schemes 0-65535" "$((65536 - count)) refused; signed: ${3:-none}"
}
case_frontend_and_every_scheme() {
    schemes acme/www "$T/tls13-server.msg" 0403
    schemes acme/www "$T/tls12-server.msg" 0403,0503,0603
    schemes acme/rsa "$T/tls13-server.msg" 0804,0805,0806
    schemes acme/rsa "$T/tls12-server.msg" 0401,0501,0601,0804,0805,0806
    schemes acme/p384 "$T/tls13-server.msg" 0503
    schemes acme/ed "$T/tls13-server.msg" 0807
    schemes acme/www "$THIEF/jwt" ""
    schemes acme/rsa "$THIEF/digest-32" ""
}

# ---- verbs

field_of() { sed -n "s/^    [A-Za-z]* ${1//-/_} = \([0-9]*\);/\1/p" "$ROOT/proto/keyd.proto"; }

# refused_verbs COLUMN: "VERB ROLE or ROLE" of all that this column of the policy may not call.
refused_verbs() {
    awk -v column="$1" '
        NR == 1 { for (i = 2; i <= 7; i++) name[i] = $i; next }
        NF == 9 && $column == "-" {
            roles = ""
            for (i = 2; i <= 7; i++)
                if ($i != "-") roles = roles (roles == "" ? "" : " or ") name[i]
            print $1, roles
        }' "$SNAPSHOT"
}

# no_verb ROLE COLUMN SOCKET COMMAND...: every verb that the role has not is refused and says which
# role would be needed.
no_verb() {
    local verb roles field count=0 said
    while read -r verb roles; do
        field=$(field_of "$verb")
        [ -n "$field" ] || fail "keyd.proto has no $verb"
        said=$("${@:4}" "$WIRE" "$3" hello "call=1:$field" read=2 | tail -n 1)
        equal "error id=1 code=DENIED $verb needs the role $roles; this connection has the role $1; " \
            "$said"
        row "$1" "$verb" "DENIED: needs the role $roles"
        count=$((count + 1))
    done < <(refused_verbs "$2")
    [ $count -ge "$(($2 == 4 ? 25 : 8))" ] || fail "only $count verbs are refused to $1"
}
case_verbs_that_they_have_not() {
    local before
    before=$(everything)
    no_verb frontend 4 "$SOCKET" env
    no_verb tenant 3 "$CONTROL" token tenant
    no_verb agent 5 "$CONTROL" token agent
    no_verb issuer 6 "$CONTROL" token issuer
    no_verb auditor 7 "$CONTROL" token auditor
    equal "$before" "$(everything)" "something was changed"
}

# ---- a stolen API token of a tenant

case_tenant_has_its_own() {
    local said
    has "$(token tenant "$KEYDCTL" --socket "$CONTROL" whoami)" stolen-tenant acme "API token"
    said=$(token tenant "$KEYDCTL" --socket "$CONTROL" keys-list)
    has "$said" acme/www acme/raw
    lacks "$said" globex
    row tenant "keys-list" "its own keys alone"
    said=$(token tenant "$KEYDCTL" --socket "$CONTROL" csr --key acme/www --subject CN=www.acme.test \
        --san www.acme.test)
    has "$said" "BEGIN CERTIFICATE REQUEST"
    row tenant "csr, its own key" "a request; the CA decides (--allow-name holds a key to names)"
}

# What it says of globex is what it says of a tenant and a key that do not exist.
case_tenant_and_another_tenant() {
    local command there none
    while read -r command; do
        # shellcheck disable=SC2086
        refused 1 token tenant "$KEYDCTL" --socket "$CONTROL" ${command//KEY/globex/www}
        there=$said
        # shellcheck disable=SC2086
        refused 1 token tenant "$KEYDCTL" --socket "$CONTROL" ${command//KEY/nowhere/www}
        none=$said
        equal "${none//nowhere/globex}" "$there" "$command"
        row tenant "${command//KEY/globex/www}" "$there"
    done << 'END'
keys-show KEY
keys-ref KEY
csr --key KEY --subject CN=x.test --san x.test
keys-disable KEY
keys-enable KEY
keys-destroy KEY --yes
grants-list --key KEY
END
    refused 1 token tenant "$KEYDCTL" --socket "$CONTROL" keys-generate --tenant globex --name x --type ec-p256
    lacks "$(token tenant "$KEYDCTL" --socket "$CONTROL" tenants-list)" globex
    lacks "$(token tenant "$KEYDCTL" --socket "$CONTROL" tokens-list)" stolen-auditor
    lacks "$(token tenant "$KEYDCTL" --socket "$CONTROL" grants-list)" globex
    has "$(ctl keys-show globex/www)" enabled
}

# A certificate request of its own is all that it may have signed, and only on control.sock.
case_tenant_signs_nothing_else() {
    local what said
    for what in "$T/tls13-server.msg" "$T/tls12-server.msg" "$THIEF/jwt" "$THIEF/digest-32" \
        "$THIEF/csr" "$THIEF/cms-attributes"; do
        said=$(token tenant "$WIRE" "$CONTROL" hello "sign-file=1:$WWW:0403:$what" read=2 | tail -n 1)
        has "$said" "error id=1 code="
        row tenant "sign $(basename "$what" .msg)" "$(cut -d' ' -f3- <<< "$said")"
        # a raw key of its own is for operators
        said=$(token tenant "$WIRE" "$CONTROL" hello "sign-file=1:$RAW:0403:$what" read=2 | tail -n 1)
        has "$said" "error id=1 code="
    done
    row tenant "sign csr, a raw key of its own" "$(cut -d' ' -f3- <<< "$said")"
    refused 1 token tenant "$KEYDCTL" --socket "$CONTROL" keys-generate --tenant acme --name r2 \
        --type ec-p256 --purposes raw
    has "$said" "only an operator makes keys for raw"
    row tenant "keys-generate --purposes raw" "$said"
    said=$(token tenant "$WIRE" "$SOCKET" hello rest)
    has "$said" "code=DENIED" "not good here"
    lacks "$said" "hello version"
    row tenant "keyd.sock" "$(sed -n 's/^error id=[0-9]* //p' <<< "$said")"
}

# ---- a stolen auditor

case_auditor_sees_and_changes_nothing() {
    local list
    for list in tenants-list keys-list grants-list tokens-list principals-list token-objects status \
        "keys-show globex/www" "config-test --as fe" "explain $THIEF/jwt --key acme/www --as operator"; do
        # shellcheck disable=SC2086
        said=$(token auditor "$KEYDCTL" --socket "$CONTROL" $list --json) || true
        jq -e . <<< "$said" > /dev/null || fail "$list: $said"
    done
    row auditor "every list, status, explain" "what it is there for; no secret is in it"
    lacks "$(token auditor "$KEYDCTL" --socket "$CONTROL" tokens-list --json)" "$(cat "$T/tenant.token")" "keyd_"
    has "$(token auditor "$KEYDCTL" --socket "$CONTROL" keys-list)" acme/www globex/www
}
case_auditor_signs_nothing() {
    local what said
    for what in "$T/tls13-server.msg" "$THIEF/csr" "$THIEF/jwt"; do
        said=$(token auditor "$WIRE" "$CONTROL" hello "sign-file=1:$WWW:0403:$what" read=2 | tail -n 1)
        has "$said" "code=DENIED" "sign needs the role"
    done
    has "$(token auditor "$WIRE" "$SOCKET" hello rest)" "code=DENIED" "not good here"
}

# ---- tokens

# A frontend's token is nobody on control.sock; half a token, a made-up one and an empty hello with
# one too long are nobody anywhere.
case_tokens_that_are_none() {
    local good bad
    good=$(cat "$T/auditor.token")
    has "$(token frontend "$WIRE" "$CONTROL" hello rest)" "code=DENIED"
    for bad in "${good%?}" "${good}0" "keyd_$(bytes 32)" x "$(printf '%0300d' 0)"; do
        said=$(KEYD_TOKEN=$bad "$WIRE" "$CONTROL" hello ping=1 rest)
        has "$said" "code=DENIED" "not good here"
        lacks "$said" "ping id" "hello version"
        [ ${#bad} -lt 10 ] || lacks "$(cat "$T/log/keyd.log")" "$bad"
    done
    lacks "$(cat "$T"/log/*.log)" "$good" "$(cat "$T/tenant.token")"
}

case_keyd_serves_on() {
    has "$(ask "$SOCKET" "sign-file=1:$WWW:0403:$T/tls13-server.msg" read=1)" "signature id=1 30"
    equal 0 "$(ctl status --json | jq '[.processes[].restarts] | add')" "restarts"
}

run_cases "$@"
