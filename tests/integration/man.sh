#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# presets: release
#
# man: the manual pages and the helps tell what the programs do, and nothing else.
# shellcheck source=lib.sh
. "$(dirname "$0")/lib.sh"

PAGES="keyd/keyd.8 keyd/keyd.conf.5 clients/keydctl/keydctl.1 clients/provider/keyd-provider.7"

# page FILE: as a reader sees it, without bold and in one line.
page() { mandoc -T ascii -O width=900 "$BUILD/$1" | sed 's/.\x08//g' | tr -s ' \n' ' '; }

# Names of commands, and of the options of one: "--name" or "--name VALUE".
commands() { "$KEYDCTL" --help | awk '/^commands:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }'; }
options_of() { "$KEYDCTL" "$@" --help | grep -oE '^  --[a-z-]+' | tr -d ' '; }
settings() { "$KEYD" --print-config | sed -n 's/^#\([a-z-]*\) = .*/\1/p'; }

case_no_complaint() {
    local p said text
    for p in $PAGES; do
        # scdoc begins a paragraph after every heading and at the end of every list: harmless
        said=$(mandoc -T lint -W warning "$BUILD/$p" | grep -v 'skipping paragraph macro' || true)
        equal "" "$said" "$p"
        # nothing is left of what scripts/man fills in, nor of scdoc's own marks
        text=$(page "$p")
        lacks "$text" "@SETTINGS@" "@COMMANDS@" "@OPTIONS@" "@VERSION@" "@DATADIR@" "@DOCDIR@" "@MODULE@" \
            '**' '```'
        [[ ! $text =~ \ _[A-Za-z/]|[A-Za-z]_\  ]] || fail "$p: a mark of scdoc's: ${BASH_REMATCH[0]}"
    done
}

case_every_setting() {
    local text key n=0
    text=$(page keyd/keyd.conf.5)
    for key in $(settings); do
        has "$text" " $key = "
        n=$((n + 1))
    done
    [ "$n" -ge 16 ] || fail "only $n settings"
    # and none that is not: what is told as "name =" in the list is a setting
    equal "$(settings | sort)" "$(sed 's/.* SETTINGS //; s/ FILES .*//' <<< "$text" |
        grep -oE '(^| )[a-z][a-z-]+ = ' | tr -d ' =' | sort)"
    has "$text" "From 50 to 60000." "SIGHUP takes a change over."
}

# What the page says of a line of the file.
case_settings_file() {
    local text
    text=$(page keyd/keyd.conf.5)
    has "$text" "A line has at most 198 bytes" "comment begins with a blank and a semicolon" "at most 107 bytes"
    printf '[keyd]\nstate-dir = %s ; here\n#%0197d\n' "$T/x" 1 > "$T/line.conf"
    has "$("$KEYD" --check-config --config "$T/line.conf")" "state in $T/x,"
    printf '[keyd]\nstate-dir = %s\n#%0198d\n' "$T/x" 1 > "$T/line.conf"
    refused 1 "$KEYD" --check-config --config "$T/line.conf"
    has "$said" "198 bytes"
}

case_every_command() {
    local text name option n=0
    text=$(page clients/keydctl/keydctl.1)
    for name in $(commands); do
        has "$text" " keydctl $name "
        for option in $(options_of "$name"); do has "$text" " $option "; done
        n=$((n + 1))
    done
    [ "$n" -ge 9 ] || fail "only $n commands"
    for option in $(options_of); do has "$text" " $option "; done
    has "$text" "keydctl csr KEY --subject SUBJECT [--san NAME]..."
    has "$text" '--san www.example.com > www.csr' # the example goes on after a backslash
    has "$text" 'example.com" \ --san'
}

case_every_option_of_keyd() {
    local text option
    text=$(page keyd/keyd.8)
    for option in $("$KEYD" --help | grep -oE -- '--[a-z-]+' | sort -u); do has "$text" " $option "; done
    # and none that is not; --socket is keydctl's
    while read -r option; do
        [[ $option =~ ^(--socket|--now|--system|--help|--version)$ ]] || has "$("$KEYD" --help)" "$option"
    done < <(grep -oE -- ' --[a-z-]+' <<< "$text" | sort -u)
}

case_every_setting_of_the_provider() {
    local text name
    text=$(page clients/provider/keyd-provider.7)
    while IFS='"' read -r _ name _; do
        has "$text" " $name = "
    done < <(grep -oE 'OSSL_PARAM_construct_utf8_ptr\("[a-z_]+"' "$ROOT/clients/provider/provider.c")
    has "$text" "1 to 60000" "/run/keyd/frontend/keyd.sock" "default is 2000"
    # every module, key type and file that it names is there
    has "$text" "module = $(sed -n 's/^CMAKE_INSTALL_PREFIX:PATH=//p' "$BUILD/CMakeCache.txt")/"
    has "$text" RSA Ed25519 ECDSA
    # the command line that is tested, and an example for each server
    has "$text" "$(block clients/README.md s_server | tr -s ' \n' ' ' | sed 's/ *$//')"
    for name in "$ROOT"/clients/provider/examples/*; do has "$text" "(${name##*/})"; done
}

# A help that shows no command to type is half a help. What it shows can be typed.
case_every_help_has_an_example() {
    local name help example status
    for name in $(commands); do
        help=$("$KEYDCTL" "$name" --help)
        example=$(sed -n '/^example:$/,$p' <<< "$help" | sed '1d; s/^  //')
        [[ $example == "keydctl $name"* ]] || fail "$name: no example"
        # it is understood: without a keyd it fails for that, or for its input files, never for its words
        mkdir -p "$T/type" "$T/bin"
        ln -sf "$KEYDCTL" "$T/bin/keydctl"
        status=0
        # an example may write to any place: in here all of them are below one folder
        (cd "$T/type" && PATH=$T/bin:$PATH KEYD_CONTROL_SOCKET=$T/none.sock \
            bash -c "${example// > \// > ./}" > out 2> err < /dev/null) || status=$?
        lacks "$(cat "$T/type/err")" "usage:" "there is no command" "there is no option" "syntax error" \
            "needs a value" "No such file or directory: > "
        [ "$status" != 0 ] || fail "$name worked without a keyd"
    done
    has "$("$KEYD" --help)" "Example: keyd "
    has "$("$KEYDCTL" --help)" "keydctl COMMAND --help"
}

case_installed() {
    local p dest=$T/dest
    DESTDIR=$dest cmake --install "$BUILD" --prefix /usr > "$T/log/install.log"
    for p in $PAGES; do
        [ -s "$dest/usr/share/man/man${p##*.}/${p##*/}" ] || fail "no ${p##*/}"
    done
    cmp "$ROOT/clients/keydctl/keydctl.bash" "$dest/usr/share/bash-completion/completions/keydctl"
}

run_cases "$@"
