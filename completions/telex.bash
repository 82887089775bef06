# Completes telex in bash, 3.2 or newer, with or without bash-completion.
# Made from telex's commands by `telex completion bash`; changes here are lost.
#
# Nothing is started at a Tab, not even a subshell. Names come from plain lists in telex's cache folder, and a name
# is text whatever is in it: it is matched as it is, and quoted when it is inserted.

# Sets `commands`, `options` and `arguments` of a command. An option is its spellings and what its value may be; with
# a star, an option may be given again, and an argument takes all words that follow.
_telex_table() {
    commands=() options=() arguments=()
    case $1 in
    'telex')
        commands=(chat batch models providers mcp history test usage templates config trust shell completion doctor help)
        options=('-V,--version' '--profile name profiles' '-h,--help')
        ;;
    'telex chat')
        options=('*-m,--model name models' '-s,--system any' '--template name templates' '*--var any' '*-f,--file files' '*-i,--image files' '--paste' '--attach-limit any' '-c,--continue' '--conversation any' '--no-save' '--stream,--no-stream' '--max-tokens any' '--whole' '-t,--temperature any' '*-p,--param any' '--reasoning-effort any' '--reasoning one show hide summary' '--markdown,--plain' '--json' '--jsonl' '--web' '-x,--extract' '--schema any' '--schema-retries any' '*--tools name servers' '*--allow any' '--tool-choice any' '--max-turns any' '--max-cost any' '-o,--output any' '--copy' '--save-images any' '--dry-run' '*-v,--verbose' '-u,--usage' '-q,--quiet' '--no-stdin' '--connect-timeout any' '--timeout any' '--retries any' '--profile name profiles' '-h,--help')
        arguments=('*any')
        ;;
    'telex batch')
        commands=(status cancel)
        options=('*-m,--model name models' '-s,--system any' '--template name templates' '*--var any' '--input-format one jsonl csv tsv lines' '--id-column any' '--each-file' '-o,--output files' '--output-dir folders' '--format one jsonl csv tsv' '--columns any' '--csv-safe' '--ordered' '-x,--extract' '--via one provider dask' '--scheduler any' '--fresh' '--retry-failed' '--limit any' '--sample any' '--dry-run' '-j,--jobs any' '--rpm any' '--tpm any' '--max-errors any' '--max-cost any' '--deadline any' '--max-tokens any' '-t,--temperature any' '*-p,--param any' '--reasoning-effort any' '--schema any' '--schema-retries any' '--stream,--no-stream' '-q,--quiet' '--connect-timeout any' '--timeout any' '--retries any' '--profile name profiles' '-h,--help')
        arguments=('*files')
        ;;
    'telex batch status')
        options=('-m,--model name models' '--json' '-h,--help')
        arguments=('files')
        ;;
    'telex batch cancel')
        options=('-m,--model name models' '-h,--help')
        arguments=('files')
        ;;
    'telex models')
        commands=(list show add edit remove alias default)
        options=('-h,--help')
        ;;
    'telex models list')
        options=('*-P,--provider name providers' '--reasoning' '--tools' '--vision' '--all' '--max-price any' '--sort one name price' '--refresh' '--json' '-h,--help')
        arguments=('*any')
        ;;
    'telex models show')
        options=('--json' '-h,--help')
        arguments=('name models')
        ;;
    'telex models add')
        options=('--name any' '--context any' '--max-output any' '--reasoning,--no-reasoning' '--tools,--no-tools' '--vision,--no-vision' '--price-in any' '--price-out any' '--price-cached any' '--price-cache-write any' '-t,--temperature any' '--max-tokens any' '--reasoning-effort any' '--stream,--no-stream' '--web,--no-web' '*-p,--param any' '*--header any' '--connect-timeout any' '--timeout any' '--retries any' '-h,--help')
        arguments=('name models' 'of models 0')
        ;;
    'telex models edit')
        options=('--name any' '--context any' '--max-output any' '--reasoning,--no-reasoning' '--tools,--no-tools' '--vision,--no-vision' '--price-in any' '--price-out any' '--price-cached any' '--price-cache-write any' '-t,--temperature any' '--max-tokens any' '--reasoning-effort any' '--stream,--no-stream' '--web,--no-web' '*-p,--param any' '*--header any' '--connect-timeout any' '--timeout any' '--retries any' '*--unset one name context max-output reasoning tools vision price-in price-out price-cached price-cache-write temperature max-tokens reasoning-effort stream web param header connect-timeout timeout retries' '-h,--help')
        arguments=('name models' 'of models 0')
        ;;
    'telex models remove')
        options=('-h,--help')
        arguments=('name models' 'of models 0')
        ;;
    'telex models alias')
        options=('-s,--system any' '--template name templates' '-t,--temperature any' '--max-tokens any' '--reasoning-effort any' '--stream,--no-stream' '--web,--no-web' '*-p,--param any' '*--tools name servers' '*--allow any' '--connect-timeout any' '--timeout any' '--retries any' '--max-cost any' '*--unset one system template temperature max-tokens reasoning-effort stream web param tools allow connect-timeout timeout retries max-cost' '--remove' '-h,--help')
        arguments=('name aliases' '*name models')
        ;;
    'telex models default')
        options=('--unset' '-h,--help')
        arguments=('name models')
        ;;
    'telex providers')
        commands=(add list show presets test discover edit set-key set-secret rename remove export import)
        options=('-h,--help')
        ;;
    'telex providers add')
        options=('--preset name presets' '--base-url any' '*--replica any' '*--set any' '--gguf files' '--no-key' '--key-stdin' '--key-env any' '--key-command any' '--display-name any' '*--model any' '*--header any' '-t,--temperature any' '--max-tokens any' '--reasoning-effort any' '--stream,--no-stream' '--web,--no-web' '*-p,--param any' '--proxy any' '--ca-bundle files' '--client-cert files' '--allow-http' '--connect-timeout any' '--first-byte-timeout any' '--idle-timeout any' '--retries any' '--retry-budget any' '--rpm any' '--tpm any' '--no-verify' '--replace' '-h,--help')
        arguments=('name presets')
        ;;
    'telex providers list')
        options=('--json' '--check-keys' '-h,--help')
        ;;
    'telex providers show')
        options=('--json' '-h,--help')
        arguments=('name providers')
        ;;
    'telex providers presets')
        options=('--json' '-h,--help')
        arguments=('*any')
        ;;
    'telex providers test')
        options=('--all' '--model any' '--deep' '--timeout any' '--json' '-h,--help')
        arguments=('*name providers')
        ;;
    'telex providers discover')
        options=('*--port any' '--add' '--json' '-h,--help')
        ;;
    'telex providers edit')
        options=('--preset name presets' '--base-url any' '*--replica any' '*--set any' '--gguf files' '--no-key' '--key-stdin' '--key-env any' '--key-command any' '--display-name any' '*--model any' '--default-model of models 0' '--enable,--disable' '*--header any' '-t,--temperature any' '--max-tokens any' '--reasoning-effort any' '--stream,--no-stream' '--web,--no-web' '*-p,--param any' '--proxy any' '--ca-bundle files' '--client-cert files' '--allow-http' '--connect-timeout any' '--first-byte-timeout any' '--idle-timeout any' '--retries any' '--retry-budget any' '--rpm any' '--tpm any' '*--unset one preset base-url replica set gguf key-env key-command display-name model default-model header temperature max-tokens reasoning-effort stream web param proxy ca-bundle client-cert allow-http connect-timeout first-byte-timeout idle-timeout retries retry-budget rpm tpm' '--no-verify' '--trust' '-h,--help')
        arguments=('name providers')
        ;;
    'telex providers set-key')
        options=('--no-key' '--key-stdin' '--key-env any' '--key-command any' '--no-verify' '--allow-http' '-h,--help')
        arguments=('name providers')
        ;;
    'telex providers set-secret')
        options=('--stdin' '--for any' '--remove' '-h,--help')
        arguments=('any')
        ;;
    'telex providers rename')
        options=('-h,--help')
        arguments=('name providers' 'any')
        ;;
    'telex providers remove')
        options=('-y,--yes' '--keep-key' '-h,--help')
        arguments=('name providers')
        ;;
    'telex providers export')
        options=('--format one toml json' '*--only name providers' '--replace' '-h,--help')
        arguments=('files')
        ;;
    'telex providers import')
        options=('--replace' '*--trust any' '--allow-commands' '--allow-http' '-h,--help')
        arguments=('files')
        ;;
    'telex mcp')
        commands=(add list test tools set-secret import remove)
        options=('-h,--help')
        ;;
    'telex mcp add')
        options=('--url any' '*--env any' '*--header any' '--cwd folders' '--timeout any' '--start-timeout any' '--max-result any' '*--allow any' '--allow-http' '--replace' '-h,--help')
        arguments=('any' '*any')
        ;;
    'telex mcp list')
        options=('--json' '-h,--help')
        ;;
    'telex mcp test')
        options=('--timeout any' '--json' '-h,--help')
        arguments=('*name servers')
        ;;
    'telex mcp tools')
        options=('--json' '-h,--help')
        arguments=('name servers')
        ;;
    'telex mcp set-secret')
        options=('--stdin' '--for any' '--remove' '-h,--help')
        arguments=('any')
        ;;
    'telex mcp import')
        options=('*--only any' '--replace' '--secrets one keyring env' '--allow-http' '-h,--help')
        arguments=('files')
        ;;
    'telex mcp remove')
        options=('-y,--yes' '--keep-secrets' '-h,--help')
        arguments=('name servers')
        ;;
    'telex history')
        commands=(list show search export rename remove prune)
        options=('-h,--help')
        ;;
    'telex history list')
        options=('-n,--limit any' '--json' '-h,--help')
        ;;
    'telex history show')
        options=('--answer' '--json' '--save-images any' '-h,--help')
        arguments=('any')
        ;;
    'telex history search')
        options=('-n,--limit any' '--json' '-h,--help')
        arguments=('*any')
        ;;
    'telex history export')
        options=('--all' '--format one markdown jsonl' '-o,--output files' '-h,--help')
        arguments=('*any')
        ;;
    'telex history rename')
        options=('-h,--help')
        arguments=('any' 'any')
        ;;
    'telex history remove')
        options=('--all' '--with-usage' '-y,--yes' '-h,--help')
        arguments=('*any')
        ;;
    'telex history prune')
        options=('--older-than any' '--dry-run' '--with-usage' '-y,--yes' '-h,--help')
        ;;
    'telex test')
        options=('*-m,--model name models' '--judge name models' '*--only any' '--fresh' '--junit files' '--json' '-j,--jobs any' '--max-cost any' '-q,--quiet' '--connect-timeout any' '--timeout any' '--retries any' '-h,--help')
        arguments=('*files')
        ;;
    'telex usage')
        options=('--since any' '--by one model provider day template command' '--model name models' '--provider name providers' '--json' '--csv' '-h,--help')
        ;;
    'telex templates')
        commands=(list show edit remove)
        options=('-h,--help')
        ;;
    'telex templates list')
        options=('--json' '-h,--help')
        ;;
    'telex templates show')
        options=('--json' '-h,--help')
        arguments=('name templates')
        ;;
    'telex templates edit')
        options=('--markdown' '-h,--help')
        arguments=('name templates')
        ;;
    'telex templates remove')
        options=('-y,--yes' '-h,--help')
        arguments=('name templates')
        ;;
    'telex config')
        commands=(list get set unset edit path)
        options=('-h,--help')
        ;;
    'telex config list')
        options=('--json' '-h,--help')
        ;;
    'telex config get')
        options=('--json' '-h,--help')
        arguments=('name settings')
        ;;
    'telex config set')
        options=('-h,--help')
        arguments=('name settings' '*of values 0')
        ;;
    'telex config unset')
        options=('-h,--help')
        arguments=('name settings')
        ;;
    'telex config edit')
        options=('-h,--help')
        ;;
    'telex config path')
        options=('-h,--help')
        ;;
    'telex trust')
        options=('--show' '--remove' '--list' '-h,--help')
        arguments=('files')
        ;;
    'telex shell')
        options=('-m,--model name models' '--explain any' '--widget one bash zsh fish' '--shell one bash zsh fish sh dash ash ksh mksh tcsh csh nu elvish xonsh pwsh powershell cmd' '--no-stdin' '--dry-run' '*-v,--verbose' '--connect-timeout any' '--timeout any' '--retries any' '--profile name profiles' '-h,--help')
        arguments=('*any')
        ;;
    'telex completion')
        options=('--install' '-h,--help')
        arguments=('one bash zsh fish powershell')
        ;;
    'telex doctor')
        options=('--json' '-h,--help')
        arguments=('*one versions folders settings providers keyring proxies certificates models history tools completion terminal')
        ;;
    'telex help')
        options=('-h,--help')
        arguments=('*one conversations costs environment exit-codes files formatting keys limits models proxies scripts settings tests tools chat batch providers mcp history test usage templates config trust shell completion doctor help')
        ;;
    *) return 1 ;;
    esac
}

