# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
#
# Completion of keydctl for bash. Commands and options are asked of keydctl's own help, so that they
# are those of the keydctl that is completed; tenants, keys, principals, grants and tokens of keyd, if
# its socket is there and it answers within half a second. Whatever fails, fails in silence.

__keydctl_types="rsa-2048 rsa-3072 rsa-4096 ec-p256 ec-p384 ed25519"
__keydctl_roles="operator tenant frontend agent issuer auditor"
__keydctl_purposes="tls13-server tls13-client tls12-server csr acme-jws checkpoint raw"

# The lines of one part of a help: __keydctl_part "commands:" [COMMAND].
__keydctl_part() {
    "$program" "${@:2}" --help 2> /dev/null < /dev/null | {
        local line on=
        while IFS= read -r line; do
            if [[ $line == "$1" ]]; then on=1; elif [[ -z $line ]]; then on=; elif [[ $on ]]; then
                printf '%s\n' "$line"
            fi
        done
    }
}

# "--name" or "--name VALUE", a line each: the options of the command and those of every command.
__keydctl_options() {
    local line
    {
        [[ -z $command ]] || __keydctl_part "options:" "$command"
        __keydctl_part "options of every command:"
    } | while IFS= read -r line; do
        [[ $line =~ ^\ \ (--[a-z-]+(\ [A-Z][A-Z-]*)?)(\ |$) ]] && printf '%s\n' "${BASH_REMATCH[1]}"
    done
}

# What the option takes: VALUE, nothing if it takes none or is not known.
__keydctl_value_of() {
    local name value
    while read -r name value; do
        [[ $name != "$1" ]] || printf '%s' "$value"
    done <<< "$options"
}

# Names that keyd tells: __keydctl_ask MEMBER COMMAND [ARGUMENT...]. keyd's names are of a-z 0-9 . _ -
__keydctl_ask() {
    local member=$1
    [[ -S $socket ]] || return 0
    timeout 0.5 "$program" "${@:2}" --json --timeout 1 --socket "$socket" 2> /dev/null < /dev/null |
        sed -n 's|^ *"'"$member"'": "\{0,1\}\([a-z0-9._/-]*\)"\{0,1\},\{0,1\}$|\1|p' |
        sort -u
}

# The words that may stand for VALUE and begin with $word.
__keydctl_values() {
    local before=
    case $1 in
        TENANT) mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_ask tenant tenants-list)" -- "$word") ;;
        KEY)
            local of=()
            [[ $word != */* ]] || of=(--tenant "${word%%/*}")
            mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_ask key keys-list "${of[@]}")" -- "$word")
            ;;
        PRINCIPAL) mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_ask name principals-list)" -- "$word") ;;
        GROUP) mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_ask group principals-list)" -- "$word") ;;
        ID) # of what the command removes or revokes
            mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_ask id "${command%-*}-list")" -- "$word")
            ;;
        ROLE) mapfile -t COMPREPLY < <(compgen -W "$__keydctl_roles" -- "$word") ;;
        TYPE) mapfile -t COMPREPLY < <(compgen -W "$__keydctl_types" -- "$word") ;;
        LIST) # with commas between
            [[ $word != *,* ]] || before=${word%,*},
            mapfile -t COMPREPLY < <(compgen -P "$before" -W "$__keydctl_purposes" -- "${word##*,}")
            compopt -o nospace 2> /dev/null
            ;;
        PATH | FILE | DIR)
            mapfile -t COMPREPLY < <(compgen -f -- "$word")
            compopt -o filenames 2> /dev/null
            ;;
    esac
}

# Reads the line up to the cursor: the command, how many plain words stand behind it, the socket, and
# which option waits for its value.
__keydctl_read_line() {
    local i w waiting_name=
    for ((i = 1; i < COMP_CWORD; i++)); do
        w=${COMP_WORDS[i]}
        if [[ $w == "=" && $waiting ]]; then # bash takes --name=value apart
            continue
        elif [[ $waiting ]]; then
            [[ $waiting_name != --socket ]] || socket=$w
            waiting='' waiting_name=''
        elif [[ $w == --* ]]; then
            waiting=$(__keydctl_value_of "$w") waiting_name=$w
        elif [[ $w == -* ]]; then
            continue
        elif [[ -z $command ]]; then
            command=$w
            options=$(__keydctl_options)
        else
            operands=$((operands + 1))
        fi
    done
}

# What the next plain word is, by the command's usage: "keydctl csr KEY --subject SUBJECT".
__keydctl_operand() {
    local words=() n=$operands i w
    read -ra words <<< "$usage"
    for ((i = 3; i < ${#words[@]}; i++)); do
        w=${words[i]#[}
        if [[ $w == --* ]]; then
            [[ $w == *"]" || -z $(__keydctl_value_of "$w") ]] || i=$((i + 1)) # [--yes]
        elif ((n-- == 0)); then
            w=${w%...}
            printf '%s' "${w%]}"
            return
        fi
    done
}

# Options that were not given yet, or may be given again.
__keydctl_remaining() {
    local name value
    while read -r name value; do
        if [[ " ${COMP_WORDS[*]:1:COMP_CWORD-1} " == *" $name "* ]]; then
            [[ $usage =~ $name\ [A-Z-]+\]\.\.\. ]] || continue
        fi
        printf '%s\n' "$name"
    done <<< "$options"
}

_keydctl() {
    local program=${1:-keydctl} word=${COMP_WORDS[COMP_CWORD]} command='' operands=0 waiting='' usage=''
    local socket=${KEYD_CONTROL_SOCKET:-/run/keyd/control/control.sock} options
    COMPREPLY=()
    program=${program/#\~\//$HOME/}
    type -P "$program" > /dev/null || return 0
    options=$(__keydctl_options)
    __keydctl_read_line
    [[ $word != "=" ]] || word=
    [[ -z $command ]] || usage=$("$program" "$command" --help 2> /dev/null < /dev/null | head -n 1)
    if [[ $waiting ]]; then
        __keydctl_values "$waiting"
    elif [[ $word == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_remaining)" -- "$word")
    elif [[ -z $command ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$(__keydctl_part commands: | sed 's/^ *//; s/ .*//')" -- "$word")
    else
        __keydctl_values "$(__keydctl_operand)"
    fi
}
complete -F _keydctl keydctl
