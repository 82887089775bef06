#compdef telex
# Completes telex in zsh. Made from telex's commands by `telex completion zsh`; changes here are lost.
#
# Works from a folder of $fpath as _telex, and from eval "$(telex completion zsh)". Nothing is started at a Tab: names
# come from plain lists in telex's cache folder.

#: table
# Turns `lines`, names with a tab and a few words, into what _describe takes: "name:words", with colons escaped.
_telex_escape() {
  lines=(${lines//\\/\\\\})
  lines=(${lines//:/\\:})
  lines=(${lines/$'\t'/:})
}

# Sets `lines` to those of a list that begin with the text $2, or to none.
_telex_read() {
  local file
  local -i first last
  if [[ -n $TELEX_HOME ]]; then
    file=${TELEX_HOME/#\~\//$HOME/}/cache
  elif [[ $XDG_CACHE_HOME == /* ]]; then
    file=$XDG_CACHE_HOME/telex
  elif [[ $OSTYPE == darwin* ]]; then
    file=$HOME/Library/Caches/telex
  else
    file=$HOME/.cache/telex
  fi
  file+=/completion/$1.tsv
  lines=()
  [[ -f $file && -r $file ]] || return
  # zsh reads this by itself, without a process.
  lines=(${(f)"$(<$file)"})
  # From the first match to the last is found fast, and is little to test: a provider's models stand together.
  first=$lines[(i)$2*] last=$lines[(I)$2*]
  lines=($lines[first,last])
  lines=(${(M)lines:#$2?*$'\t'*})
} 2>/dev/null

# Adds the programs telex-NAME in the absolute folders of $path to `commands`.
_telex_add_plugins() {
  local -a found
  found=(${^${(M)path:#/*}}/telex-[a-z0-9_-]##(N-*:t))
  commands+=(${(u)found#telex-})
}

_telex_names() {
  local -a lines
  _telex_read $1
  _telex_escape
  _describe -t $1 name lines
}

# First the providers, with a slash that goes away before a space, and the aliases; behind the slash the provider's
# models. With neither, a model's own name, as -m takes it where one provider has it.
_telex_models() {
  local provider ret=1
  local -a lines names shown
  if [[ $PREFIX == [[:alnum:]-]##/* ]]; then
    provider=${PREFIX%%/*}
    # Exactly what is typed, if there is such a model; else all, for the ways of matching that the user has set.
    _telex_read models "${(Q)PREFIX}"
    (( $#lines )) || _telex_read models "$provider/"
    if (( $#lines )); then
      lines=(${lines#$provider/})
      compset -P 1 '*/'
      _telex_escape
      _describe -t models model lines
      return
    fi
  else
    _telex_read providers
    names=(${lines%%$'\t'*})
    _telex_escape
    shown=(${lines/://:})
    _telex_read aliases
    _telex_escape
    _describe -t models 'provider or alias' shown names -q -S / -- lines && ret=0
  fi
  if (( ret )); then
    _telex_read models
    lines=(${lines#*/})
    _telex_escape
    _describe -t models model lines && ret=0
  fi
  return ret
}

# The names in the list $1 that belong to the argument at place $2, counted from 0.
_telex_names_of() {
  local owner=${(Q)line[$2 + 1]}
  local -a lines
  _telex_read $1 "$owner/"
  lines=(${lines#$owner/})
  _telex_escape
  _describe -t $1 name lines
}

# In a file of $fpath, this text is the function's body the first time. Elsewhere it is registered, at the first
# prompt if compinit comes later.
if [[ $funcstack[1] == _telex ]]; then
  _telex "$@"
elif (( $+functions[compdef] )); then
  compdef _telex telex
else
  _telex_register() {
    precmd_functions=(${precmd_functions:#_telex_register})
    (( $+functions[compdef] )) && compdef _telex telex
  }
  precmd_functions+=(_telex_register)
fi
