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

# The options of a command, as its --help lists them.
_homefs_options() {
  local login="-s --host -P --port -u --user --password --password-file --profile --pin --accept-new-server"
  local patterns="--include --exclude -q --quiet --json"
  case $1 in
    login | logout | mount | put | get | verify | ls | cp | mv | re | rm | df | shell) echo "$login -p" ;;
    mkdir) echo "$login" ;; # -p are the parents
  esac
  case $1 in
    login) echo "--device" ;;
    mount) echo "-o -f --foreground -d --debug" ;;
    umount) echo "-l -z --lazy -f --force --timeout" ;;
    progress) echo "-f --follow --json --profile" ;;
    status) echo "--json" ;;
    put | get) echo "-r -R --recursive -c --checksum -n --dry-run -j --jobs --limit $patterns" ;;
    verify) echo "$patterns" ;;
    ls) echo "-l --long -a --all -R --recursive --json" ;;
    cp) echo "-r -R --recursive" ;;
    mv) echo "-n --no-clobber" ;;
    re) echo "-f --force" ;;
    mkdir) echo "-p --parents" ;;
    rm) echo "-r -R --recursive -f --force" ;;
    df) echo "-h --human-readable --json" ;;
    shell) echo "-v --verbose" ;;
    "profile add") echo "-o --password-file" ;;
    "") echo "-V --version" ;;
  esac
  [ "$1" = df ] || echo "-h"
  echo "--help"
}

_homefs() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
  local commands="login logout mount umount progress status profile shell verify get put ls cp mv re mkdir rm df"
  local command=
  [ "$COMP_CWORD" -gt 1 ] && command=${COMP_WORDS[1]}
  [ "$command" = profile ] && [ "$COMP_CWORD" -gt 2 ] && command="profile ${COMP_WORDS[2]}"
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
    -s | --host) mapfile -t COMPREPLY < <(compgen -A hostname -- "$current"); return ;;
    -P | --port | -u | --user | --password | --pin | --device | --timeout | -o) return ;;
    -j | --jobs | --limit | --include | --exclude) return ;;
    -p) [ "$command" = mkdir ] || return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$(_homefs_options "$command")" -- "$current")
    return
  fi
  case $command in
    "") mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current") ;;
    profile) mapfile -t COMPREPLY < <(compgen -W "add list show remove" -- "$current") ;;
    "profile show" | "profile remove") mapfile -t COMPREPLY < <(compgen -W "$(_homefs_profiles)" -- "$current") ;;
    mount | umount | "profile add") mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
    put | get | verify) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
  esac
}

complete -o filenames -F _homefs homefs
