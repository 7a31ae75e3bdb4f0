#!/bin/bash
# What docs/SEMANTICS.md promises and no other test shows.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

check() { timeout 60 python3 "$(dirname "$0")/../support/semantics_checks.py" "$@"; }

add_user alice 1GiB
add_user small 1MiB
start_server
a=$E2E_DIR/a
b=$E2E_DIR/b
mount_home alice "$a"

begin "With one mount a write does not wait for the server"
: >"$a/written"
kill -STOP "$E2E_SERVER_PID"
check write_in_time "$a/written"
kill -CONT "$E2E_SERVER_PID"

begin "An asynchronous O_DIRECT write leaves no older pages in the kernel"
if [ "$(uname -m)" = x86_64 ]; then # the check has the numbers of its system calls
  check direct_is_read "$a/direct"
fi

begin "fsync of a file and of a folder is an fsync on the server's disk"
touch "$a/synced"
sync "$a/synced" # and what was done to names before
strace -qq -f -p "$E2E_SERVER_PID" -e trace=fsync,fdatasync -o "$E2E_DIR/traced" 2>"$E2E_DIR/logs/strace.log" &
tracer=$!
is_traced() { [ "$(sed -n 's/^TracerPid:\s*//p' "/proc/$E2E_SERVER_PID/status")" = "$tracer" ]; }
if kill -0 "$tracer" 2>/dev/null && wait_until is_traced; then
  check fsync "$a/synced"
  kill "$tracer"
  wait "$tracer" || true
  assert_eq "$(grep -c ' fsync(.* = 0' "$E2E_DIR/traced")" 2 "fsync(2) of the file and of its folder"
  assert_eq "$(grep -c ' fdatasync(.* = 0' "$E2E_DIR/traced")" 2
else
  echo "SKIPPED: this machine does not let us look at the server's calls"
fi

begin "idmap=user: everything belongs to the user, and nothing is given away"
touch "$a/mine"
assert_eq "$(stat -c %u:%g "$a/mine")" "$(id -u):$(id -g)"
chown "$(id -u):$(id -g)" "$a/mine"
if [ "$(id -u)" -eq 0 ]; then
  assert_fails "Operation not permitted" chown 1234 "$a/mine"
  assert_fails "Operation not permitted" chgrp 1234 "$a/mine"
  assert_fails "Operation not permitted" mknod "$a/device" c 1 3
  assert_missing "$a/device"
fi

begin "A size that no file can have is EDQUOT where there is a quota"
mount_home small "$E2E_DIR/small"
check too_large "$E2E_DIR/small/file" EDQUOT

begin "What homefs does not have is refused as such"
check not_there "$E2E_DIR/small"
unmount_home "$E2E_DIR/small"

begin "Stores through a mapping take no quota: the size counts, with its holes"
mount_home small "$E2E_DIR/small"
truncate -s 1M "$E2E_DIR/small/sparse"
check fill_by_mmap "$E2E_DIR/small/sparse"
assert_fails "quota" dd if=/dev/zero of="$E2E_DIR/small/more" bs=1 count=1 status=none
cmp "$E2E_DIR/small/sparse" "$E2E_DIR/server/homes/small/sparse"
unmount_home "$E2E_DIR/small"

mount_home alice "$b"

begin "With two mounts every write waits for the server"
kill -STOP "$E2E_SERVER_PID"
check write_waits "$a/written"
kill -CONT "$E2E_SERVER_PID"

begin "A file that another mount removes or replaces stays readable and writable where it is open"
for way in rm mv; do
  echo first >"$a/open"
  exec 7<>"$a/open" 8<>"$b/open"
  if [ "$way" = rm ]; then rm "$b/open"; else echo other >"$b/new" && mv "$b/new" "$b/open"; fi
  assert_eq "$(cat "/proc/self/fd/7" 7<&7)" first
  printf second >&7
  assert_eq "$(head -c 6 <&8)" second
  assert_eq "$(stat -L -c %h /proc/self/fd/7 7<&7)" 0
  exec 7>&- 8>&-
  nothing_is_kept() { [ -z "$(find "$E2E_DIR/server/homes/.orphans" -type f)" ]; }
  wait_until nothing_is_kept
done

begin "Stores through a shared mapping are seen elsewhere when they are written back"
head -c 100000 /dev/zero >"$a/mapped"
check mapped_is_seen "$a/mapped" "$b/mapped"

begin "copy_file_range copies what fstat has made known"
check copy_known_size "$a/grows" "$b/grows" "$a/copy"

begin "A mount that cannot be reached keeps nobody from working, and catches up"
echo old >"$b/seen"
cat "$a/seen" >/dev/null
ls "$a" >/dev/null
daemon=$(mount_pid "$a")
kill -STOP "$daemon"
begun=$SECONDS
echo newer >"$b/seen"
mkdir "$b/made"
rm "$b/written"
[ $((SECONDS - begun)) -le 15 ] || fail "took $((SECONDS - begun)) s"
kill -CONT "$daemon"
assert_eq "$(cat "$a/seen")" newer
assert_exists "$a/made"
assert_missing "$a/written"
unmount_home "$b"

begin "Another file under the name of an open one is ESTALE, and no data of it is read"
head -c 3M /dev/zero >"$a/opened"
unmount_home "$a"
mount_home alice "$a"
exec 7<"$a/opened"
kill_server
head -c 3M /dev/urandom >"$E2E_DIR/server/homes/alice/.another"
mv "$E2E_DIR/server/homes/alice/.another" "$E2E_DIR/server/homes/alice/opened"
start_server 7<&-  # else it would have the file open as well
assert_fails "Stale file handle" cat <&7
exec 7<&-

unmount_home "$a"
stop_server
