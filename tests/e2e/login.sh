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

begin "A mount whose token was revoked says so, and goes on after a login, with what was unsent"
login
mount_by_token
head -c 3000000 /dev/urandom >"$E2E_DIR/big"
token=$(tokens alice | grep -o '[0-9a-f]\{16\}' | head -n 1)
touch "$home/big"
"$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" token revoke alice "$token"
is_refused() { "$HOMEFS_BIN" status | grep -q 'REFUSED since'; }
wait_until is_refused
dd if="$E2E_DIR/big" of="$home/big" bs=1M conv=notrunc status=none & # its close(2) waits for seconds
writing=$!
is_unsent() { "$HOMEFS_BIN" status | grep -q 'unsent *2.9MiB'; }
wait_until is_unsent
assert_contains "$("$HOMEFS_BIN" status)" "run \"homefs login $target\""
login
wait_until cmp "$E2E_DIR/big" "$E2E_DIR/server/homes/alice/big"
wait "$writing" || fail "the program that wrote heard of it"
assert_lacks "$("$HOMEFS_BIN" status)" REFUSED
rm "$home/big"

begin "logout says which mounts it cuts off; they go on after the next login"
assert_contains "$("$HOMEFS_BIN" logout "$target" 2>&1)" "$home\" is mounted"
wait_until is_refused
login
wait_until ls "$home/file"
unmount_home "$home"

begin "A device has one token, however often it logs in"
login
login
assert_eq "$(tokens alice | grep -c '[0-9a-f]\{16\}')" 1 "tokens that the server knows"
"$HOMEFS_BIN" login "$target" --password-file "$E2E_DIR/secrets/alice" --device other
assert_contains "$(tokens alice)" other
assert_eq "$(tokens alice | grep -c '[0-9a-f]\{16\}')" 1 "tokens that the server knows"
"$HOMEFS_BIN" logout "$target"

begin "So does a mount whose server has another key, when that was accepted"
login
mount_by_token
stop_server
rm "$E2E_DIR/server/data/server.key" "$E2E_DIR/server/data/server.crt"
start_server
wait_until is_refused
assert_contains "$("$HOMEFS_BIN" status)" "known_servers"
sed -i "/^127.0.0.1:$E2E_PORT/d" "$XDG_CONFIG_HOME/homefs/known_servers"
login
assert_eq "$(cat "$home/file")" text
unmount_home "$home"
"$HOMEFS_BIN" logout "$target"

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
