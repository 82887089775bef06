# Completes telex in fish. Made from telex's commands by `telex completion fish`; changes here are lost.
#
# Nothing is started at a Tab: names come from plain lists in telex's cache folder, which fish's builtins read.

# Sets the caller's `commands`, `options` and `arguments` to those of the command $path. Each is a name, or an option's
# spellings, with what a value may be, and behind a tab a few words; with a star, an option may be given again, and an
# argument takes all words that follow.
function __telex_table --no-scope-shadowing
    set commands
    set options
    set arguments
    switch "$path"
#: table
        case '*'
            return 1
    end
end

# Sets the caller's `value` to what the value of the option in the token $argv may be, and `rest` to what of it is in
# the same token; `attached` tells whether there is a place for it there. `used` grows by the option.
function __telex_option --no-scope-shadowing
    set value
    set attached
    set rest
    if string match -q -- '--*' "$argv"
        __telex_find (string replace -r '=.*' '' -- "$argv")
        if string match -q -- '*=*' "$argv"
            set attached x
            set rest (string replace -r '^[^=]*=' '' -- "$argv")
        end
        return
    end
    set rest (string sub -s 2 -- "$argv")
    while test -n "$rest"
        __telex_find -(string sub -l 1 -- "$rest"); or return
        set rest (string sub -s 2 -- "$rest")
        if set -q value[1]
            test -n "$rest"; and set attached x
            return
        end
    end
end

function __telex_find --no-scope-shadowing
    for option in $options
        set -l parts (string split ' ' -- (string replace -r '\t.*' '' -- $option))
        if contains -- $argv (string split , -- (string trim -l -c '*' -- $parts[1]))
            set -e parts[1]
            set value $parts
            contains -- $option $used; or set -a used $option
            return 0
        end
    end
    return 1
end

# Finds out what the cursor's word may be. Sets the caller's `kind` to that, `before` to what stands before it in the
# same token, and `typed` to what is typed of it.
function __telex_look --no-scope-shadowing
    set path telex
    set -l tokens (commandline -opc)
    set -l value
    set -l attached
    set -l rest
    set -l ended
    set -l pending
    while string match -qr '^[A-Za-z_]\w*=' -- "$tokens[1]"
        set -e tokens[1] # a variable that is set for the command
    end
    set -e tokens[1]
    __telex_table
    for token in $tokens
        if set -q pending[1]
            set pending
        else if test -z "$ended"; and test "x$token" = x--
            set ended x
        else if test -z "$ended"; and string match -qr '^-.' -- "$token"
            __telex_option $token
            test -z "$attached"; and set pending $value
        else if set -q commands[1]; and set -q arguments[1]; and not contains -- $token (string replace -r '\t.*' '' -- $commands)
            set commands # a command that has commands, too
            set -a given $token
        else if set -q commands[1]
            set path "$path $token"
            set used
            if not __telex_table
                if test "$path" = "telex $token"; and contains -- $token (string replace -r '\t.*' '' -- (__telex_plugins))
                    set kind files # a plugin takes anything
                end
                return
            end
        else
            set -a given $token
        end
    end

    set typed (commandline -ct | string replace -r '^["\']' '' | string unescape)
    if set -q pending[1]
        set kind $pending
    else if test -z "$ended"; and string match -q -- '-*' "$typed"
        set -l passed $used
        __telex_option $typed
        if set -q value[1]; and test -n "$attached"
            set kind $value
            set before (string sub -l (math (string length -- "$typed") - (string length -- "$rest")) -- "$typed")
            set typed "$rest"
        else
            set used $passed
            set kind options
        end
    else if set -q commands[1]; and not set -q arguments[1]
        set kind commands
    else if set -q arguments[1]
        set -l place (math (count $given) + 1)
        if test $place -gt (count $arguments); and string match -q '\**' -- $arguments[-1]
            set place -1
        end
        set kind (string split ' ' -- (string trim -l -c '*' -- $arguments[$place]))
    end
end

# Prints what may stand for the cursor's word; with an argument, prints nothing and tells whether it is a file.
function __telex_complete
    set -l commands
    set -l options
    set -l arguments
    set -l used
    set -l given
    set -l kind
    set -l before
    set -l typed
    set -l path
    __telex_look
    if set -q argv[1]
        test "$kind" = files
        return
    end
    switch "$kind[1]"
        case commands
            printf '%s\n' $commands
            test "$path" = telex; and __telex_plugins
        case files
            printf '%s\n' $commands # of a command that has commands, too
        case options
            for option in $options
                if not contains -- $option $used; or string match -q '\**' -- $option
                    set -l words (string split -m 1 \t -- $option)
                    set -l names (string replace -r ' .*' '' -- (string trim -l -c '*' -- $words[1]))
                    printf "%s\t$words[2]\n" (string split , -- $names)
                end
            end
        case folders
            __fish_complete_directories "$before$typed" ''
        case one
            printf '%s\n' "$before"$kind[2..-1]
        case of
            set -l owner $given[(math $kind[3] + 1)]
            __telex_names $kind[2] "$owner/*" | string replace -- "$owner/" "$before"
        case name
            if test "$kind[2]" = models
                __telex_models | string replace -r '^' -- "$before"
            else
                __telex_names $kind[2] '*' | string replace -r '^' -- "$before"
            end
    end
end

# Prints the programs telex-NAME in the absolute folders of PATH.
function __telex_plugins
    for folder in (string match '/*' -- $PATH)
        for file in $folder/telex-*
            if test -f $file; and test -x $file
                string replace -rf '.*/telex-([a-z0-9_-]+)$' '$1\tplugin' -- $file
            end
        end
    end
end

# First the providers, as "provider/", and the aliases; behind the slash the provider's models. With neither, a model's
# own name, as -m takes it where one provider has it.
function __telex_models --no-scope-shadowing
    if string match -qr '^[A-Za-z0-9-]+/' -- "$typed"
        # What is typed, if something begins so; else all of the provider, for fish's other ways of matching.
        __telex_names models (string replace -ra '[*?\\\\]' '\\\\$0' -- "$typed")'*'; and return
        __telex_names models (string replace -r '/.*' '/*' -- "$typed"); and return
    else
        set -l names (__telex_names providers '*' | string replace \t /\t; __telex_names aliases '*')
        if string match -qi -- "*$typed*" (string replace -r '\t.*' '' -- $names)
            printf '%s\n' $names
            return
        end
    end
    __telex_names models '*' | string replace -r '^[^/]*/' ''
end

# Prints those lines of a list that match, each a name, a tab and a few words; false if there are none.
function __telex_names -a list pattern
    set -l file ~/.cache/telex
    if test -n "$TELEX_HOME"
        set file (string replace -r '^~/' ~/ -- $TELEX_HOME)/cache
    else if string match -q '/*' -- "$XDG_CACHE_HOME"
        set file $XDG_CACHE_HOME/telex
    else if test -d ~/Library/Caches
        set file ~/Library/Caches/telex # this is macOS
    end
    set file $file/completion/$list.tsv
    test -f $file; and test -r $file; and string match -- "$pattern" <$file
end

complete -c telex -e
complete -c telex -f -a '(__telex_complete)'
complete -c telex -n '__telex_complete files' -F
