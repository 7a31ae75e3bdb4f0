#!/bin/bash
# A daemon that is killed while a thread of it waits in the kernel, for a page that only it could have filled:
# its programs hear of it at once, and the next mount goes on.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

proxy=$(dirname "$0")/../support/wan_proxy.py
near=$E2E_DIR/near
far=$E2E_DIR/far

add_user alice 1GiB
start_server
python3 "$proxy" "$E2E_PORT" "$E2E_DIR/control" >"$E2E_DIR/port" 2>"$E2E_DIR/logs/proxy.log" &
network=$!
wait_until test -s "$E2E_DIR/port"
mount_home alice "$near"
head -c 8000000 /dev/urandom >"$near/file"
own=$E2E_PORT
E2E_PORT=$(cat "$E2E_DIR/port")
mount_home alice "$far"
daemon=$(mount_pid "$far")

begin "A notification waits for a page of a read that is not answered"
python3 "$proxy" --tell "$E2E_DIR/control" delay 600000 2 # what is bulk comes in ten minutes
cat "$far/file" >"$E2E_DIR/read" 2>"$E2E_DIR/logs/cat.log" &
reader=$!
is_asking() { "$HOMEFS_BIN" status --json | jq -e ".[] | select(.mount.pid == $daemon) | .kernel.requests.read > 0"; }
wait_until is_asking
echo more >>"$near/file"
waits_in_kernel() { grep -l '^State:[[:space:]]*D' /proc/"$daemon"/task/*/status; }
wait_until waits_in_kernel

begin "The daemon is killed: the program hears of it, and the home can be mounted again"
kill -KILL "$daemon"
has_ended() { ! kill -0 "$reader"; }
wait_until has_ended
assert_fails "not connected" ls "$far"
timeout 60 "$HOMEFS_BIN" mount -s "$E2E_ADDRESS" -P "$own" -u alice --password-file "$E2E_DIR/secrets/alice" \
  --accept-new-server "$far" </dev/null >"$E2E_DIR/logs/again.log" 2>&1 || fail "the next mount"
cmp "$near/file" "$far/file"
unmount_home "$far"
unmount_home "$near"
no_guard() { ! grep -lz '^homefs-guard$' /proc/[0-9]*/cmdline 2>/dev/null | grep -qf <(marked_processes | sed 's,.*,/proc/&/,'); }
wait_until no_guard
stop_server
kill "$network"