_telex() {
    local IFS=$' \t\n' path=telex used=' ' ended='' pending='' word mask open redirected fixed value at rest before
    local -a words commands options arguments given lines
    words=() given=() COMPREPLY=()
    _telex_split "${COMP_LINE:0:COMP_POINT}"
    _telex_fix
    _telex_table "$path"
    for before in "${words[@]:1}"; do
        if [[ -n $pending ]]; then
            pending=''
        elif [[ -z $ended && $before == -?* ]]; then
            _telex_pass "$before"
        elif ((${#commands[@]} && ${#arguments[@]})) && [[ " ${commands[*]} " != *" $before "* ]]; then
            commands=() given[${#given[@]}]=$before # a command that has commands, too
        elif ((${#commands[@]})); then
            path+=" $before" used=' '
            if ! _telex_table "$path"; then
                _telex_add_plugins
                if [[ $path == "telex $before" && " ${commands[*]-} " == *" $before "* ]]; then
                    _telex_offer files # a plugin takes anything
                fi
                return 0
            fi
        else
            given[${#given[@]}]=$before
        fi
    done

    if [[ -n $redirected ]]; then
        _telex_offer files
    elif [[ -n $pending ]]; then
        _telex_offer "$pending" '' "$word"
    elif [[ -z $ended && $word == --*=* ]]; then
        _telex_find "${word%%=*}" && _telex_offer "$value" "${word%%=*}=" "${word#*=}"
    elif [[ -z $ended && $word == -[!-]?* ]]; then
        _telex_cluster "$word" && _telex_offer "$value" "${word%"$rest"}" "$rest"
    elif [[ -z $ended && $word == -* ]]; then
        _telex_offer_options
    elif ((${#commands[@]})); then
        if [[ $path == telex ]]; then _telex_add_plugins; fi
        _telex_offer "one ${commands[*]}" '' "$word"
        if ((${#arguments[@]})); then _telex_offer "${arguments[0]#\*}" '' "$word"; fi
    else
        at=${#given[@]}
        rest=${#arguments[@]}
        if ((at >= rest && rest)) && [[ ${arguments[rest - 1]} == '*'* ]]; then
            at=$((rest - 1))
        fi
        value=${arguments[at]-}
        _telex_offer "${value#\*}" '' "$word"
    fi
    return 0
}

# Adds the programs telex-NAME in the absolute folders of PATH to `commands`.
_telex_add_plugins() {
    local left=$PATH: folder file failglob=''
    if shopt -q failglob; then
        failglob=x
        shopt -u failglob
    fi
    while [[ -n $left ]]; do
        folder=${left%%:*} left=${left#*:}
        if [[ $folder != /* ]]; then continue; fi
        for file in "$folder"/telex-*; do
            if [[ -f $file && -x $file && ${file##*/telex-} != *[!a-z0-9_-]* ]]; then
                commands[${#commands[@]}]=${file##*/telex-}
            fi
        done
    done
    if [[ -n $failglob ]]; then shopt -s failglob; fi
}

# Splits the line up to the cursor as the shell does: sets `words`, those before the cursor's; `word`, the cursor's
# without its quotes; `mask`, the same with "x" for what was quoted, up to a quote that is still open; `open`, that
# quote; `redirected`, if the word stands after < or >.
_telex_split() {
    local left=$1 piece begun=''
    word='' mask='' open='' redirected=''
    while [[ -n $left ]]; do
        case $open in
        '')
            piece=${left%%[$' \t\n\'"\\\\<>']*}
            left=${left:${#piece}}
            word+=$piece mask+=$piece begun+=$piece
            piece=${left:0:1} left=${left:1}
            case $piece in
            '') ;;
            \\)
                word+=${left:0:1} mask+=${left:+x} begun=x left=${left:1}
                ;;
            \' | \")
                open=$piece begun=x
                ;;
            [\<\>])
                [[ -z ${word//[0-9&]/} ]] && begun=''
                _telex_end_word
                redirected=x
                while [[ $left == [\<\>\&\|]* ]]; do left=${left:1}; done
                ;;
            *) _telex_end_word ;;
            esac
            ;;
        \')
            piece=${left%%\'*}
            left=${left:${#piece}}
            word+=$piece
            if [[ -n $left ]]; then _telex_close; fi
            ;;
        \")
            piece=${left%%[\"\\]*}
            left=${left:${#piece}}
            word+=$piece
            case $left in
            \"*) _telex_close ;;
            \\[\$\`\"\\]*) word+=${left:1:1} left=${left:2} ;;
            \\*) word+=\\ left=${left:1} ;;
            esac
            ;;
        esac
    done
}

_telex_close() {
    local quoted=${word:${#mask}}
    mask+=${quoted//?/x} open='' left=${left:1}
}

_telex_end_word() {
    if [[ -n $begun && -z $redirected ]]; then words[${#words[@]}]=$word; fi
    if [[ -n $begun ]]; then redirected=''; fi
    word='' mask='' begun=''
}

# Sets `fixed`: how much of the word readline leaves alone, because a ":" or "=" or a quote ends what it replaces. A
# "@" does so too, and is replaced itself.
_telex_fix() {
    fixed=${#mask}
    while [[ -z $open ]] && ((fixed)) && [[ $COMP_WORDBREAKS != *"${mask:fixed-1:1}"* ]]; do
        ((fixed--))
    done
    if [[ -z $open && ${mask:fixed?fixed-1:0:1} == @ ]]; then ((fixed--)); fi
}

# Takes note of an option that stands before the cursor: `used` holds the places of those that are given.
_telex_pass() {
    case $1 in
    --) ended=x ;;
    --*=*) _telex_find "${1%%=*}" && used+="$at " ;;
    --*) _telex_find "$1" && used+="$at " pending=$value ;;
    *) _telex_cluster "$1" && [[ -z $rest ]] && pending=$value ;;
    esac
}

# Goes through short options that share a dash, as in -vm: true at one that takes a value, with `rest` behind it.
_telex_cluster() {
    rest=${1#-}
    while [[ -n $rest ]]; do
        _telex_find "-${rest:0:1}" || return
        used+="$at " rest=${rest:1}
        if [[ -n $value ]]; then return 0; fi
    done
    return 1
}

# Sets `at`, the option's place, and `value`, what its value may be: empty if it takes none.
_telex_find() {
    local names
    for ((at = 0; at < ${#options[@]}; at++)); do
        names=${options[at]%% *}
        if [[ ",${names#\*}," == *",$1,"* ]]; then
            value=${options[at]#"$names"}
            value=${value# }
            return 0
        fi
    done
    return 1
}

_telex_offer_options() {
    local names IFS=,
    lines=()
    for ((at = 0; at < ${#options[@]}; at++)); do
        names=${options[at]%% *}
        if [[ $names == '*'* || $used != *" $at "* ]]; then
            lines+=(${names#\*})
        fi
    done
    _telex_reply '' "$word"
}

# Offers what a value may be: $2 stands before it in the same word, $3 is what is typed of it.
_telex_offer() {
    local kind=${1#* }
    case $1 in
    files) compopt -o default ;;
    folders) compopt -o dirnames ;;
    one\ *)
        lines=($kind)
        _telex_reply "$2" "$3"
        ;;
    name\ models) _telex_offer_models "$2" "$3" ;;
    name\ *)
        _telex_read "$kind"
        _telex_reply "$2" "$3"
        ;;
    of\ *)
        _telex_read "${kind% *}"
        kind=${given[${kind#* }]-}/
        _telex_filter "$kind" "${#kind}"
        _telex_reply "$2" "$3"
        ;;
    esac
} 2>/dev/null

# First the providers, as "provider/", and the aliases; a provider that is alone or typed shows its models. With
# neither, a model's own name, as -m takes it where one provider has it.
_telex_offer_models() {
    local -a found
    found=()
    if [[ $2 != */* ]]; then
        _telex_read aliases
        _telex_reply "$1" "$2"
        _telex_read providers
        _telex_filter "$2" 0
        found=(${lines[@]+"${lines[@]}"})
    fi
    if ((${#found[@]} + ${#COMPREPLY[@]} > 1)); then
        lines=("${found[@]/%//}")
        _telex_reply "$1" ''
        return
    fi
    _telex_read models
    if ((${#found[@]})); then
        _telex_reply "$1" "${found[0]}/"
        if ((${#COMPREPLY[@]} == 0)); then
            lines=("${found[0]}")
            _telex_reply "$1" "$2"
        fi
    elif ((${#COMPREPLY[@]} == 0)); then
        _telex_reply "$1" "$2"
        if ((${#COMPREPLY[@]} == 0)); then
            _telex_read models
            lines=(${lines[@]+"${lines[@]#*/}"})
            _telex_reply "$1" "$2"
        fi
    fi
}

# Sets `lines` to the names of a list, or to none.
_telex_read() {
    local line folder
    if [[ -n ${TELEX_HOME-} ]]; then
        folder=$TELEX_HOME/cache
        if [[ $folder == '~/'* ]]; then folder=${HOME-}${folder:1}; fi
    elif [[ ${XDG_CACHE_HOME-} == /* ]]; then
        folder=$XDG_CACHE_HOME/telex
    elif [[ ${OSTYPE-} == darwin* ]]; then
        folder=${HOME-}/Library/Caches/telex
    else
        folder=${HOME-}/.cache/telex
    fi
    lines=() folder+=/completion/$1
    if [[ ! -f $folder || ! -r $folder ]]; then
        return
    elif ((BASH_VERSINFO[0] > 3)); then
        mapfile -t lines <"$folder"
    else
        while IFS= read -r line; do lines[${#lines[@]}]=$line; done <"$folder"
    fi
} 2>/dev/null

# Replies with those `lines` that begin with $2; $1 stands before each.
_telex_reply() {
    local shown
    _telex_filter "$2" 0
    for shown in ${lines[@]+"${lines[@]}"}; do
        shown=$1$shown
        shown=${shown:fixed}
        if [[ $shown == *[!a-zA-Z0-9_./:@%+=-]* ]]; then
            _telex_quote || continue
        fi
        COMPREPLY[${#COMPREPLY[@]}]=$shown
    done
}

# Keeps those `lines` that begin with the text $1, without the first $2 characters. Of the ways to do this to
# thousands of lines, `case` with a pattern that is made once is the fastest: three times as fast as [[ ]].
_telex_filter() {
    local line left=$1 pattern='' cut=$2
    local -a kept
    kept=()
    while [[ -n $left ]]; do
        case $left in
        [a-zA-Z0-9/]*) pattern+=${left:0:1} ;;
        *) pattern+=\\${left:0:1} ;;
        esac
        left=${left:1}
    done
    pattern+=*
    for line in ${lines[@]+"${lines[@]}"}; do
        case $line in
        $pattern) kept[${#kept[@]}]=${line:cut} ;;
        esac
    done
    lines=(${kept[@]+"${kept[@]}"})
}

# Puts into `shown` what the shell reads as its text; false for what no terminal should be shown. No %q: it gives
# $'...' for some texts, of which readline finds no common beginning with the others.
_telex_quote() {
    local plain=$shown
    if [[ $plain == *[[:cntrl:]]* ]]; then return 1; fi
    shown=''
    while [[ -n $plain ]]; do
        case ${open:-x}$plain in
        \'\'*) shown+="'\\''" ;;
        \"!*) shown+='"\!"' ;; # between quotes, nothing else keeps it from being history
        \"[\\\$\`\"]* | x[!a-zA-Z0-9_./:@%+=-]*) shown+=\\${plain:0:1} ;;
        *) shown+=${plain:0:1} ;;
        esac
        plain=${plain:1}
    done
    # Readline takes a quote at the end for the closing one.
    if [[ -n $open && $shown == *"$open" ]]; then shown+=$open; fi
}

if ((BASH_VERSINFO[0] > 3)); then
    complete -F _telex telex
else
    complete -o default -F _telex telex # this one cannot ask for file names on demand
fi
