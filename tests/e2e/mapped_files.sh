#!/bin/bash
# Files that programs store to through mmap(2), in one mount and in two.
# HOMEFS_SECONDS: how long the random uses take (10); HOMEFS_SEED: which.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
a=$E2E_DIR/a
b=$E2E_DIR/b
mount_home alice "$a"

check() { python3 "$HOMEFS_SOURCE_DIR/tests/support/mapped_checks.py" "$@"; }

begin "Alone: a time that is set after a store stays, one that was set before it moves"
check times_stay "$a" "$a"
check time_moves "$a" "$a"

begin "Alone: data that was stored is no hole"
check no_hole "$a" "$a"

begin "Alone: the MD5 of a file has what was stored"
python3 -c 'import hashlib, mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(file, b"a" * 5000)
memory = mmap.mmap(file, 5000)
memory[4000] = 66
said = os.getxattr(sys.argv[1], "user.homefs.md5").decode()
assert said == hashlib.md5(memory[:]).hexdigest(), said' "$a/md5"

begin "What was stored before another mount comes is seen by it"
mkfifo "$E2E_DIR/go"
python3 -c 'import mmap, os, sys
file = os.open(sys.argv[1], os.O_RDWR | os.O_CREAT)
os.write(file, bytes(4096))
os.fsync(file)
memory = mmap.mmap(file, 4096)
memory[0:6] = b"stored"
print("stored", flush=True)
sys.stdin.read()' "$a/early" <"$E2E_DIR/go" >"$E2E_DIR/said" &
holder=$!
exec 7>"$E2E_DIR/go"
wait_until grep -q stored "$E2E_DIR/said"
mount_home alice "$b" 7>&-
assert_eq "$(head -c 6 "$b/early")" stored
exec 7>&-
wait "$holder"

for what in truncation_wins count_under_lock times_stay time_moves writers_do_not_wait no_hole \
  mapping_grows locks_of_readers; do
  begin "In two mounts: $what"
  check "$what" "$a" "$b"
  check "$what" "$b" "$a"
done

begin "Two mounts that map, store, lock, cut and create at random do not wait for each other for ever"
check random_uses "$a" "$b"

begin "A file is given to another group of its user, which keeps what it was"
group=$(id -G | tr ' ' '\n' | grep -vx "$(id -g)" | head -n 1 || true)
as_member=()
if [ "$(id -u)" = 0 ]; then
  group=100
  as_member=(setpriv --groups "$group")
fi
if [ -n "$group" ]; then
  touch "$a/grouped"
  "${as_member[@]}" chgrp "$group" "$a/grouped"
  assert_eq "$(stat -c %g "$a/grouped")" "$(stat -c %g "$a")"
fi

if [ "$(id -u)" = 0 ]; then
  helper=$E2E_DIR/mount.fuse.homefs
  ln -s "$HOMEFS_BIN" "$helper"

  begin "A mount is made read-only, and writable again, as mount -o remount asks its helper to"
  "$helper" alice@files "$a" -o remount,ro
  assert_fails "Read-only" touch "$a/refused"
  [[ ,$(findmnt -n -o OPTIONS "$a"), == *,nosuid,*,noatime,* ]] || fail "other options have changed"
  "$helper" alice@files "$a" -o remount,rw
  touch "$a/taken"

  begin "It stays writable while a file is open for writing"
  exec 7>"$a/open"
  assert_fails "" "$helper" alice@files "$a" -o remount,ro
  exec 7>&-
  touch "$a/taken"

  begin "A mount of it with mapped ids shows them, and takes them, where the kernel can (6.12)"
  mkdir "$E2E_DIR/mapped"
  mount_home alice "$E2E_DIR/c" -o allow_other
  python3 "$HOMEFS_SOURCE_DIR/tests/support/id_mapped.py" "$E2E_DIR/c" "$E2E_DIR/mapped"
fi
stop_server
