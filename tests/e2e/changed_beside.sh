#!/bin/bash
# What programs on the server change in a home is seen by its mounts, sole or not, and counted.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 100MiB
start_server
a=$E2E_DIR/a
home=$E2E_DIR/server/homes/alice
mount_home alice "$a"

used() { getfattr --only-values -n user.homefs.quota.used_bytes "$a"; }
# In the way of the server's own files: for it to read and write.
put() { printf '%s' "$2" >"$home/$1" && chmod 644 "$home/$1" && chown --reference="$home" "$home/$1"; }
is() { [ "$(cat "$a/$1" 2>/dev/null)" = "$2" ]; }

changes_are_seen() {
  begin "$1: a file that is made, written where it is, replaced and removed beside the server"
  mkdir "$a/d"
  assert_eq "$(ls "$a/d")" ""
  assert_missing "$a/d/new"
  put d/new one
  wait_until is d/new one
  assert_eq "$(ls "$a/d")" new
  exec 5<"$a/d/new"
  put d/new two
  wait_until is d/new two
  assert_eq "$(cat <&5)" two
  exec 5<&-
  put d/next three
  mv "$home/d/next" "$home/d/new"
  wait_until is d/new three
  rm "$home/d/new"
  is_gone() { ! test -e "$a/d/new"; }
  wait_until is_gone

  begin "$1: a listing, a size and a mode"
  echo longer >"$a/d/own"
  stat "$a/d/own" >"$E2E_DIR/stat"
  printf x >>"$home/d/own"
  has_size() { [ "$(stat -c %s "$a/d/own")" = 8 ]; }
  wait_until has_size
  assert_eq "$(cat "$a/d/own")" "$(printf 'longer\nx')"
  chmod 600 "$home/d/own"
  has_mode() { [ "$(stat -c %a "$a/d/own")" = 600 ]; }
  wait_until has_mode

  begin "$1: rm -r of a folder in which somebody has put something"
  put d/zz x
  wait_until rm -rf "$a/d"
  assert_missing "$home/d"

  begin "$1: a tree that is moved, and one that is restored"
  mkdir -p "$a/t/u"
  echo deep >"$a/t/u/f"
  mv "$home/t" "$home/moved"
  wait_until is moved/u/f deep
  assert_missing "$a/t"
  mkdir "$E2E_DIR/backup"
  for i in {1..500}; do echo "$i" >"$E2E_DIR/backup/$i"; done
  chown -R --reference="$home" "$E2E_DIR/backup"
  cp -a "$E2E_DIR/backup" "$home/moved/u/restored"
  wait_until diff -r "$E2E_DIR/backup" "$a/moved/u/restored"
  rm -r "$a/moved" "$E2E_DIR/backup"
}

changes_are_seen "One mount"

begin "What is restored counts in the quota, also when it is removed through the mount"
head -c 60000000 /dev/zero >"$home/restored"
chown --reference="$home" "$home/restored"
counts() { [ "$(used)" = "$1" ]; }
wait_until counts 60000000
assert_fails "quota" dd if=/dev/zero of="$a/more" bs=1M count=50 status=none
rm -f "$a/more"
rm "$a/restored"
wait_until counts 0

begin "homefsd user recount, and rescan for what the kernel does not tell of"
echo before >"$a/mapped"
cat "$a/mapped" >"$E2E_DIR/out"
homefsd user recount alice
python3 - "$home/mapped" <<'P'
import mmap, sys
with open(sys.argv[1], "r+b") as f, mmap.mmap(f.fileno(), 6) as m:
    m[0:6] = b"AFTER!"
P
homefsd rescan alice
wait_until is mapped "AFTER!"
assert_fails "no account" homefsd rescan nobody
rm "$a/mapped"

begin "A quota that is lowered below the use refuses growth at once"
head -c 5000000 /dev/zero >"$a/five"
homefsd user quota alice 1MiB
is_told() { [ "$(df --output=size -B1 "$a" | tail -n 1 | tr -d ' ')" = 1048576 ]; }
wait_until is_told
assert_fails "quota" dd if=/dev/zero of="$a/more" bs=65536 count=1 status=none
assert_eq "$(stat -c %s "$home/more")" 0
homefsd user quota alice 100MiB
rm "$a/five" "$a/more"

b=$E2E_DIR/b
mount_home alice "$b"
ls "$b" >"$E2E_DIR/out"
changes_are_seen "Two mounts"

unmount_home "$a"
unmount_home "$b"
stop_server
