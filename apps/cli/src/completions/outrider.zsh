#compdef outrider
@find@
_outrider() {
  local found line
  local -a names shown
  _outrider_find "$words[CURRENT]" "${(@)words[2,CURRENT-1]}"
  if [[ $found == @files ]]; then
    _files
    return
  fi
  for line in "${(@f)found}"; do
    [[ -n $line ]] || continue
    names+=("${line%%$'\t'*}")
    shown+=("${line/$'\t'/  }")
  done
  compset -P '--*='
  compadd -l -d shown -a names
}
compdef _outrider outrider
