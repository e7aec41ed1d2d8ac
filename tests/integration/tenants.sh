#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
#
# tenants: two tenants, three frontends, an auditor and an operator at work on one keyd, each known by
# its uid (as root), or by an API token; what changes under their open connections.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"
unset KEYD_TOKEN

ROOT_RUN=$([ "$(id -u)" = 0 ] && echo yes)
declare -A USER_OF=([fe-1]=www-data [fe-2]=games [fe-3]=news [acme-ops]=man [globex-ops]=lp
    [audit]=daemon [nobody-known]=bin)
STATE=$T/state SOCKET=$T/run/frontend/keyd.sock CONTROL=$T/run/control/control.sock

# rules [USER-OF-FE-1]: keyd.conf; who is nobody here has no rule.
rules() {
    {
        echo '[principals]'
        [ -z "$ROOT_RUN" ] || cat << END
${1:-fe-1} = frontend group=edge user=www-data
fe-2 = frontend group=edge user=games
fe-3 = frontend user=news
acme-ops = tenant tenant=acme user=man
globex-ops = tenant tenant=globex user=lp
audit = auditor user=daemon
END
        printf '[keyd]\nstate-dir = %s\nsigners = 1\n[sockets]\nrun-dir = %s\n' "$STATE" "$T/run"
        [ -z "$ROOT_RUN" ] || printf 'frontend-group = nogroup\ncontrol-group = nogroup\n'
    } > "$CONF"
}

# as WHO COMMAND...: by uid if we may, else by token.
as() {
    if [ -n "$ROOT_RUN" ]; then
        setpriv --reuid="${USER_OF[$1]}" --regid=nogroup --clear-groups "${@:2}"
    else
        KEYD_TOKEN=$(cat "$T/$1.token") "${@:2}"
    fi
}
# live WHO NAME COMMAND...: the same, in the background: $LIVE is its pid, $T/NAME.out what it says.
live() {
    (
        [ -z "$ROOT_RUN" ] || exec setpriv --reuid="${USER_OF[$1]}" --regid=nogroup --clear-groups "${@:3}"
        KEYD_TOKEN=$(cat "$T/$1.token") exec "${@:3}"
    ) > "$T/$2.out" 2> "$T/log/$2.log" &
    LIVE=$!
    started $LIVE
}
ctl_as() { as "$1" "$KEYDCTL" --socket "$CONTROL" "${@:2}"; }

# load_as WHO KEY [ARG...]: signs for a while.
load_as() { as "$1" "$LOAD" --socket "$SOCKET" --key "$T/$(tr / - <<< "$2").ref.pem" --seconds 1 "${@:3}"; }

# Others cannot read where we were built.
programs() {
    mkdir -p "$T/bin"
    cp "$KEYDCTL" "$LOAD" "$WIRE" "$BUILD"/clients/libkeyd/libkeyd.so.* "$T/bin/"
    chmod -R a+rX "$T/bin"
}
tokens() {
    local who
    [ -z "$ROOT_RUN" ] || return 0
    ctl tenants-add acme
    ctl tenants-add globex
    for who in fe-1 fe-2 fe-3; do ctl tokens-create --role frontend --name $who > "$T/$who.token"; done
    ctl tokens-create --role auditor --name audit > "$T/audit.token"
    ctl tokens-create --tenant acme --name acme-ops > "$T/acme-ops.token"
    ctl tokens-create --tenant globex --name globex-ops > "$T/globex-ops.token"
}
tenants() {
    [ -z "$ROOT_RUN" ] || ctl tenants-add acme
    [ -z "$ROOT_RUN" ] || ctl tenants-add globex
    ctl_as acme-ops keys-generate --tenant acme --name www --type ec-p256 \
        --purposes tls13-server,tls13-client,tls12-server,csr
    ctl_as acme-ops keys-generate --tenant acme --name api --type ec-p256
    ctl_as globex-ops keys-generate --tenant globex --name www --type ec-p256
    local key
    for key in acme/www acme/api globex/www; do
        ctl keys-ref $key > "$T/$(tr / - <<< $key).ref.pem"
    done
    ctl grants-add --principal fe-1 --key acme/www
    ctl grants-add --principal fe-2 --tenant globex
}
begin rules
begin init_token
begin start_keyd
begin tokens
begin programs
export LD_LIBRARY_PATH=$T/bin
KEYDCTL=$T/bin/keydctl LOAD=$T/bin/load WIRE=$T/bin/wire
begin tenants
WWW=$(key_id acme/www) GLOBEX=$(key_id globex/www)

