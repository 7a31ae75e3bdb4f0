#!/bin/bash
# Where a home can be mounted, by which names it is found again, and what is said of a mount whose daemon is
# gone.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
home=$E2E_DIR/alice
mount_on() {
  "$HOMEFS_BIN" mount -s 127.0.0.1 -P "$E2E_PORT" -u alice --password-file "$E2E_DIR/secrets/alice" \
    --accept-new-server "$@"
}
status_of() { local status=0; "$@" >/dev/null 2>&1 || status=$?; echo "$status"; }

begin "What is no folder, or not there, is refused in one line"
echo precious >"$E2E_DIR/file"
assert_fails "not a directory" mount_on "$E2E_DIR/file"
assert_eq "$(cat "$E2E_DIR/file")" precious
assert_fails "make it first" mount_on "$E2E_DIR/nothing"
assert_eq "$(status_of mount_on "$E2E_DIR/nothing")" 6
assert_eq "$(mount_on "$E2E_DIR/nothing" 2>&1 | wc -l)" 1

begin "So is a folder on which a home is mounted"
mount_home alice "$home"
echo text >"$home/file"
assert_fails "mounted already" mount_on "$home"
assert_eq "$(cat "$home/file")" text
assert_eq "$(grep -c " $home " /proc/self/mountinfo)" 1

begin "A symlink to it, or above it, names the same mount"
ln -s "$home" "$E2E_DIR/link"
ln -s "$E2E_DIR" "$E2E_DIR/above"
assert_fails "mounted already" mount_on "$E2E_DIR/above/alice"
"$HOMEFS_BIN" umount "$E2E_DIR/link"
not_mounted "$home" || fail "still mounted"
mount_on "$E2E_DIR/above/alice/"
assert_contains "$("$HOMEFS_BIN" status)" "on \"$home\" "
"$HOMEFS_BIN" umount "$home"

begin "A mount whose daemon was killed is shown, and mounted anew"
mount_home alice "$home"
kill -9 "$(mount_pid "$home")"
is_dead() { ! ls "$home"; }
wait_until is_dead
assert_contains "$("$HOMEFS_BIN" status)" "\"$home\": no daemon answers"
mount_on "$home"
assert_eq "$(cat "$home/file")" text
assert_lacks "$("$HOMEFS_BIN" status)" "no daemon"
unmount_home "$home"
assert_eq "$("$HOMEFS_BIN" status)" "Nothing is mounted."

begin "A file that is closed after its mount was detached has arrived, and is not called cut"
for i in 1 2 3 4 5; do
  mount_home alice "$home"
  daemon=$(mount_pid "$home")
  exec 7>"$home/late$i"
  head -c 3000000 /dev/urandom >&7
  "$HOMEFS_BIN" umount -l "$home"
  exec 7>&-
  ended() { ! kill -0 "$daemon"; }
  wait_until ended
  assert_eq "$(stat -c %s "$E2E_DIR/server/homes/alice/late$i")" 3000000
done
assert_lacks "$("$HOMEFS_BIN" progress)" late

begin "A profile means the same from every folder"
cd "$E2E_DIR"
"$HOMEFS_BIN" profile add relative "alice@127.0.0.1:$E2E_PORT" alice --password-file secrets/alice
cd /
"$HOMEFS_BIN" mount --profile relative
assert_eq "$(cat "$home/file")" text
unmount_home "$home"
