# telex shell in bash: Alt-I turns the line being typed into a command. It runs nothing; press Enter for that.
# Another key: set TELEX_WIDGET_KEY before this code is read, such as '\C-g'; '' binds none.
__telex_widget() {
    local found before
    [[ $READLINE_LINE == *[![:space:]]* ]] || return 0
    # With a trap, Ctrl-C ends telex, but not this function.
    before=$(trap -p INT)
    trap ':' INT
    if found=$(command telex shell --shell bash --no-stdin -- "$READLINE_LINE" </dev/null) && [[ -n $found ]]; then
        READLINE_LINE=$found
        READLINE_POINT=${#READLINE_LINE}
    fi
    trap - INT
    eval "$before"
}
if [[ $- == *i* && -n ${TELEX_WIDGET_KEY=\\ei} ]]; then
    bind -m emacs-standard -x "\"$TELEX_WIDGET_KEY\": __telex_widget"
    bind -m vi-insert -x "\"$TELEX_WIDGET_KEY\": __telex_widget"
fi
