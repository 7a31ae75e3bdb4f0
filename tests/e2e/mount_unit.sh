#!/bin/bash
# The sample of a .mount unit, as installed, in the hands of an ordinary user under a real user
# manager: enabled, started, used, its daemon killed, restarted, stopped; nothing is lost.
set -euo pipefail
# shellcheck source=../support/user_e2e.sh
. "$(dirname "$0")/../support/user_e2e.sh"

remote=$HOME/Remote
stored=$E2E_DIR/server/homes/alice
unit=$(systemd-escape --path --suffix=mount "$remote")
state() { systemctl --user show -P "$1" "$unit"; }
# The process that serves the mount; the unit's own was mount(8), which has ended.
daemon() { homefs status --json | jq -r '.[].mount.pid'; }

add_user alice 1GiB
start_server
mkdir "$remote"
homefs login "alice@127.0.0.1:$E2E_PORT" --password-file "$E2E_DIR/secrets/alice" \
  --accept-new-server
mkdir -p ~/.config/systemd/user
sed -e "s#^What=.*#What=alice@127.0.0.1:$E2E_PORT#" -e "s#^Where=.*#Where=$remote#" \
  /usr/share/homefs/home-alice-Remote.mount >~/.config/systemd/user/"$unit"
systemctl --user daemon-reload

begin "The sample is enabled and started, by an ordinary user"
[ "$(id -u)" -ne 0 ] || fail "this is root"
systemctl --user enable --now "$unit" 2>&1
assert_eq "$(systemctl --user is-enabled "$unit")" enabled
assert_eq "$(state ActiveState)" active
assert_eq "$(findmnt -n -o FSTYPE "$remote")" fuse.homefs

begin "Files are copied into it and are on the server"
head -c 20000000 /dev/urandom >"$E2E_DIR/data"
cp "$E2E_DIR/data" "$remote/data"
mkdir "$remote/folder"
cp -r /usr/share/homefs "$remote/folder/"
cmp "$E2E_DIR/data" "$stored/data"
diff -r /usr/share/homefs "$stored/folder/homefs"

begin "A program that uses the mount keeps it from being stopped"
exec 7<"$remote/data"
systemctl --user stop "$unit" 2>/dev/null || true
assert_eq "$(state ActiveState)" active
exec 7<&-

begin "After kill -9 of its daemon the mount comes back by restarting the unit"
before=$(daemon)
kill -KILL "$before"
fails_now() { ! timeout 5 stat "$remote/data"; }
wait_until fails_now
systemctl --user restart "$unit"
assert_eq "$(state ActiveState)" active
[ "$(daemon)" != "$before" ] || fail "the same process"
cmp "$E2E_DIR/data" "$remote/data"
echo second >"$remote/second"

begin "Stop unmounts, and everything is on the server"
cp "$E2E_DIR/data" "$remote/third"
systemctl --user stop "$unit"
assert_eq "$(state ActiveState)" inactive
assert_eq "$(state Result)" success
not_mounted "$remote" || fail "still mounted"
cmp "$E2E_DIR/data" "$stored/third"
assert_eq "$(cat "$stored/second")" second
has_ended() { [ -z "$(daemon)" ]; }
wait_until has_ended
stop_server
