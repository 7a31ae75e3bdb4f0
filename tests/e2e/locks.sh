#!/bin/bash
# File locks: between programs of one mount and of two mounts of a home, over broken programs,
# daemons and servers; and programs that rely on them.
# ctest: TIMEOUT 600
#
# HOMEFS_LOCK_ROUNDS: how often each process counts in the databases.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

checks=$(dirname "$0")/../support/lock_checks.py
rounds=${HOMEFS_LOCK_ROUNDS:-25}

add_user alice 1GiB
change_server_config '.session.linger_seconds = 3'
start_server
one=$E2E_DIR/one
two=$E2E_DIR/two
mount_home alice "$one"
mount_home alice "$two"

# hold FILE KIND: returns when a process holds the lock; it is ended by let_go.
hold() {
  rm -f "$E2E_DIR/logs/holder.log"
  python3 "$checks" hold "$1" "$2" </dev/null >"$E2E_DIR/logs/holder.log" 2>&1 &
  holder=$!
  wait_until grep -q held "$E2E_DIR/logs/holder.log"
}

let_go() {
  kill -TERM "$holder"
  wait "$holder" || true
}

python3 "$checks" basic "$one" "$two"

begin "flock(1) between two mounts, and a wait that is interrupted"
touch "$one/lock"
hold "$one/lock" flock
assert_fails "" flock -n "$two/lock" true
result=0
timeout -s INT 0.3 flock "$two/lock" true || result=$?
assert_eq "$result" 124
let_go
flock -n "$two/lock" true

begin "A mount that is gone keeps its locks for as long as its session lingers, and no longer"
for kind in flock posix ofd; do
  mount_home alice "$E2E_DIR/three"
  hold "$E2E_DIR/three/lock" "$kind"
  kill -KILL "$(mount_pid "$E2E_DIR/three")"
  assert_fails "" python3 "$checks" try "$one/lock" "$kind"
  wait_until python3 "$checks" try "$one/lock" "$kind"
  let_go
  fusermount3 -u -z "$E2E_DIR/three"
done

begin "An unmount gives them free at once"
mount_home alice "$E2E_DIR/three"
hold "$E2E_DIR/three/lock" posix
let_go
unmount_home "$E2E_DIR/three"
python3 "$checks" try "$one/lock" posix

begin "Locks survive a restart of the server, and nobody else gets them meanwhile"
hold "$one/lock" posix
stop_server
start_server
assert_fails "" python3 "$checks" try "$two/lock" posix
python3 "$checks" hold "$two/lock" posix </dev/null >"$E2E_DIR/logs/waiter.log" 2>&1 &
waiter=$!
sleep 0.3
stop_server
start_server
assert_fails "" python3 "$checks" try "$two/lock" posix
[ ! -s "$E2E_DIR/logs/waiter.log" ] || fail "two have the lock"
let_go
wait_until grep -q held "$E2E_DIR/logs/waiter.log"
holder=$waiter
let_go

begin "So they do when it is killed"
hold "$one/lock" ofd
kill_server
start_server
assert_fails "" python3 "$checks" try "$two/lock" ofd
let_go
wait_until python3 "$checks" try "$two/lock" ofd

begin "A loss of power loses them: who held one hears EIO, and everything goes on"
python3 "$checks" after "$one/lock" "$E2E_DIR/go" </dev/null >"$E2E_DIR/logs/after.log" 2>&1 &
after=$!
wait_until grep -q held "$E2E_DIR/logs/after.log"
kill_server
# As another boot finds them: not to be trusted.
for session in "$E2E_DIR"/server/data/sessions/*.session; do
  printf 'another' | dd of="$session" bs=1 seek=16 conv=notrunc status=none
done
start_server
wait_until python3 "$checks" try "$two/lock" posix
stat "$one/lock" >/dev/null
touch "$E2E_DIR/go"
wait "$after"
assert_eq "$(tail -n 1 "$E2E_DIR/logs/after.log")" EIO
python3 "$checks" try "$one/lock" posix
wait_until grep -rqs "has lost the locks" "$XDG_STATE_HOME/homefs" "$E2E_DIR/logs"

begin "SQLite with a rollback journal: four processes in two mounts count $rounds times each"
python3 "$checks" sqlite delete "$rounds" "$one" "$one" "$two" "$two"

begin "SQLite with a write-ahead log: four processes in one mount"
python3 "$checks" sqlite wal "$rounds" "$one" "$one" "$one" "$one"

begin "The same in two mounts: one at a time, and nothing is lost"
python3 "$checks" wal-by-turns 20 "$one" "$two"

begin "A mail spool, locked by link(2)"
python3 "$checks" spool "$rounds" "$one" "$one" "$two" "$two"

unmount_home "$one"
unmount_home "$two"
stop_server
