#!/bin/bash
# Device tokens: what `homefs login` keeps opens the home without a password, until `homefs logout`, or the
# owner of the server, takes it back.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
target=alice@127.0.0.1:$E2E_PORT
home=$E2E_DIR/alice
login() { "$HOMEFS_BIN" login "$target" --password-file "$E2E_DIR/secrets/alice" --accept-new-server; }
tokens() { "$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" token list "$@"; }
mount_by_token() {
  mkdir -p "$home"
  "$HOMEFS_BIN" mount "$target" "$home" </dev/null
}

begin "After login the home opens without a password"
assert_fails "not logged in" "$HOMEFS_BIN" logout "$target"
login
mount_by_token
echo text >"$home/file"
unmount_home "$home"
assert_eq "$("$HOMEFS_BIN" ls "$target/" </dev/null)" file

begin "logout takes it back, here and at the server, at once"
took=$(seconds "$HOMEFS_BIN" logout "$target")
[ "${took%.*}" -lt 5 ] || fail "logout took $took s"
assert_eq "$(tokens alice | grep -c 127.0.0.1 || true)" 0 "tokens that the server knows"
assert_fails "password" "$HOMEFS_BIN" ls "$target/" </dev/null
assert_fails "not logged in" "$HOMEFS_BIN" logout "$target"

begin "A mount of that token ends with it, another's goes on"
login
mount_by_token
"$HOMEFS_BIN" logout "$target"
cannot_list() { ! timeout 5 ls "$home/file"; }
wait_until cannot_list
"$HOMEFS_BIN" umount -f "$home" || true
mount_home alice "$home"
login
"$HOMEFS_BIN" logout "$target"
assert_eq "$(cat "$home/file")" text
unmount_home "$home"

begin "Whoever goes on with a token that was revoked locks out nobody"
change_server_config '.login.failures_before_lockout = 2'
stop_server
start_server
login
token=$(tokens alice | grep -o '[0-9a-f]\{16\}' | head -n 1)
cp -r "$XDG_STATE_HOME" "$E2E_DIR/state.kept"
cp -r "$XDG_CONFIG_HOME" "$E2E_DIR/config.kept"
"$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" token revoke alice "$token"
for _ in 1 2 3 4; do
  assert_fails "refuses alice" env "XDG_CONFIG_HOME=$E2E_DIR/config.kept" "XDG_STATE_HOME=$E2E_DIR/state.kept" \
    "$HOMEFS_BIN" ls "$target/"
done
assert_eq "$("$HOMEFS_BIN" ls --password-file "$E2E_DIR/secrets/alice" "$target/")" file
"$HOMEFS_BIN" logout "$target"

begin "logout without the server keeps nothing here, and says what is left to do"
login
stop_server
assert_fails "could not be told" "$HOMEFS_BIN" logout "$target"
assert_fails "not logged in" "$HOMEFS_BIN" logout "$target"
