# telex shell in zsh: Alt-I turns the line being typed into a command. It runs nothing; press Enter for that.
# Another key: set TELEX_WIDGET_KEY before this code is read, such as '^G'; '' binds none.
telex-shell() {
    emulate -L zsh
    local file found
    [[ $BUFFER == *[![:space:]]* ]] || return 0
    # Not $(...), which Ctrl-C ends before telex has: its last words would be printed over the line.
    file=$(mktemp) || return 0
    zle -I
    trap ':' INT
    if command telex shell --shell zsh --no-stdin -- "$BUFFER" </dev/null >$file; then
        found=$(<$file)
        if [[ -n $found ]]; then
            BUFFER=$found
            CURSOR=${#BUFFER}
        fi
    fi
    command rm -f -- $file
}
zle -N telex-shell
if [[ -n ${TELEX_WIDGET_KEY=^[i} ]]; then
    bindkey -M emacs "$TELEX_WIDGET_KEY" telex-shell
    bindkey -M viins "$TELEX_WIDGET_KEY" telex-shell
fi
