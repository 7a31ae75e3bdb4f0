#!/bin/bash
# Random calls give the same answers in a mount, in two mounts of one home, and in a local folder.
# HOMEFS_CALLS: how many of them (3000); HOMEFS_OPERATIONS: on one file (10000); HOMEFS_SEED: which.
# Drops the caches of the whole machine now and then, which other tests would see.
# ctest: TIMEOUT 900
# ctest: RUN_SERIAL
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

seed=${HOMEFS_SEED:-20261122}
add_user alice 2GiB
start_server
a=$E2E_DIR/a
b=$E2E_DIR/b
mount_home alice "$a"
mkdir "$E2E_DIR/local"

compare() {
  chmod -R u+rwx "$E2E_DIR/local" "$a"
  rm -rf "$E2E_DIR/local" "${a:?}"/*
  mkdir "$E2E_DIR/local"
  python3 "$HOMEFS_SOURCE_DIR/tests/support/same_answers.py" "$E2E_DIR/local" "$1" \
    "${HOMEFS_CALLS:-3000}" "$seed"
}

begin "Calls give the answers of a local folder, with its errors, times and contents"
compare "$a"

begin "One file that is written, mapped, cut, punched and copied reads as a plain array of bytes"
"$HOMEFS_BUILD_DIR/tests/file_exerciser" "$a/exercised" "${HOMEFS_OPERATIONS:-10000}" "$seed"

begin "So do calls through two mounts of the home in turn"
mount_home alice "$b"
compare "$a,$b"

begin "And one file in a home that is mounted twice"
"$HOMEFS_BUILD_DIR/tests/file_exerciser" "$b/exercised" "$((${HOMEFS_OPERATIONS:-10000} / 4))" "$seed"

unmount_home "$b"
unmount_home "$a"
stop_server
