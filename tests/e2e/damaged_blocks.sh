#!/bin/bash
# A bit that flips behind TLS is caught by the block's MD5, the block is sent again, the file is
# right and the side log says what happened. Needs a build with the injection points.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

if [ "${HOMEFS_FAULTS:-0}" != 1 ]; then
  echo "this build has no injection points"
  exit 0
fi

add_user alice 1GiB
start_server
home=$E2E_DIR/alice
head -c 20M /dev/urandom >"$E2E_DIR/random"

mismatches() {
  "$HOMEFS_BIN" status --json | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["link"]["block_mismatches"])'
}

begin "On the way up"
export HOMEFS_FAULT_FLIP=send:7
mount_home alice "$home"
cp "$E2E_DIR/random" "$home/up"
[ "$(mismatches)" -ge 1 ] || fail "no block was damaged"
unset HOMEFS_FAULT_FLIP
unmount_home "$home"
cmp "$E2E_DIR/random" "$E2E_DIR/server/homes/alice/up"

begin "On the way down"
export HOMEFS_FAULT_FLIP=recv:7
mount_home alice "$home"
cmp "$E2E_DIR/random" "$home/up"
unset HOMEFS_FAULT_FLIP
unmount_home "$home"
grep -rhq mismatch "$E2E_DIR" --include=transfers.jsonl || fail "the side log says nothing"

stop_server
