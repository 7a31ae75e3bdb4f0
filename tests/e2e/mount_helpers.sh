#!/bin/bash
# mount(8), umount(8) and .mount units with the type fuse.homefs, by an ordinary user: the helpers
# mount.fuse.homefs and umount.fuse.homefs are found and understand what they are called with.
set -euo pipefail
# shellcheck source=../support/user_e2e.sh
. "$(dirname "$0")/../support/user_e2e.sh"

remote=$HOME/Remote
mkdir "$remote"
add_user alice 1GiB
start_server
source="alice@127.0.0.1:$E2E_PORT"
homefs login "$source" --password-file "$E2E_DIR/secrets/alice" --accept-new-server

begin "mount -t fuse.homefs mounts, and findmnt shows what"
mount -t fuse.homefs "$source" "$remote" -o relatime,nosuid,nodev,x-test.unknown=1
assert_eq "$(findmnt -n -o FSTYPE "$remote")" fuse.homefs
assert_contains "$(findmnt -n -o SOURCE "$remote")" alice@127.0.0.1
assert_contains "$(findmnt -n -o OPTIONS "$remote")" noatime # reading changes no time
echo text >"$remote/file"

begin "umount of a mount in use is refused"
exec 7<"$remote/file"
assert_fails busy umount "$remote"
exec 7<&-

begin "umount unmounts, for the user who has mounted"
umount "$remote"
wait_until not_mounted "$remote"
assert_eq "$(cat "$E2E_DIR/server/homes/alice/file")" text

begin "umount -l detaches a mount in use"
mount -t fuse.homefs "$source" "$remote"
exec 7<"$remote/file"
umount -l "$remote"
not_mounted "$remote" || fail "still mounted"
assert_eq "$(cat <&7)" text "a file that is open in a detached mount"
exec 7<&-

begin "A .mount unit of the user starts and stops"
unit=$(systemd-escape --path --suffix=mount "$remote")
mkdir -p ~/.config/systemd/user
printf '[Mount]\nWhat=%s\nWhere=%s\nType=fuse.homefs\nOptions=nosuid,nodev\n' "$source" "$remote" \
  >~/.config/systemd/user/"$unit"
systemctl --user daemon-reload
systemctl --user start "$unit"
assert_eq "$(cat "$remote/file")" text
systemctl --user stop "$unit"
assert_eq "$(systemctl --user show -P Result "$unit")" success
not_mounted "$remote" || fail "still mounted"

begin "A wrong source is an error that mount(8) passes on"
assert_fails homefs mount -t fuse.homefs "bob@127.0.0.1:$E2E_PORT" "$remote"
stop_server
