# shellcheck shell=bash
# Completion of homefs for bash: commands, options, profiles, folders.

_homefs_profiles() {
  local file
  for file in "${XDG_CONFIG_HOME:-$HOME/.config}"/homefs/profiles/*.json; do
    [ -e "$file" ] || continue
    file=${file##*/}
    printf '%s\n' "${file%.json}"
  done
}

_homefs() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands="login mount umount progress status shell verify get put ls cp mv re mkdir rm df"
  local options="-s -P -u --password-file --accept-new-server --profile --help --version"
  COMPREPLY=()
  case $previous in
    --profile)
      mapfile -t COMPREPLY < <(compgen -W "$(_homefs_profiles)" -- "$current")
      return
      ;;
    --password-file)
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
      ;;
    -s) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current"); return ;;
    -P | -u | -p) return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  else
    case ${COMP_WORDS[1]} in
      mount | umount) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
      put) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    esac
  fi
}

complete -o filenames -F _homefs homefs
