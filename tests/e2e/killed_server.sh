#!/bin/bash
# A server that is killed (kill -9) at random moments under programs that work: no error reaches them,
# and what they made is what they would have made anyway.
# ctest: TIMEOUT 900
# ctest: RUN_SERIAL
#
# HOMEFS_KILLS (8): how many in all. HOMEFS_SEED: of their moments. HOMEFS_KILLED_MIB (256): how much
# is written at once.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

checks=$(dirname "$0")/../support/lock_checks.py
kills=${HOMEFS_KILLS:-8}
mib=${HOMEFS_KILLED_MIB:-256}
seed=${HOMEFS_SEED:-$$}
RANDOM=$seed
echo "seed $seed"

add_user alice 8GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

# kill_under COUNT COMMAND...: runs the command, again if it ends too early, until the server was
# killed so often under it. Each run has the folder $home/work for itself, and has to succeed.
kill_under() {
  local left=$1 work rounds=0
  shift
  while [ "$left" -gt 0 ]; do
    rm -rf "$home/work"
    mkdir "$home/work"
    "$@" >"$E2E_DIR/logs/work.log" 2>&1 </dev/null &
    work=$!
    rounds=$((rounds + 1))
    while [ "$left" -gt 0 ]; do
      sleep "0.$(printf %03d $((RANDOM % 700 + 20)))"
      kill -0 "$work" 2>/dev/null || break
      kill_server
      sleep "0.$(printf %03d $((RANDOM % 100)))"
      start_server
      left=$((left - 1))
    done
    wait "$work" || fail "the program heard of it: $(tail -n 3 "$E2E_DIR/logs/work.log")"
  done
  echo "   ($rounds runs)"
}

# share N: the Nth of five nearly equal parts of all kills.
share() {
  echo $(((kills * $1) / 5 - (kills * ($1 - 1)) / 5))
}

begin "What is made for the work"
mkdir "$E2E_DIR/tree"
(
  cd "$E2E_DIR/tree"
  for folder in $(seq 40); do
    mkdir "folder$folder"
    for file in $(seq 50); do seq "$file" $((file * folder % 400 + file)) >"folder$folder/file$file"; done
    ln -s "file1" "folder$folder/link"
    ln "folder$folder/file2" "folder$folder/second"
    chmod 0$((RANDOM % 4 + 4))4$((RANDOM % 8)) "folder$folder/file3" # readable, or tar cannot take it
  done
)
tar -cf "$E2E_DIR/tree.tar" -C "$E2E_DIR" tree
origin=$E2E_DIR/origin
git init -q -b main "$origin"
git -C "$origin" config user.name Test
git -C "$origin" config user.email test@localhost
cp -a "$E2E_DIR/tree/." "$origin"
for i in $(seq 10); do
  seq "$i" $((i + 500)) >"$origin/folder$i/changed"
  git -C "$origin" add -A
  git -C "$origin" commit -q -m "change $i"
done
head -c "${mib}M" /dev/urandom >"$E2E_DIR/random"