signed() { ctl status --json | jq .queue.signed_total; }

bytes() { for ((i = 0; i < $1; i++)); do printf '%02x' $(((i * 7 + 1) % 256)); done; }
hex() { od -An -v -tx1 | tr -d ' \n'; }
unhex() { sed 's/../\\x&/g' | xargs -0 printf %b; }
# The shapes, a file each.
messages() {
    local role
    for role in server client; do
        {
            printf '%64s' ''
            printf 'TLS 1.3, %s CertificateVerify\0' $role
            bytes 32 | unhex
        } > "$T/tls13-$role"
    done
    { bytes 64; printf 03001d20; bytes 32; } | unhex > "$T/tls12-server"
    cp "$ROOT/tests/thief/corpus/jwt" "$T/jwt"
    chmod a+r "$T"/tls1* "$T/jwt"
}
begin messages

# cri PEM: the part of a certificate request that is signed, in DER.
cri() {
    openssl req -in "$1" -outform DER -out "$1.der"
    openssl asn1parse -inform DER -in "$1.der" -strparse \
        "$(openssl asn1parse -inform DER -in "$1.der" | sed -n '2s/^ *\([0-9]*\):.*/\1/p')" -noout -out "$2"
}

case_each_does_its_work() {
    has "$(load_as fe-1 acme/www)" "failed=0"
    has "$(load_as fe-2 globex/www)" "failed=0"
    refused 1 load_as fe-1 globex/www
    has "$said" "no key that you may use"
    refused 1 load_as fe-2 acme/www
    refused 1 load_as fe-3 acme/www
    equal "acme/api acme/www" "$(ctl_as acme-ops keys-list --json | jq -r '[.keys[].key] | join(" ")')"
    equal "globex/www" "$(ctl_as globex-ops keys-list --json | jq -r '[.keys[].key] | join(" ")')"
    has "$(ctl_as acme-ops csr --key acme/www --subject CN=www.acme.test --san www.acme.test)" "BEGIN CERT"
    refused 1 ctl_as globex-ops csr --key acme/www --subject CN=www.acme.test --san www.acme.test
    has "$(ctl_as audit keys-list)" acme/api globex/www
    has "$(ctl_as audit grants-list)" fe-1 fe-2 "tenant globex"
    refused 1 ctl_as audit keys-disable acme/www
    has "$said" "needs the role operator or tenant"
}

case_whoami() {
    local who
    for who in acme-ops globex-ops audit; do has "$(ctl_as $who whoami)" "$who"; done
    has "$(ctl_as acme-ops whoami)" tenant acme
    has "$(ctl whoami)" operator
    [ -z "$ROOT_RUN" ] || has "$(ctl_as acme-ops whoami)" "user=man"
    [ -z "$ROOT_RUN" ] || has "$(ctl principals-list)" fe-1 fe-2 edge "user=www-data" auditor
}

# signers KEY PURPOSE: who keys-show says can have it signed; empty: nobody.
signers() { ctl keys-show "$1" --json | jq -r --arg p "$2" '.signers[] | select(.purpose == $p).by | join(", ")'; }
case_keys_show_says_by_whom() {
    local id
    equal fe-1 "$(signers acme/www tls13-server)"
    equal "" "$(signers acme/www tls13-client)"
    equal fe-2 "$(signers globex/www tls12-server)" # by a grant on the tenant
    has "$(ctl keys-show acme/www)" "IT CAN BE MADE TO SIGN" \
        "TLS 1.3 handshakes, as the client nobody: no frontend was granted it"
    id=$(ctl grants-add --group edge --key acme/www --purposes tls13-client --json | jq .id)
    equal "group edge" "$(signers acme/www tls13-client)"
    equal fe-1 "$(signers acme/www tls13-server)"
    ctl grants-remove "$id"
    equal "operators, issuers, tenant acme" "$(signers acme/www csr)"
    equal "tls13-server tls12-server csr" "$(ctl keys-show acme/api --json | jq -r '[.signers[].purpose] | join(" ")')"
    # the roles are those of the policy
    equal "issuer operator tenant " "$(sed -n 's/^\([a-z]*\), on .*: signs .*csr.*/\1/p' \
        "$ROOT/tests/unit/policy/verbs.snapshot" | sort | tr '\n' ' ')"
    equal operator "$(sed -n 's/^\([a-z]*\), on .*: signs .*raw.*/\1/p' "$ROOT/tests/unit/policy/verbs.snapshot")"
    # who may not list grants is told so
    ctl tokens-create --role issuer --name ca > "$T/ca.token"
    has "$(KEYD_TOKEN=$(cat "$T/ca.token") "$KEYDCTL" --socket "$CONTROL" keys-show acme/www)" \
        "TLS 1.3 handshakes, as the server whom grants-list names"
}

