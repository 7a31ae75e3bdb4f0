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
  local commands="login logout mount umount progress status profile shell verify get put ls cp mv re mkdir rm df"
  local options="-s -P -u --password-file --accept-new-server --profile --help --version"
  case ${COMP_WORDS[1]-} in
    put | get) options+=" -r -c -n -q -j --recursive --checksum --dry-run --quiet --jobs --limit --include --exclude --json" ;;
    verify) options+=" -q --quiet --include --exclude --json" ;;
    ls) options+=" -l -a -R --long --all --recursive --json" ;;
    cp) options+=" -r --recursive" ;;
    mv) options+=" -n --no-clobber" ;;
    re) options+=" -f --force" ;;
    mkdir) options+=" -p --parents" ;;
    rm) options+=" -r -f --recursive --force" ;;
    df) options+=" -h --human-readable --json" ;;
    shell) options+=" -v --verbose" ;;
  esac
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
    -P | -u | --limit | --include | --exclude | -j) return ;;
  esac
  if [[ $current == -* ]]; then
    mapfile -t COMPREPLY < <(compgen -W "$options" -- "$current")
  elif [ "$COMP_CWORD" -eq 1 ]; then
    mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$current")
  else
    case ${COMP_WORDS[1]} in
      mount | umount) mapfile -t COMPREPLY < <(compgen -d -- "$current") ;;
      put | get | verify) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
    esac
  fi
}

complete -o filenames -F _homefs homefs
