# shellcheck shell=bash
# Completion of homefsd for bash: commands and options.

_homefsd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $previous in
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    user) mapfile -t COMPREPLY < <(compgen -W "add passwd quota disable list" -- "$current"); return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(
      compgen -W "--config --quota --password-stdin --help --version" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "serve user" -- "$current")
  fi
}

complete -F _homefsd homefsd
