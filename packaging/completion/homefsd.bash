# shellcheck shell=bash
# Completion of homefsd for bash: commands and options.

_homefsd() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  COMPREPLY=()
  case $previous in
    token) mapfile -t COMPREPLY < <(compgen -W "list revoke" -- "$current"); return ;;
    --config) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;;
    user) mapfile -t COMPREPLY < <(compgen -W "add passwd quota recount disable enable list remove" -- "$current"); return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(
      compgen -W "--config --quota --files --display-name --preserve-owners --password-stdin --delete-files --help --version" -- "$current")
  else
    mapfile -t COMPREPLY < <(compgen -W "serve check-config user token rescan" -- "$current")
  fi
}

complete -F _homefsd homefsd