case_group() {
    [ -n "$ROOT_RUN" ] || skip "needs root: groups are for frontends that keyd.conf names"
    refused 1 load_as fe-1 acme/api
    local id
    id=$(ctl grants-add --group edge --key acme/api --json | jq .id)
    has "$(load_as fe-1 acme/api)" "failed=0"
    has "$(load_as fe-2 acme/api)" "failed=0"
    refused 1 load_as fe-3 acme/api
    ctl grants-remove "$id"
    refused 1 load_as fe-2 acme/api
}

# One connection lives through it all; and another's goes on.
case_grants_under_an_open_connection() {
    local sign="$WWW:0403:$T/tls13-server" load id lines
    live fe-1 fe-1 "$LOAD" --socket "$SOCKET" --key "$T/acme-www.ref.pem"
    load=$LIVE
    soon 10 grep -q running "$T/fe-1.out"
    live fe-3 fe-3 "$WIRE" "$SOCKET" hello "sign-file=1:$sign" read=2 wait="$T/added" "sign-file=2:$sign" \
        read=1 wait="$T/removed" "sign-file=3:$sign" read=1 wait="$T/client" "sign-file=4:$sign" \
        "sign-file=5:$WWW:0403:$T/tls13-client" read=2
    soon 10 grep -q "id=1 " "$T/fe-3.out"
    id=$(ctl grants-add --principal fe-3 --key acme/www --json | jq .id)
    touch "$T/added"
    soon 10 grep -q "id=2 " "$T/fe-3.out"
    ctl grants-remove "$id"
    touch "$T/removed"
    soon 10 grep -q "id=3 " "$T/fe-3.out"
    id=$(ctl grants-add --principal fe-3 --key acme/www --purposes tls13-client --json | jq .id)
    touch "$T/client"
    soon 10 grep -q "id=5 " "$T/fe-3.out"
    lines=$(cat "$T/fe-3.out")
    has "$lines" "error id=1 code=NOT_FOUND" "signature id=2 " "error id=3 code=NOT_FOUND" \
        "error id=4 code=DENIED" "signature id=5 "
    ctl grants-remove "$id"
    kill -TERM "$load"
    soon 10 grep -q signed= "$T/fe-1.out"
    has "$(cat "$T/fe-1.out")" "failed=0"
}

case_grants_list() {
    has "$(ctl grants-list --key acme/www)" fe-1
    lacks "$(ctl grants-list --key acme/www)" fe-2
    has "$(ctl grants-list --key globex/www)" fe-2 "tenant globex" # all keys of the tenant
    has "$(ctl grants-list --principal fe-2)" globex
    lacks "$(ctl_as acme-ops grants-list)" globex
    equal "$(ctl grants-add --principal fe-1 --key acme/www --json | jq .id)" \
        "$(ctl grants-list --principal fe-1 --json | jq '.grants[0].id')" "the same grant twice"
    refused 1 ctl grants-add --principal fe-1 --key acme/nothing
    refused 1 ctl grants-add --principal fe-1 --key acme/www --purposes csr
    refused 1 ctl grants-add --key acme/www
    refused 1 ctl grants-remove 4711
    refused 2 ctl grants-remove one
}

# ---- API tokens

