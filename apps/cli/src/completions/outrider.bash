@find@
_outrider() {
  local found word words=() count=0
  # It has been cut at colons, which scopes have within.
  for word in "${COMP_WORDS[@]:1:COMP_CWORD}"; do
    if [[ $count -gt 0 && ($word == :* || ${words[count - 1]} == *:) ]]; then
      words[count - 1]+=$word
    else
      words[count++]=$word
    fi
  done
  local cur=${words[count - 1]} IFS=$'\n'
  [[ $cur == = ]] && cur=
  _outrider_find "$cur" "${words[@]:0:count - 1}"
  if [[ $found == @files ]]; then
    COMPREPLY=($(compgen -f -- "$cur"))
    return
  fi
  COMPREPLY=($(compgen -W "$(cut -f 1 <<<"$found")" -- "$cur"))
  [[ $COMP_WORDBREAKS == *:* ]] || return
  # What stands before the last colon stays as it is.
  local typed=${cur%"${cur##*:}"} at
  for at in "${!COMPREPLY[@]}"; do COMPREPLY[at]=${COMPREPLY[at]#"$typed"}; done
}
complete -F _outrider outrider
