# shellcheck shell=bash
# Sourced before e2e.sh: runs the test once more, in a mount name space of its own, where that can be
# had. Else any other program that makes a name space meanwhile would keep a copy of the test's mounts,
# and with it a disk in use. Within the test's own one they are shared: what is unmounted is so for all.
# In return it gives up its copies of the homes of other tests, whose daemons would wait for that.
if [ -z "${HOMEFS_OWN_MOUNTS:-}" ] && unshare --mount true 2>/dev/null; then
  export HOMEFS_OWN_MOUNTS=1
  # shellcheck disable=SC2016 # sh is to expand them
  exec unshare --mount --propagation private sh -c \
    'findmnt -rn -t fuse.homefs -o TARGET | while read -r mount; do umount -l "$mount"; done
    mount --make-rshared / && exec bash "$0" "$@"' \
    "$0" "$@"
fi
