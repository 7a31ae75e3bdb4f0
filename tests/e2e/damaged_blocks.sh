#!/bin/bash
# A bit that flips behind TLS is caught by the block's MD5, the block is sent again, the file is
# right, and the status, the log and the side log say what happened. Needs a build with the
# injection points.
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

# mount_damaging RULE: mounts with a bit flipped as RULE says; every mount has its own state.
mount_damaging() {
  rm -rf "$XDG_STATE_HOME/homefs"
  if [ -n "$1" ]; then export HOMEFS_FAULT_FLIP=$1; fi
  mount_home alice "$home"
  unset HOMEFS_FAULT_FLIP
}

mismatches() {
  "$HOMEFS_BIN" status --json | jq '.[0].link.block_mismatches'
}

# side_log FILTER: the records of the last mount, through jq. Complete after unmount_home.
side_log() {
  cat "$XDG_STATE_HOME"/homefs/*/transfers.jsonl | jq -sc "$1"
}

# assert_told DIRECTION PATH COUNT: the side log names each of COUNT damaged blocks, with the file
# and the place of the block in it, and the log warns of them.
assert_told() {
  local records
  records=$(side_log '[.[] | select(.event == "block-mismatch")]')
  assert_eq "$(jq length <<<"$records")" "$3" "damaged blocks in the side log"
  assert_eq "$(jq -c --arg direction "$1" --arg path "$2" '[.[] | select(
      .direction != $direction or .path != $path or .attempt < 1 or .offset >= 20971520 or
      .offset % 65536 != 0 or has("id"))]' <<<"$records")" "[]" "wrong records"
  assert_eq "$(cat "$XDG_STATE_HOME"/homefs/*/homefs.log | grep -c 'damaged')" "$3" "in the log"
}

mkdir "$E2E_DIR/small"
for i in $(seq 40); do head -c 5000 /dev/urandom >"$E2E_DIR/small/$i"; done

begin "Without a fault nothing is reported"
mount_damaging ""
cp "$E2E_DIR/random" "$home/clean"
cp -r "$E2E_DIR/small" "$home/small"
cmp "$E2E_DIR/random" "$home/clean"
assert_eq "$(mismatches)" 0
unmount_home "$home"
assert_eq "$(side_log 'map(select(.event == "block-mismatch")) | length')" 0

begin "A block that is damaged on the way up is sent again"
# Fewer than four times as many frames are sent: no block can be hit each time that it is.
mount_damaging send:11
cp "$E2E_DIR/random" "$home/up"
count=$(mismatches)
[ "$count" -ge 1 ] || fail "no block was damaged"
unmount_home "$home"
cmp "$E2E_DIR/random" "$E2E_DIR/server/homes/alice/up"
assert_told up up "$count"
assert_eq "$(side_log 'map(select(.event == "done" and .path == "up"))[0].bytes')" 20971520

begin "A block that is damaged on the way down is asked for again"
mount_damaging recv:11
cmp "$E2E_DIR/random" "$home/up"
count=$(mismatches)
[ "$count" -ge 1 ] || fail "no block was damaged"
unmount_home "$home"
assert_told down up "$count"

begin "So is a file of many that are read ahead in one answer"
mount_damaging recv:3
diff -r "$E2E_DIR/small" "$home/small"
[ "$(mismatches)" -ge 1 ] || fail "no block was damaged"
unmount_home "$home"

begin "A write that never arrives undamaged fails, and nothing wrong is stored"
mount_damaging send:1
assert_fails "Input/output error" cp "$E2E_DIR/random" "$home/never"
[ "$(mismatches)" -ge 4 ] || fail "it was not tried four times"
unmount_home "$home"
assert_eq "$(tr -d '\0' <"$E2E_DIR/server/homes/alice/never" | wc -c)" 0 "damaged bytes were stored"
assert_eq "$(side_log 'map(select(.event == "block-mismatch") | .attempt) | max')" 4
assert_eq "$(side_log 'map(select(.event == "failed") | .path)')" '["never"]'

begin "A read that never arrives undamaged fails"
mount_damaging recv:1
assert_fails "Input/output error" cat "$home/up"
unmount_home "$home"
assert_eq "$(side_log 'map(select(.event == "block-mismatch") | .attempt) | max')" 4

stop_server
