# found: what may follow a command, or an option with a value. In each line a word, and behind a tab
# what it is; or @files.
_outrider_at() {
  case $1 in
@cases@
  *) return 1 ;;
  esac
}

# The word that is being typed, and those before it.
_outrider_find() {
  local cur=$1 at=outrider option= word
  shift
  for word in "$@"; do
    case $word in
    = | --*=*) ;;
    -*) if _outrider_at "$at $word"; then option=$word; else option=; fi ;;
    *)
      if [ -n "$option" ]; then
        case @many@ in *"|$at $option|"*) ;; *) option= ;; esac
      elif _outrider_at "$at $word"; then at="$at $word"; fi
      ;;
    esac
  done
  case $cur in --*=*) option=${cur%%=*} ;; -*) option= ;; esac
  _outrider_at "$at${option:+ $option}" || found=
}
