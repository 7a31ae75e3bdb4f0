#!/bin/bash
# Runs a command as an ordinary user under a real `systemd --user`, whatever PID 1 is: for tests of
# units and of what mount(8) lets an ordinary user do.
# Usage: user_manager.sh [--installed] COMMAND ARGUMENTS...
#   --installed   HOMEFS_BUILD_DIR is installed over /usr, for the command only
#
# Needs root (or sudo without a password). The user is made for this run. Everything happens in name
# spaces of its own for mounts and processes, so that whatever the command leaves behind (daemons,
# mounts, files in /tmp) ends with it, even if this script is killed; the account and the cgroups
# that a killed run leaves are removed by the next one.
#
# The command sees: HOMEFS_USER_MANAGER=1, HOME, XDG_RUNTIME_DIR, an own /tmp, a /dev/fuse that may
# be opened, the variables HOMEFS_* and E2E_* of the caller, and the repository and the build
# folder below /run/user/homefs (the user need not be able to read the folders they are in).
set -euo pipefail

readonly kPrefix=homefs-test-
readonly kStage=/run/user/homefs  # Where source, build and home are seen, in the name space.

die() { printf 'user_manager: %s\n' "$*" >&2; exit 1; }

# The places where a cgroup must be made: the unified hierarchy, or systemd's own and the unified
# one beside it (cgroup v1).
cgroup_roots() {
  local root
  for root in /sys/fs/cgroup /sys/fs/cgroup/systemd /sys/fs/cgroup/unified; do
    if [ -e "$root/cgroup.procs" ]; then echo "$root"; fi
  done
}

remove_cgroups() {
  local root
  for root in $(cgroup_roots); do
    [ -d "$root/$1" ] || continue
    find "$root/$1" -depth -type d -exec rmdir {} + 2>/dev/null || true
  done
}

# Accounts and cgroups are named after the process that made them.
remove_leftovers() {
  local name
  for name in $(getent passwd | cut -d: -f1 | grep "^${kPrefix}[0-9]*\$"); do
    kill -0 "${name#"$kPrefix"}" 2>/dev/null && continue
    userdel "$name" 2>/dev/null || true
    remove_cgroups "$name"
    rm -rf --one-file-system "/var/tmp/$name"
  done
}

# --- outside: makes the user, enters the name spaces, cleans up ---------------------------------

outside() {
  local installed=no source build
  if [ "$1" = --installed ]; then installed=yes; shift; fi
  source=$(readlink -f "$(dirname "$0")/../..")
  build=${HOMEFS_BUILD_DIR:-}
  [ -x /lib/systemd/systemd ] || die "no systemd: install the packages systemd and dbus-user-session"
  [ -n "$(cgroup_roots)" ] || die "no cgroup hierarchy is mounted below /sys/fs/cgroup"
  remove_leftovers

  user=$kPrefix$$
  work=/var/tmp/$user
  trap clean_up EXIT
  trap 'exit 143' INT TERM HUP
  useradd --home-dir "$kStage/home" --no-create-home --shell /bin/bash "$user"
  mkdir -m 0711 "$work"
  mkdir -m 1777 "$work/tmp"
  if [ "$installed" = yes ]; then
    [ -n "$build" ] || die "--installed needs HOMEFS_BUILD_DIR"
    DESTDIR="$work/stage" cmake --install "$build" --prefix /usr >"$work/install.log" ||
      { cat "$work/install.log" >&2; die "the installation failed"; }
  fi
  local root
  for root in $(cgroup_roots); do
    mkdir "$root/$user" || die "cannot make a cgroup in $root; a container needs --privileged"
    chown -R "$user:" "$root/$user"
  done
  # In the background, as bash takes a signal only between foreground commands.
  # The signal at the death of this script, and --kill-child, end everything inside with it.
  setpriv --pdeathsig KILL -- unshare --mount --pid --fork --kill-child=KILL --mount-proc -- \
    "$0" --inside "$user" "$work" "$source" "$build" "$@" <&0 &
  inside_pid=$!
  wait "$inside_pid"
}

clean_up() {
  local status=$?
  set +e
  trap '' INT TERM HUP
  if [ -n "${inside_pid:-}" ]; then
    kill -KILL "$inside_pid" 2>/dev/null
    wait "$inside_pid" 2>/dev/null
  fi
  remove_cgroups "$user"
  userdel "$user" 2>/dev/null
  rm -rf --one-file-system "$work"
  exit "$status"
}

