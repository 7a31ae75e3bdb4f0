#!/bin/bash
# A mount whose daemon is killed (kill -9) at random moments under programs that work: what they were told
# is done is there, nothing is torn, and the next mount goes on at once on the same mount point.
# ctest: TIMEOUT 600
#
# HOMEFS_KILLS (8): how many in all. HOMEFS_SEED: of their moments. HOMEFS_KILLED_FILES (1500): of the
# archive. HOMEFS_KILLED_MIB (128): how much is written at once.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

killed=$(dirname "$0")/../support/killed_client.py
checks=$(dirname "$0")/../support/lock_checks.py
kills=${HOMEFS_KILLS:-8}
files=${HOMEFS_KILLED_FILES:-1500}
mib=${HOMEFS_KILLED_MIB:-128}
seed=${HOMEFS_SEED:-$$}
RANDOM=$seed
echo "seed $seed"
home=$E2E_DIR/alice
log=$E2E_DIR/logs/told.log
under_way=0 # kills that came while the program worked

add_user alice 8GiB
start_server
mount_home alice "$home"

# The mount point is left as the kill left it: homefs mount has to manage.
mount_again() {
  client alice mount "$home" </dev/null >"$E2E_DIR/logs/again.log" 2>&1 || fail "mount after the kill"
  mountpoint -q "$home" || fail "no mount after the kill"
}

# kill_mount: kills the daemon of $home; on its mount point every call fails from then on.
kill_mount() {
  kill -KILL "$(mount_pid "$home")"
  assert_fails "not connected" ls "$home"
}

has_begun() { [ -n "$(ls -A "$home/work")" ]; }
# kill_under SECONDS COMMAND...: runs the command in the background and kills the daemon some time within
# SECONDS from when there is something in $home/work. The command has to end then, by itself and soon.
kill_under() {
  local longest=$1 work pid
  shift
  pid=$(mount_pid "$home")
  "$@" </dev/null &
  work=$!
  wait_until has_begun
  sleep "$(awk "BEGIN { print $longest * (0.02 + 0.96 * $RANDOM / 32768) }")"
  ! kill -0 "$work" 2>/dev/null || under_way=$((under_way + 1))
  kill -KILL "$pid"
  mount_again
  for _ in $(seq 200); do
    kill -0 "$work" 2>/dev/null || break
    sleep 0.05
  done
  ! kill -0 "$work" 2>/dev/null || fail "a program waits for a mount that is gone: $*"
  wait "$work" || fail "status $? of: $*"
}

# share N: the Nth of four nearly equal parts of all kills.
share() {
  seq $(((kills * $1) / 4 - (kills * ($1 - 1)) / 4))
}

sessions_are() {
  [ "$(find "$E2E_DIR/server/data/sessions" -name '*.session' | wc -l)" -eq "$1" ]
}

begin "An untar: every file that tar has closed is whole, with its mode and times"
python3 "$killed" tree "$E2E_DIR/tree" "$files"
tar -cf "$E2E_DIR/tree.tar" -C "$E2E_DIR" tree
# With errors for all the rest: what it has open is of the mount that is gone.
untar() { tar -xpvf "$E2E_DIR/tree.tar" -C "$home/work" >"$log" 2>"$log.errors" || true; }
mkdir "$home/work"
whole=$(seconds untar)
assert_same_tree "$E2E_DIR/tree" "$home/work/tree"
for _ in $(share 1); do
  rm -rf "$home/work"
  mkdir "$home/work"
  kill_under "$whole" untar
  python3 "$killed" check-untar "$E2E_DIR/tree" "$home/work" "$log" "$log.errors"
done
rm -rf "$home/work"

begin "A file that is saved by rename is an old or a new one, whole; what fsync told of is there"
for _ in $(share 2); do
  mkdir "$home/work"
  : >"$log"
  kill_under 2 python3 "$killed" save "$home/work" "$log"
  python3 "$killed" check-save "$home/work" "$log"
  rm -rf "$home/work"
done

begin "An SQLite database has what was committed, and is free at once"
for _ in $(share 3); do
  mkdir "$home/work"
  : >"$log"
  kill_under 2 python3 "$killed" load "$home/work/database" "$log"
  python3 "$killed" check-load "$home/work/database" "$log"
  rm -rf "$home/work"