case_tokens() {
    local id token
    ctl tokens-create --tenant acme --name ci --expires 30d > "$T/ci.token" 2> "$T/ci.said"
    token=$(cat "$T/ci.token")
    id=$(sed -n 's/^token \([0-9a-f]*\) of ci.*/\1/p' "$T/ci.said")
    [ ${#id} = 8 ] || fail "no id: $(cat "$T/ci.said")"
    lacks "$(ctl tokens-list --json)" "$token"
    equal never "$(ctl tokens-list --json | jq -r --arg i "$id" '.tokens[] | select(.id == $i).last_used')"
    has "$(KEYD_TOKEN=$token "$KEYDCTL" --socket "$CONTROL" whoami)" ci acme "API token $id"
    soon 5 used "$id"
    lacks "$(KEYD_TOKEN=$token "$KEYDCTL" --socket "$CONTROL" keys-list)" globex
    # a live connection is cut, whatever the uid behind it may be
    KEYD_TOKEN=$token "$WIRE" "$CONTROL" hello ping=1 read=2 rest > "$T/live.out" &
    local live=$!
    started $live
    soon 10 grep -q "ping id=1" "$T/live.out"
    ctl tokens-revoke "$id"
    soon 1 ended $live
    has "$(cat "$T/live.out")" "error id=0 code=DENIED" "ci's no more" end
    refused 1 env KEYD_TOKEN="$token" "$KEYDCTL" --socket "$CONTROL" whoami
    has "$said" "not good here"
    lacks "$(ctl tokens-list)" "$id"
    refused 1 ctl tokens-revoke "$id"
    refused 2 ctl tokens-create --tenant acme --expires forever
    refused 1 ctl tokens-create --tenant nowhere
    lacks "$(cat "$T"/log/*.log)" "$token"
}
used() { [ "$(ctl tokens-list --json | jq -r --arg i "$1" '.tokens[] | select(.id == $i).last_used')" != never ]; }
ended() { ! kill -0 "$1" 2> /dev/null; }

# A frontend's token, under load.
case_token_of_a_frontend_under_load() {
    local id load
    ctl tokens-create --role frontend --name fe-t > "$T/fe-t.token" 2> "$T/fe-t.said"
    id=$(sed -n 's/^token \([0-9a-f]*\) of fe-t.*/\1/p' "$T/fe-t.said")
    local grant
    grant=$(ctl grants-add --principal fe-t --key acme/www --json | jq .id)
    KEYD_TOKEN=$(cat "$T/fe-t.token") "$LOAD" --socket "$SOCKET" --key "$T/acme-www.ref.pem" \
        > "$T/fe-t.out" 2> "$T/log/fe-t.log" &
    load=$!
    started $load
    soon 10 grep -q running "$T/fe-t.out"
    ctl tokens-revoke "$id"
    soon 1 grep -q DENIED "$T/log/fe-t.log"
    local now
    now=$(signed)
    sleep 0.3
    equal "$now" "$(signed)" "signed for a revoked token"
    kill -TERM $load
    soon 10 ended $load
    ctl grants-remove "$grant"
}

# ---- who is nobody

case_nobody_known() {
    [ -n "$ROOT_RUN" ] || skip "needs root: it becomes another user"
    local i said before
    before=$(nobodies)
    for i in 1 2 3 4 5 6; do
        said=$(as nobody-known "$WIRE" "$SOCKET" hello "sign-file=1:$WWW:0403:$T/tls13-server" rest)
        has "$said" "code=DENIED nobody is known on keyd.sock by uid 2" end
        lacks "$said" "hello version" signature
    done
    refused 1 ctl_as nobody-known whoami
    has "$said" "nobody is known on control.sock"
    equal $((before + 7)) "$(nobodies)"
    equal 1 "$(grep -c 'signing gate.*refused: nobody known' "$T/log/keyd.log")"
    # a frontend is nobody on control.sock, an auditor on keyd.sock
    refused 1 ctl_as fe-1 whoami
    has "$(as audit "$WIRE" "$SOCKET" hello rest)" "code=DENIED"
}
nobodies() { counted "nobody known"; }

# ---- SIGHUP

case_somebody_else_after_sighup() {
    [ -n "$ROOT_RUN" ] || skip "needs root: it becomes other users"
    live fe-1 one "$WIRE" "$SOCKET" hello ping=1 read=2 rest
    live fe-2 two "$WIRE" "$SOCKET" hello ping=1 read=2 wait="$T/reloaded" \
        "sign-file=2:$GLOBEX:0403:$T/tls13-server" read=1
    soon 10 grep -q "ping id=1" "$T/one.out"
    soon 10 grep -q "ping id=1" "$T/two.out"
    rules fe-9
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 1 grep -q "code=DENIED this connection is fe-1's no more" "$T/one.out"
    touch "$T/reloaded"
    soon 10 grep -q "signature id=2 " "$T/two.out"
    refused 1 load_as fe-1 acme/www # who is fe-9 now, and was granted nothing
    has "$(ctl config-test --as fe-9 || true)" "no key is granted"
    # a rule that is none changes nothing
    echo "x = emperor user=root" | cat - "$CONF" > "$T/bad.conf"
    sed -i '1s/^/[principals]\n/' "$T/bad.conf"
    cp "$T/bad.conf" "$CONF"
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 5 grep -q "emperor" "$T/log/keyd.log"
    has "$(ctl principals-list)" fe-9
    rules
    kill -HUP "$(cat "$T/keyd.pid")"
    soon 5 is_back
    has "$(load_as fe-1 acme/www)" "failed=0"
}
is_back() { ctl principals-list | grep -q '^fe-1 '; }

# ---- names, and raw keys

case_allowed_names() {
    ctl_as acme-ops keys-generate --tenant acme --name shop --type ec-p256 \
        --allow-name shop.acme.test --allow-name .shop.acme.test
    ctl keys-ref acme/shop > "$T/shop.ref.pem"
    has "$(ctl keys-show acme/shop)" "shop.acme.test, .shop.acme.test"
    has "$(ctl_as acme-ops csr --key acme/shop --subject CN=shop.acme.test --san a.shop.acme.test)" BEGIN
    refused 1 ctl_as acme-ops csr --key acme/shop --subject CN=shop.acme.test --san evil.test
    has "$said" evil.test
    refused 1 ctl csr --key acme/shop --subject CN=evil.test --san shop.acme.test
    # whoever builds the request: openssl too
    ossl "$CONTROL" req -new -key "$T/shop.ref.pem" -subj /CN=shop.acme.test \
        -addext subjectAltName=DNS:shop.acme.test -out "$T/shop.csr"
    openssl req -in "$T/shop.csr" -verify -noout
    refused any ossl "$CONTROL" req -new -key "$T/shop.ref.pem" -subj /CN=shop.acme.test \
        -addext subjectAltName=DNS:evil.test -out "$T/evil.csr"
    has "$said" evil.test
}

case_raw_keys() {
    local line
    refused 1 ctl_as acme-ops keys-generate --tenant acme --name raw --type ec-p256 --purposes raw
    has "$said" "only an operator"
    refused any ctl keys-generate --tenant acme --name raw --type ec-p256 --purposes raw,csr
    ctl keys-generate --tenant acme --name raw --type ec-p256 --purposes raw
    ctl keys-ref acme/raw > "$T/raw.ref.pem"
    # what it is stands in every listing
    for line in "$(ctl keys-list | grep acme/raw)" "$(ctl_as acme-ops keys-list | grep acme/raw)" \
        "$(ctl_as audit keys-list | grep acme/raw)"; do
        has "$line" " raw "
    done
    has "$(ctl keys-show acme/raw)" "raw: anything at all"
    equal operators "$(signers acme/raw raw)"
    ossl "$CONTROL" dgst -sha256 -sign "$T/raw.ref.pem" -out "$T/raw.sig" "$T/jwt"
    ctl keys-show acme/raw --json | jq -r .spki | base64 -d | openssl pkey -pubin -inform DER -out "$T/raw.pub"
    has "$(openssl dgst -sha256 -verify "$T/raw.pub" -signature "$T/raw.sig" "$T/jwt")" "Verified OK"
    refused 1 ctl grants-add --principal fe-1 --key acme/raw
    has "$said" "raw"
    refused any ctl csr --key acme/raw --subject CN=x.test --san x.test
}

# ---- explain, config-test

# explained WANTED-STATUS PIECE ARG...
explained() {
    local got=0
    said=$(ctl explain "${@:3}") || got=$?
    equal "$1" "$got" "explain ${*:3}: $said"
    has "$said" "$2"
}
# request_with KEY FILE: of the request in FILE the same with that key's public key, which nobody signed.
request_with() {
    local mine theirs
    mine=$(openssl req -in "$2" -noout -pubkey | openssl pkey -pubin -outform DER | hex)
    theirs=$(ctl keys-show "$1" --json | jq -r .spki | base64 -d | hex)
    cri "$2" "$2.cri"
    hex < "$2.cri" | sed "s/$mine/$theirs/" | unhex
}

case_explain() {
    [ -n "$ROOT_RUN" ] || skip "needs root: explain --as knows whom keyd.conf names"
    local before name
    ctl csr --key acme/www --subject CN=www.acme.test --san www.acme.test > "$T/www.csr"
    cri "$T/www.csr" "$T/www.cri"
    before=$(signed)
    explained 0 "keyd would sign this" "$T/tls13-server" --key acme/www --as fe-1
    explained 0 "of the shape tls12-server" "$T/tls12-server" --key acme/www --as fe-1 --scheme 0x0503
    explained 1 "was granted the key for tls13-server, tls12-server" "$T/tls13-client" --key acme/www --as fe-1
    has "$said" "keyd would not sign this" "of the shape tls13-client"
    explained 1 "was granted this key for nothing" "$T/tls13-server" --key globex/www --as fe-1
    explained 1 "does not fit a key of type ec-p256" "$T/tls13-server" --key acme/www --as fe-1 --scheme 0x0804
    explained 0 "a certificate request of this key" "$T/www.cri" --key acme/www
    explained 1 "certificate request" "$T/www.cri" --key acme/www --as fe-1
    explained 1 "certificate request" "$T/www.cri" --key acme/api # another key's
    explained 1 "is no TLS 1.3 CertificateVerify" "$T/jwt" --key acme/www --as fe-1
    explained 0 "may sign anything" "$T/jwt" --key acme/raw
    explained 1 "would not sign" "$T/jwt" --key acme/raw --as fe-1
    explained 1 "was made for" "$T/tls13-client" --key acme/api
    # the names of a request, which the custodian alone would sign
    ctl keys-generate --tenant acme --name held --type ec-p256 --allow-name held.acme.test
    for name in held evil; do
        openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout /dev/null \
            -subj "/CN=$name.acme.test" -out "$T/$name.csr" 2> /dev/null
        request_with acme/held "$T/$name.csr" > "$T/$name.request"
    done
    explained 0 "among those that the key may ask for" "$T/held.request" --key acme/held
    explained 1 "that this key may not ask for" "$T/evil.request" --key acme/held
    has "$said" "keyd would not sign this"
    equal "$before" "$(signed)" "something was signed"
    ctl_as acme-ops explain "$T/www.cri" --key acme/www --json | jq -e .signs > /dev/null
    refused 1 ctl explain "$T/jwt" --key acme/nothing
    refused 2 ctl explain "$T/nothing" --key acme/www
    refused 1 ctl_as globex-ops explain "$T/jwt" --key acme/www
    refused 1 ctl explain "$T/jwt" --key acme/www --as nobody-of-that-name
}

case_config_test() {
    [ -n "$ROOT_RUN" ] || skip "needs root: config-test --as knows whom keyd.conf names"
    local said
    said=$(ctl config-test --as fe-1)
    has "$said" acme/www "nothing is missing"
    refused 1 ctl config-test --as fe-3
    has "$said" "no key is granted" "keydctl grants-add --principal fe-3"
    ctl keys-disable acme/www
    refused 1 ctl config-test --as fe-1
    has "$said" "acme/www: it is disabled" "none of its keys can finish a handshake now"
    ctl keys-enable acme/www
    ctl config-test --as fe-1
    refused 1 ctl config-test --as audit
    refused 1 ctl config-test --as nobody-of-that-name
    refused 1 ctl config-test # an operator serves nothing
    ctl config-test --as fe-1 --json | jq -e '.missing == [] and .keys_total >= 1' > /dev/null
    ctl_as audit config-test --as fe-1
    refused 1 ctl_as acme-ops config-test --as fe-1
    has "$said" "needs the role"
}

# ---- a key that is in use stays

case_destroy_with_a_grant() {
    local id
    ctl keys-generate --tenant acme --name old --type ec-p256
    id=$(ctl grants-add --principal fe-3 --key acme/old --json | jq .id)
    refused 1 ctl keys-destroy acme/old --yes
    has "$said" "acme/old" "used by the grant" "$id"
    refused 1 ctl_as acme-ops keys-destroy acme/old --yes
    ctl keys-show acme/old | grep -q enabled
    ctl grants-remove "$id"
    ctl_as acme-ops keys-destroy acme/old --yes
    refused 1 ctl keys-show acme/old
    # a grant on the tenant holds none of its keys
    ctl_as globex-ops keys-generate --tenant globex --name old --type ec-p256
    ctl_as globex-ops keys-destroy globex/old --yes
}

run_cases "$@"