# --- inside: process 1 of the name space, root --------------------------------------------------

inside() {
  local user=$1 work=$2 source=$3 build=$4 uid root
  shift 4
  uid=$(id -u "$user")
  for root in $(cgroup_roots); do echo $$ >"$root/$user/cgroup.procs"; done

  mount --make-rprivate /
  "$(dirname "$0")/let_go_of_homes.sh"
  mount -t tmpfs -o mode=0755 tmpfs /run/user
  mkdir -p "$kStage/source" "$kStage/build" "$kStage/home"
  mount --bind "$source" "$kStage/source"
  if [ -n "$build" ]; then mount --bind "$build" "$kStage/build"; fi
  if [ -d "$work/stage" ]; then
    mount -t overlay -o "lowerdir=$work/stage/usr:/usr" overlay /usr
  fi
  mount --bind "$work/tmp" /tmp
  # What sd_booted() looks at.
  mount -t tmpfs -o mode=0755 tmpfs /run/systemd
  mkdir /run/systemd/system
  if [ -c /dev/fuse ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then
    mknod -m 666 "$kStage/fuse" c 10 229
    mount --bind "$kStage/fuse" /dev/fuse
  fi
  mkdir -m 0700 "/run/user/$uid"
  chown "$user:" "/run/user/$uid" "$kStage/home"

  local environment=("HOME=$kStage/home" "USER=$user" "LOGNAME=$user" SHELL=/bin/bash LANG=C.UTF-8
    PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "XDG_RUNTIME_DIR=/run/user/$uid"
    "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/$uid/bus")
  cd "$kStage/home"
  as_user "$user" env -i "${environment[@]}" SYSTEMD_LOG_TARGET=console \
    /lib/systemd/systemd --user >"$work/manager.log" 2>&1 &
  local manager=$! tries=0
  until as_user "$user" env -i "${environment[@]}" systemctl --user is-active -q basic.target; do
    tries=$((tries + 1))
    if [ "$tries" -gt 200 ] || ! kill -0 "$manager" 2>/dev/null; then
      cat "$work/manager.log" >&2
      die "systemd --user does not start"
    fi
    sleep 0.1
  done 2>/dev/null

  local name value status=0
  while IFS='=' read -r -d '' name value; do
    case $name in
      HOMEFS_* | E2E_*) environment+=("$name=$(seen_inside "$value" "$source" "$build")") ;;
    esac
  done < <(env -0)
  local command=()
  for value in "$@"; do command+=("$(seen_inside "$value" "$source" "$build")"); done
  as_user "$user" env -i "${environment[@]}" HOMEFS_USER_MANAGER=1 "${command[@]}" || status=$?
  if [ "$status" -ne 0 ]; then
    printf '\n--- systemd --user (last 50 lines)\n' >&2
    tail -n 50 "$work/manager.log" >&2
  fi
  as_user "$user" env -i "${environment[@]}" timeout 20 systemctl --user exit 2>/dev/null || true
  exit "$status"  # The end of process 1 is the end of all others here, and of the mounts.
}

as_user() {
  local user=$1
  shift
  setpriv --reuid="$user" --regid="$user" --init-groups --inh-caps=-all -- "$@"
}

# The path by which the user reaches a file of the build folder (which may be in the repository) or
# of the repository.
seen_inside() {
  local value=$1 source=$2 build=$3
  if [ -n "$build" ] && { [ "$value" = "$build" ] || [[ $value == "$build"/* ]]; }; then
    echo "$kStage/build${value#"$build"}"
  elif [ "$value" = "$source" ] || [[ $value == "$source"/* ]]; then
    echo "$kStage/source${value#"$source"}"
  else
    printf '%s\n' "$value"
  fi
}

if [ "${1:-}" = --inside ]; then
  shift
  inside "$@"
elif [ "$#" -eq 0 ]; then
  die "usage: user_manager.sh [--installed] COMMAND ARGUMENTS..."
elif [ "$(id -u)" -ne 0 ]; then
  exec sudo -n --preserve-env -- "$(readlink -f "$0")" "$@"
else
  outside "$@"
fi
