#!/bin/bash
# What the kernel asks of the mount: the flags that libfuse 3.14 leaves out are agreed on.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

# requests KIND: how many of them the kernel has sent.
requests() {
  "$HOMEFS_BIN" status --json | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["kernel"]["requests"][sys.argv[1]])' "$1"
}

begin "A buffered write costs no question about security.capability"
before=$(requests getxattr)
dd if=/dev/zero of="$home/written" bs=4096 count=500 status=none
assert_eq "$(requests getxattr)" "$before"
[ "$(requests write)" -ge 500 ] || fail "the writes did not reach the mount"

begin "Two lookups in one folder are under way together"
mkdir "$home/folder"
touch "$home/folder/one" "$home/folder/two"
# Until then the mount knows the folder, having made it.
unmount_home "$home"
mount_home alice "$home"
ls -d "$home/folder" >/dev/null
before=$(requests lookup)
kill -STOP "$E2E_SERVER_PID"
stat "$home/folder/one" >/dev/null &
first=$!
stat "$home/folder/two" >/dev/null &
second=$!
both_asked() { [ "$(requests lookup)" -ge $((before + 2)) ]; }
wait_until both_asked
kill -CONT "$E2E_SERVER_PID"
wait "$first" "$second"

unmount_home "$home"
stop_server