done

begin "A git clone: what it has under its final name is right, and the same clone works again"
origin=$E2E_DIR/origin
git init -q -b main "$origin"
git -C "$origin" config user.name Test
git -C "$origin" config user.email test@localhost
cp -r "$E2E_DIR/tree/." "$origin"
git -C "$origin" add -A
git -C "$origin" commit -q -m "all"
clone() (
  cd "$home/work"
  git clone -q --no-local "$origin" clone >"$E2E_DIR/logs/clone.log" 2>&1 || true
)
mkdir "$home/work"
whole=$(seconds clone)
git -C "$home/work/clone" fsck --strict
for _ in $(share 4); do
  rm -rf "$home/work"
  mkdir "$home/work"
  kill_under "$whole" clone
  for index in "$home"/work/clone/.git/objects/pack/pack-*.idx; do
    [ ! -e "$index" ] || git verify-pack "$index"
  done
  rm -rf "$home/work/clone"
  clone
  git -C "$home/work/clone" fsck --strict
  [ -z "$(git -C "$home/work/clone" status --porcelain)" ] || fail "the clone is not clean"
done
rm -rf "$home/work"
[ "$under_way" -gt 0 ] || fail "every program had ended before its kill"
printf '   %s kills, %s of them under way\n' "$kills" "$under_way"

begin "$mib MiB are written: what has arrived is right, and put sends the rest only"
head -c "${mib}M" /dev/urandom >"$E2E_DIR/random"
size=$((mib * 1048576))
has_arrived() { [ "$(stat -c %b "$E2E_DIR/server/homes/alice/random" || true)" -gt $((size / 4 / 512)) ]; }
is_told() { "$HOMEFS_BIN" progress | grep -q "$1"; }
is_not_told() { ! is_told "$1"; }
# Three quarters come; more only after the kill, so that it always is under way then.
mkfifo "$E2E_DIR/source"
exec 7<>"$E2E_DIR/source"
cat "$E2E_DIR/source" >"$home/random" 2>"$E2E_DIR/logs/cat.log" 7>&- &
work=$!
head -c $((size * 3 / 4)) "$E2E_DIR/random" >&7
wait_until has_arrived
wait_until is_told random
kill -KILL "$(mount_pid "$home")"
tail -c 4096 "$E2E_DIR/random" >&7
if wait "$work"; then fail "the writer has not heard of it"; fi
exec 7>&-
mount_again
right=$(python3 "$killed" check-part "$E2E_DIR/random" "$home/random")
[ "$right" -gt 0 ] || fail "nothing has arrived"
[ "$right" -lt "$size" ] || fail "all has arrived before the kill"
told=$("$HOMEFS_BIN" progress)
assert_contains "$told" random "progress does not tell what was cut"
assert_contains "$told" cut
result=$(client alice put --json "$E2E_DIR/random" /random)
sent=$(jq .bytes_sent <<<"$result")
# A block that the kill has cut in two is sent again.
[ "$sent" -le $((size - right + 64 * 65536)) ] || fail "$right bytes were there, and it sent $result"
cmp "$E2E_DIR/random" "$home/random"
client alice verify "$E2E_DIR/random" /random
printf '   %s of %s bytes had arrived, %s were sent\n' "$right" "$size" "$sent"
cp "$E2E_DIR/random" "$home/random"
wait_until is_not_told '"random"'

begin "A lock of a mount that was killed is free when it is mounted again, every time"
touch "$home/lock"
for _ in $(seq 5); do
  rm -f "$E2E_DIR/logs/holder.log"  # of the one before, which has said "held" too
  python3 "$checks" hold "$home/lock" posix </dev/null >"$E2E_DIR/logs/holder.log" 2>&1 &
  holder=$!
  wait_until grep -q held "$E2E_DIR/logs/holder.log"
  kill -KILL "$(mount_pid "$home")"
  mount_again
  python3 "$checks" try "$home/lock" posix || fail "the lock of a mount that was killed is held"
  kill "$holder"
  wait "$holder" || true
done

begin "Of the sessions that were killed nothing is left at the server"
wait_until sessions_are 1
assert_eq "$(find "$E2E_DIR/server/homes/.orphans" -type f | wc -l)" 0 "files without a name"
unmount_home "$home"
wait_until sessions_are 0
stop_server
