#!/bin/bash
# The user's unit homefs@.service, as installed, under a real user manager: started it is mounted,
# stopped it is not, killed it comes back, and a server that is away does not end it.
set -euo pipefail
# shellcheck source=../support/user_e2e.sh
. "$(dirname "$0")/../support/user_e2e.sh"

remote=$HOME/Remote
unit() { systemctl --user show -P "$1" homefs@files; }
# The journal is not there; what the service says goes to a file.
mkdir -p ~/.config/systemd/user/homefs@.service.d
printf '[Service]\nStandardOutput=append:%s\nStandardError=append:%s\n' \
  "$E2E_DIR/logs/unit.log" "$E2E_DIR/logs/unit.log" \
  >~/.config/systemd/user/homefs@.service.d/log.conf
systemctl --user daemon-reload

add_user alice 1GiB
start_server

begin "After a login the unit needs no password"
homefs login "alice@127.0.0.1:$E2E_PORT" --password-file "$E2E_DIR/secrets/alice" \
  --accept-new-server
rm "$E2E_DIR/secrets/alice"
mkdir "$remote"
homefs profile add files "alice@127.0.0.1:$E2E_PORT" "$remote"
systemctl --user enable --now homefs@files 2>&1

begin "When start returns, the home is mounted"
assert_eq "$(unit ActiveState)" active
mountpoint -q "$remote" || fail "not mounted"
echo first >"$remote/file"
assert_eq "$(cat "$E2E_DIR/server/homes/alice/file")" first

begin "A killed daemon is started again and mounts over what it left"
before=$(unit MainPID)
kill -KILL "$before"
is_back() {
  [ "$(unit MainPID)" != "$before" ] && [ "$(unit ActiveState)" = active ] &&
    [ "$(timeout 5 cat "$remote/file")" = first ]
}
wait_until is_back

begin "A server that is away does not end the service"
main=$(unit MainPID)
stop_server
timeout 5 stat "$remote" >/dev/null || true  # Waits for nothing, or fails; it must not hang.
start_server
echo second >"$remote/second"
assert_eq "$(unit MainPID)" "$main" "another process"

begin "Stop sends what is still to be sent, and unmounts"
head -c 3000000 /dev/urandom >"$E2E_DIR/data"
cp "$E2E_DIR/data" "$remote/data"
systemctl --user stop homefs@files
assert_eq "$(unit Result)" success
not_mounted "$remote" || fail "still mounted"
cmp "$E2E_DIR/data" "$E2E_DIR/server/homes/alice/data"
stop_server
