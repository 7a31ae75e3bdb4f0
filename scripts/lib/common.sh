# shellcheck shell=bash
# What the scripts share: messages, and the build of one preset. Sourced from the repository's root.

# shellcheck source=packages.sh
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

step() { printf '\n== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

# Configures and builds a preset. A build folder that was made by another CMake or for another
# place (a moved clone) is made anew.
build_preset() {
  local preset=$1 cache="build/$1/CMakeCache.txt"
  shift
  if [ -f "$cache" ] && ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$PWD" "$cache"; then
    rm -rf "build/$preset"
  fi
  local log
  log=$(mktemp)
  cmake --preset "$preset" >"$log" 2>&1 || { cat "$log"; rm -f "$log"; return 1; }
  rm -f "$log"
  cmake --build --preset "$preset" "$@"
}

# Runs the tests of a preset: test_preset PRESET [ctest arguments...]
test_preset() {
  local preset=$1
  shift
  # On a disk: homes in memory, as /tmp may be, keep attributes and sizes in ways of their own.
  export TMPDIR=${TMPDIR:-/var/tmp}
  local runner=()
  # The thread sanitizer of gcc 12 maps its shadow where a kernel with more than 28 random bits
  # may have put something already.
  if [ "$preset" = tsan ] && [ "$(cat /proc/sys/vm/mmap_rnd_bits 2>/dev/null || echo 28)" -gt 28 ]
  then
    runner=(setarch -R)
  fi
  "${runner[@]}" ctest --preset "$preset" "$@"
}

# Ends with a reason where no FUSE mount can be made.
require_fuse() {
  if [ ! -c /dev/fuse ]; then
    as_root modprobe fuse 2>/dev/null || true
  fi
  [ -c /dev/fuse ] || die "there is no /dev/fuse. On a machine: 'modprobe fuse'. In a container:" \
    "start it with '--device /dev/fuse --cap-add SYS_ADMIN --security-opt apparmor=unconfined'."
  if [ ! -r /dev/fuse ] || [ ! -w /dev/fuse ]; then
    die "/dev/fuse is not yours to open: 'chmod 666 /dev/fuse' as root gives it its usual mode."
  fi
  # A user's unmount goes by it; every Debian that was booted has it, the smallest images do not.
  [ -e /etc/mtab ] || as_root ln -s ../proc/self/mounts /etc/mtab
}
