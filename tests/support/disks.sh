# shellcheck shell=bash
# Disks of a test's own, for what happens to a server when its disk fails: after own_mounts.sh and
# e2e.sh,
#
#   need_disks                        # skips the test where the machine does not give any
#   make_disk NAME MIB                # an empty ext4 in $E2E_DIR/disks/NAME.img
#   power_on NAME                     # mounts it at $E2E_DIR/disks/NAME, through tools/cut_disk
#   disk_says NAME "fail-writes"      # see tools/cut_disk.cpp
#   cut_power NAME KEEP SEED          # the server, which is killed, and its disk
#   power_off NAME                    # in good order
#
# All is taken away in the end, whatever that is.

DISKS=$E2E_DIR/disks
mkdir "$DISKS"

# Ends the test as skipped, unless there are loop devices for it.
need_disks() {
  local why=
  if [ "$(id -u)" -ne 0 ]; then
    why="only root can make disks"
  elif [ ! -x "$HOMEFS_BUILD_DIR/tests/cut_disk" ]; then
    why="cut_disk is not built"
  elif ! losetup -f >/dev/null 2>&1; then
    why="there are no loop devices"
  fi
  [ -n "$why" ] || return 0
  echo "skipped: $why"
  exit 77
}

# make_disk NAME MIB [OPTIONS of mkfs.ext4...]
make_disk() {
  local image=$DISKS/$1.img mib=$2
  shift 2
  truncate -s "${mib}M" "$image"
  mkfs.ext4 -q -E nodiscard "$@" "$image"
}

# From the kernel, as losetup would ask the disk.
loop_of() {
  local file
  for file in /sys/block/loop*/loop/backing_file; do
    if [ "$(cat "$file" 2>/dev/null)" = "$DISKS/$1.raw/disk.img" ]; then
      file=${file%/loop/backing_file}
      echo "/dev/${file##*/}"
    fi
  done
}

# The program that is the disk, and a loop device on it.
start_disk() {
  mkdir -p "$DISKS/$1.raw" "$DISKS/$1"
  "$HOMEFS_BUILD_DIR/tests/cut_disk" "$DISKS/$1.img" "$DISKS/$1.raw" \
    </dev/null >"$E2E_DIR/logs/$1.log" 2>&1 &
  wait_until mountpoint -q "$DISKS/$1.raw"
}

power_on() {
  mountpoint -q "$DISKS/$1.raw" || start_disk "$1"
  disk_says "$1" on
  # Another test may take the device that this one was told of.
  local tries loop=
  for tries in 1 2 3 4 5; do
    if loop=$(losetup -f --show "$DISKS/$1.raw/disk.img" 2>/dev/null); then break; fi
    [ "$tries" -lt 5 ] || fail "no loop device for the disk $1"
    sleep 0.1
  done
  mount -t ext4 "$loop" "$DISKS/$1"
}

disk_says() {
  echo "$2" >"$DISKS/$1.raw/control"
}

# Its file system is gone when nothing has the loop device any more.
is_off() {
  [ -z "$(loop_of "$1")" ]
}

take_off() {
  local loop
  if mountpoint -q "$DISKS/$1"; then umount "$DISKS/$1" 2>/dev/null || umount -l "$DISKS/$1"; fi
  for loop in $(loop_of "$1"); do losetup -d "$loop"; done
  wait_until is_off "$1"
}

power_off() {
  take_off "$1"
}

# The server's machine loses its power: nothing it has said since is heard, its disk keeps what was
# synced and some of the rest.
cut_power() {
  kill -STOP "$E2E_SERVER_PID"
  disk_says "$1" "cut $2 $3"
  kill_server
  take_off "$1"
}

# From the next start on the server sees another boot of the machine, in name spaces of its own.
new_boot() {
  cat /proc/sys/kernel/random/uuid >"$E2E_DIR/server/boot_id"
  # shellcheck disable=SC2016,SC2034 # sh is to expand them; e2e.sh uses it
  E2E_SERVER_PREFIX=(unshare --mount --propagation slave sh -c
    'mount --bind "$0" /proc/sys/kernel/random/boot_id && exec "$@"' "$E2E_DIR/server/boot_id")
}

# Called by e2e.sh when the mounts are gone. Set -e is off.
take_disks_away() {
  local name loop end=$((SECONDS + 10))
  if [ -n "$E2E_SERVER_PID" ]; then
    kill -TERM "$E2E_SERVER_PID" 2>/dev/null
    while kill -0 "$E2E_SERVER_PID" 2>/dev/null && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
    kill -KILL "$E2E_SERVER_PID" 2>/dev/null
    wait "$E2E_SERVER_PID" 2>/dev/null
    E2E_SERVER_PID=
  fi
  for name in "$DISKS"/*.raw; do
    [ -d "$name" ] || continue
    name=$(basename "$name" .raw)
    if mountpoint -q "$DISKS/$name"; then
      umount "$DISKS/$name" 2>/dev/null || umount -l "$DISKS/$name"
    fi
    for loop in $(loop_of "$name"); do losetup -d "$loop" 2>/dev/null; done
    while ! is_off "$name" && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
    fusermount3 -u -q "$DISKS/$name.raw" 2>/dev/null || umount -l "$DISKS/$name.raw"
  done
}