begin "A file without a name and a lock, for all of the time"
# keep_open FILE GO: has the file open without a name until GO is there; then it is written and read.
keep_open() {
  exec 9<>"$1"
  echo first >&9
  rm "$1"
  echo open
  until [ -e "$2" ]; do sleep 0.1; done
  echo second >&9
  [ "$(cat /proc/self/fd/9)" = "first
second" ]
}
keep_open "$home/unnamed" "$E2E_DIR/go" </dev/null >"$E2E_DIR/logs/unnamed.log" 2>&1 &
unnamed=$!
wait_until grep -q open "$E2E_DIR/logs/unnamed.log"
touch "$home/lock"
mount_home alice "$E2E_DIR/other"
python3 "$checks" hold "$home/lock" posix </dev/null >"$E2E_DIR/logs/holder.log" 2>&1 &
holder=$!
wait_until grep -q held "$E2E_DIR/logs/holder.log"
kill_server
start_server
assert_fails "" python3 "$checks" try "$E2E_DIR/other/lock" posix
unmount_home "$E2E_DIR/other"

begin "An untar, and removing it again"
untar() {
  tar -xpf "$E2E_DIR/tree.tar" -C "$home/work"
  diff -r --no-dereference "$E2E_DIR/tree" "$home/work/tree"
  assert_same_tree "$E2E_DIR/tree" "$home/work/tree"
  rm -r "$home/work/tree/folder1" "$home/work/tree/folder2"
}
kill_under "$(share 1)" untar

begin "A git clone"
clone() {
  git clone -q --no-hardlinks "$origin" "$home/work/clone"
  git -C "$home/work/clone" fsck --strict
  [ -z "$(git -C "$home/work/clone" status --porcelain)" ] || return 1
}
kill_under "$(share 2)" clone

begin "An SQLite database"
database() {
  python3 - "$home/work/database" <<'END'
import sqlite3, sys
database = sqlite3.connect(sys.argv[1], isolation_level=None)
database.execute("create table numbers (number integer primary key, text)")
for number in range(150):
    database.execute("begin")
    database.execute("insert into numbers values (?, ?)", (number, "x" * (number * 37 % 4000)))
    database.execute("update numbers set text = text || 'y' where number % 7 = ?", (number % 7,))
    database.execute("commit")
assert database.execute("select count(*) from numbers").fetchone() == (150,)
assert database.execute("pragma integrity_check").fetchone() == ("ok",)
END
}
kill_under "$(share 3)" database

begin "$mib MiB are written"
write() {
  cp "$E2E_DIR/random" "$home/work/random"
  cmp "$E2E_DIR/random" "$home/work/random"
}
kill_under "$(share 4)" write

begin "Many small changes of one folder: renames, links, appends, attributes"
changes() {
  local i
  for i in $(seq 120); do
    echo "$i" >"$home/work/new"
    chmod 0640 "$home/work/new"
    mv "$home/work/new" "$home/work/file"
    echo "line $i" >>"$home/work/log"
    ln "$home/work/file" "$home/work/name$i"
    mkdir "$home/work/folder$i"
    setfattr -n user.count -v "$i" "$home/work/file"
    rmdir "$home/work/folder$i"
    [ "$((i % 3))" -ne 0 ] || rm "$home/work/name$i"
  done
  [ "$(seq -f "line %g" 120)" = "$(cat "$home/work/log")" ] || return 1
  [ "$(find "$home/work" -mindepth 1 | wc -l)" = 82 ] || return 1
  [ "$(getfattr --only-values -n user.count "$home/work/file" 2>/dev/null)" = 120 ] || return 1
}
kill_under "$(share 5)" changes

begin "The file without a name and the lock are there still"
touch "$E2E_DIR/go"
wait "$unnamed" || fail "the file without a name was lost"
kill -0 "$holder" || fail "who held the lock has ended"
mount_home alice "$E2E_DIR/other"
assert_fails "" python3 "$checks" try "$E2E_DIR/other/lock" posix
kill -TERM "$holder"
wait "$holder" || true
wait_until python3 "$checks" try "$E2E_DIR/other/lock" posix
unmount_home "$E2E_DIR/other"

begin "What is open here and moved by another mount is found after a kill"
mount_home alice "$E2E_DIR/other"
mkdir -p "$home/from/below" "$home/to"
echo one >"$home/from/below/one"
echo two >"$home/two"
ln "$home/two" "$home/second"
# read_later FILE GO: opens the file, and reads it when GO is there.
read_later() {
  exec 9<"$1"
  echo open
  until [ -e "$2" ]; do sleep 0.1; done
  cat <&9
}
rm -f "$E2E_DIR/go"
for file in from/below/one two; do
  read_later "$home/$file" "$E2E_DIR/go" </dev/null >"$E2E_DIR/logs/$(basename "$file").log" 2>&1 &
  wait_until grep -q open "$E2E_DIR/logs/$(basename "$file").log"
done
mv "$E2E_DIR/other/from/below/one" "$E2E_DIR/other/to/moved"
mv "$E2E_DIR/other/to" "$E2E_DIR/other/elsewhere"
cat "$E2E_DIR/other/second" >/dev/null # by this name the server knows it now
rm "$E2E_DIR/other/two"
kill_server
start_server
touch "$E2E_DIR/go"
wait_until grep -q one "$E2E_DIR/logs/one.log"
wait_until grep -q two "$E2E_DIR/logs/two.log"
unmount_home "$E2E_DIR/other"

begin "The quota is exact to the byte, also when a kill came while it changed"
unmount_home "$home"
add_user bob 10MiB
bob=$E2E_DIR/bob
mount_home bob "$bob"
growing() {
  local i
  for i in $(seq 60); do
    head -c "$((i * 3001))" /dev/zero >"$bob/file$((i % 7))"
    truncate -s "$((i * 1009))" "$bob/file$((i % 5))"
    [ "$((i % 4))" -ne 0 ] || rm -f "$bob/file$((i % 7))"
  done
}
growing &
work=$!
for _ in 1 2 3; do
  sleep "0.$(printf %03d $((RANDOM % 300 + 20)))"
  kill_server
  start_server
done
wait "$work" || fail "the program heard of it"
python3 - "$bob/rest" <<'END'
import errno, os, sys
rest = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
size = 1 << 20
while size > 0:
    try:
        os.write(rest, bytes(size))
    except OSError as error:
        assert error.errno == errno.EDQUOT, error
        size //= 2
os.close(rest)
END
assert_eq "$(find "$E2E_DIR/server/homes/bob" -type f -printf '%s\n' | awk '{ sum += $1 } END { print sum }')" \
  $((10 * 1024 * 1024)) "bytes in the full home"
unmount_home "$bob"
stop_server
