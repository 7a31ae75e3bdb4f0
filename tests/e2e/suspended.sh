#!/bin/bash
# The machine of a mount has slept: its connections are dead without having been closed, as the routers
# between have forgotten them. The mount does not wait for its pings to be missed.
# The sleep is a jump of the clock (preload/slept_clock.cpp), the routers are support/wan_proxy.py.
# ctest: NOT sanitized
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

home=$E2E_DIR/alice
proxy=$HOMEFS_SOURCE_DIR/tests/support/wan_proxy.py
export HOMEFS_TEST_SLEPT=$E2E_DIR/slept

add_user alice 1GiB
start_server
python3 "$proxy" "$E2E_PORT" "$E2E_DIR/proxy" >"$E2E_DIR/proxy.port" 2>"$E2E_DIR/logs/proxy.log" &
wait_until test -s "$E2E_DIR/proxy.port"
E2E_PORT=$(cat "$E2E_DIR/proxy.port")
export LD_PRELOAD=$HOMEFS_BUILD_DIR/tests/libslept_clock.so
mount_home alice "$home"
unset LD_PRELOAD
reconnects() { "$HOMEFS_BIN" status --json | jq '.[0].link.reconnects'; }
# answers_within SECONDS: the mount answers what only the server knows.
answers_within() {
  local took
  took=$(seconds timeout 60 mkdir "$home/asked")
  rmdir "$home/asked"
  awk "BEGIN { exit !($took <= $1) }" || fail "took $took s, not $1"
}

begin "A sleep that the connections outlive breaks none"
echo 3600 >"$HOMEFS_TEST_SLEPT"
sleep 4 # the clock is looked at each second, and an answer waited for two
answers_within 1
assert_eq "$(reconnects)" 0

begin "After a sleep that they do not outlive the mount connects anew at once, idle or writing"
python3 "$proxy" --tell "$E2E_DIR/proxy" strand
echo 7200 >"$HOMEFS_TEST_SLEPT"
answers_within 6 # silence alone is noticed after two pings, 20 s
head -c 64M /dev/urandom >"$E2E_DIR/random"
cp "$E2E_DIR/random" "$home/random" &
copying=$!
wait_until test -s "$home/random"
python3 "$proxy" --tell "$E2E_DIR/proxy" strand
echo 10800 >"$HOMEFS_TEST_SLEPT"
wait "$copying"
answers_within 6
cmp "$E2E_DIR/random" "$home/random"
[ "$(reconnects)" -ge 1 ] || fail "has not connected anew"

unmount_home "$home"
stop_server
