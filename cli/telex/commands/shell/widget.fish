# telex shell in fish: Alt-I turns the line being typed into a command. It runs nothing; press Enter for that.
# Another key: set TELEX_WIDGET_KEY before this code is read, such as \cg; '' binds none.
function __telex_widget
    set -l line (commandline --current-buffer | string collect)
    if string match --quiet --regex '\S' -- "$line"
        # Not (...), where Ctrl-C ends this function too, before it has drawn the line again.
        set -l file (mktemp); or return
        if command telex shell --shell fish --no-stdin -- "$line" </dev/null >$file
            set -l found (cat $file | string collect)
            if test -n "$found"
                commandline --replace -- "$found"
                commandline --cursor (string length -- "$found")
            end
        end
        command rm -f -- $file
    end
    commandline --function repaint
end
if status is-interactive
    set --query TELEX_WIDGET_KEY; or set --global TELEX_WIDGET_KEY \ei
    if test -n "$TELEX_WIDGET_KEY"
        bind $TELEX_WIDGET_KEY __telex_widget
        bind --mode insert $TELEX_WIDGET_KEY __telex_widget
    end
end
