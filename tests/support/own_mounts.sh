# shellcheck shell=bash
# Sourced before e2e.sh: runs the test once more, in a mount name space of its own, where that can be
# had. Else any other program that makes a name space meanwhile would keep a copy of the test's mounts,
# and with it a disk in use. Within the test's own one they are shared: what is unmounted is so for all.
if [ -z "${HOMEFS_OWN_MOUNTS:-}" ] && unshare --mount true 2>/dev/null; then
  export HOMEFS_OWN_MOUNTS=1
  # shellcheck disable=SC2016 # sh is to expand them
  exec unshare --mount --propagation private sh -c \
    '"$0" && mount --make-rshared / && exec bash "$@"' \
    "$(dirname "${BASH_SOURCE[0]}")/let_go_of_homes.sh" "$0" "$@"
fi
