# shellcheck shell=bash
# The Debian packages that homefs needs, and the one function that installs them. Sourced.
#
#   packages_install GROUP...   installs what is missing of the groups; as root or through sudo

# What a build of the two programs needs.
PACKAGES_BUILD=(
  ca-certificates cmake g++ git ninja-build pkg-config ccache python3
  libfuse3-dev fuse3 libboost1.81-dev libboost-context1.81-dev libssl-dev nlohmann-json3-dev libsqlite3-dev
  libcli11-dev libspdlog-dev libsystemd-dev libedit-dev libgtest-dev libgmock-dev libbenchmark-dev
)
# What the tests call: mounts, attributes, a user manager, a name space for the network, and the
# programs that people use in a home. npm is used where it is installed: it brings 300 more.
PACKAGES_TEST=(
  acl attr dbus dbus-user-session inotify-tools iproute2 jq less openssl patch procps python3-venv
  rsync socat sqlite3 strace systemd util-linux vim
)
# What the checks of the sources and the fuzzers need.
PACKAGES_CHECK=(
  clang-19 clang-format-19 clang-tidy-19 libclang-rt-19-dev mandoc shellcheck
)
# What a coverage report needs.
PACKAGES_COVERAGE=(gcovr)

# Runs a command as root: directly, or through sudo.
as_root() {
  if [ "$(id -u)" -eq 0 ]; then
    "$@"
  elif command -v sudo >/dev/null; then
    sudo -- "$@"
  else
    echo "This needs root: run it as root, or install sudo. Wanted: $*" >&2
    return 1
  fi
}

# Prints those of the packages named that are not installed.
packages_missing() {
  local package
  for package in "$@"; do
    if [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then
      echo "$package"
    fi
  done
}

# libboost1.81-dev and the default libboost-dev (1.74) exclude each other. Said before apt takes
# away something that another project on this machine may need.
packages_check_boost() {
  local old
  # dpkg-query fails where a pattern matches nothing.
  old=$({ dpkg-query -W -f='${db:Status-Status} ${Package}\n' 'libboost1.74-*dev' 'libboost-*dev' \
    2>/dev/null || true; } | sed -n 's/^installed //p' | tr '\n' ' ')
  if [ -n "$old" ]; then
    echo "note: libboost1.81-dev replaces the headers of Boost 1.74; apt removes: $old" >&2
  fi
}

packages_install() {
  local group packages=() missing
  for group in "$@"; do
    case $group in
      build) packages+=("${PACKAGES_BUILD[@]}") ;;
      test) packages+=("${PACKAGES_TEST[@]}") ;;
      check) packages+=("${PACKAGES_CHECK[@]}") ;;
      coverage) packages+=("${PACKAGES_COVERAGE[@]}") ;;
      *) echo "packages_install: no group $group" >&2; return 2 ;;
    esac
  done
  mapfile -t missing < <(packages_missing "${packages[@]}")
  [ "${#missing[@]}" -gt 0 ] || return 0
  echo "Installing: ${missing[*]}"
  case " ${missing[*]} " in *' libboost1.81-dev '*) packages_check_boost ;; esac
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -y -q
    -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  # A repository of somebody else that cannot be reached is no reason to stop: the install tells.
  as_root "${apt[@]}" update || echo "warning: apt-get update failed, going on" >&2
  as_root "${apt[@]}" install --no-install-recommends "${missing[@]}"
}
