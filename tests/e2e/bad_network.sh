#!/bin/bash
# A network that is slow, and one that breaks at any byte: tests/support/wan_proxy.py between mount
# and server. HOMEFS_CUTS: how often it breaks during a copy (20); HOMEFS_COPY_MIB: of what size (64);
# HOMEFS_TAR_FILES: files of the archive that is unpacked (300); HOMEFS_SEED.
# ctest: TIMEOUT 900
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

seed=${HOMEFS_SEED:-20261122}
RANDOM=$seed
cuts=${HOMEFS_CUTS:-20}
mib=${HOMEFS_COPY_MIB:-64}
files=${HOMEFS_TAR_FILES:-300}
home=$E2E_DIR/alice
proxy=$HOMEFS_SOURCE_DIR/tests/support/wan_proxy.py

tell() { python3 "$proxy" --tell "$E2E_DIR/proxy" "$@"; }
# counted N: the N-th number of `count`: 1 connections made, 3 bytes up, 4 bytes down, 5 cuts.
counted() { tell count | cut -d' ' -f"$1"; }
finds_nothing() { ! grep -r no_such_word "$1"; }
assert_at_most() {
  # A sanitizer build takes its own time between the round trips.
  [ -z "${HOMEFS_SANITIZE:-}" ] || return 0
  awk "BEGIN { exit !($1 <= $2) }" || fail "$3 took $1 s, more than $2 s"
  printf '   %s: %s s\n' "$3" "$1"
}
remount() {
  unmount_home "$home"
  mount_home alice "$home"
}

# with_breaks BYTES COMMAND...: while it runs the network breaks `cuts` times, each time after 1 to
# BYTES.
with_breaks() {
  local bytes=$1 before
  shift
  before=$(counted 5)
  tell cut-after "$bytes" "$cuts" "$seed"
  "$@" || fail "the program failed, after $(($(counted 5) - before)) breaks"
  tell cut-after $((1 << 50))
  printf '   %s breaks\n' "$(($(counted 5) - before))"
  [ "$(counted 5)" -gt "$before" ] || fail "nothing broke"
}

# applied: how many changes of each kind the server has carried out, and has refused, a line each.
applied() {
  local log=$E2E_DIR/logs/server.log dumps
  dumps=$(grep -c changes-in-all "$log" || true)
  kill -USR1 "$E2E_SERVER_PID"
  wait_until has_dumped "$log" "$((dumps + 1))"
  # The lines of the last dump: what is between its end and the one before.
  tac "$log" | sed -n '/changes-in-all/{n; :line; /changes-in-all/q; p; n; b line}' |
    sed -n 's/.*event=changes op="\(.*\)" done=\(.*\) refused=\(.*\)/\1 \2 \3/p' | LC_ALL=C sort
}
has_dumped() { [ "$(grep -c changes-in-all "$1")" -ge "$2" ]; }
# count_changes FILE COMMAND...: writes to FILE what changes the server carries out for the command.
count_changes() {
  local file=$1
  shift
  applied >"$file.before"
  "$@"
  applied >"$file.after"
  # Changes of attributes are joined with others, or not, by the clock.
  LC_ALL=C join -a 2 -e 0 -o 0,1.2,1.3,2.2,2.3 "$file.before" "$file.after" |
    awk '$1 != "setattr" && $4 + $5 > $2 + $3 { print $1, $4 - $2, "refused", $5 - $3 }' >"$file"
}

add_user alice 8GiB
start_server
server_port=$E2E_PORT
python3 "$proxy" "$server_port" "$E2E_DIR/proxy" >"$E2E_DIR/proxy.port" 2>"$E2E_DIR/logs/proxy.log" &
wait_until test -s "$E2E_DIR/proxy.port"
E2E_PORT=$(cat "$E2E_DIR/proxy.port")
mount_home alice "$home"

mkdir "$E2E_DIR/local"
python3 - "$E2E_DIR/local/tree" "$files" <<'PYTHON'
import os, random, sys
root, files = sys.argv[1], int(sys.argv[2])
numbers = random.Random(1)
for i in range(180):
    os.makedirs(f"{root}/{i % 12}/{i}")
for i in range(files):
    with open(f"{root}/{i % 12}/{i % 180 // 12 * 12 + i % 12}/file{i}", "wb") as out:
        out.write(numbers.randbytes(numbers.randrange(20_000)))
for i in range(0, files, 10):
    os.symlink(f"nowhere{i}", f"{root}/{i % 12}/symlink{i}")
    os.link(f"{root}/{i % 12}/{i % 180 // 12 * 12 + i % 12}/file{i}", f"{root}/{i % 12}/link{i}")
PYTHON
tar cf "$E2E_DIR/local/tree.tar" -C "$E2E_DIR/local" tree

begin "An untar whose connections break at random bytes gives the tree, each thing made once"
cat >"$E2E_DIR/changes" <<'BASH'
# An untar into a folder, and then changes of each kind. A script of its own, as it ends at any error.
set -eu
mkdir "$2"
tar xf "$1" -C "$2"
cd "$2/tree"
for i in {0..11}; do
  mv "$i" "moved$i"
  mkdir "$i" "$i/empty"
  rmdir "$i/empty" "$i"
  mv "moved$i" "$i"
  ln -s nowhere "$i/short"
  ln -s elsewhere "$i/long"
  mv -f "$i/short" "$i/long"
  setfattr -n user.number -v "$i" "$i"
  setfattr -x user.number "$i"
  rm "$i/long"
done
find . -depth -exec touch -h -d @1000000000 {} +
BASH
changes() { bash "$E2E_DIR/changes" "$E2E_DIR/local/tree.tar" "$home/$1"; }
count_changes "$E2E_DIR/quiet.counts" changes quiet
count_changes "$E2E_DIR/broken.counts" with_breaks $((files * 20000 / cuts)) changes broken
sed 's/^/   /' "$E2E_DIR/quiet.counts"
grep -q "^create $files refused 0" "$E2E_DIR/quiet.counts" || fail "not $files files were made"
diff "$E2E_DIR/quiet.counts" "$E2E_DIR/broken.counts" || fail "with breaks the server made other changes"
assert_same_tree "$home/quiet" "$home/broken"
tar xf "$E2E_DIR/local/tree.tar" -C "$home"
assert_same_tree "$E2E_DIR/local/tree" "$home/tree"
remount
assert_same_tree "$E2E_DIR/local/tree" "$home/tree"
assert_same_tree "$home/quiet" "$home/broken"

begin "A copy that breaks at random bytes arrives whole"
head -c "${mib}M" /dev/urandom >"$E2E_DIR/local/big"
with_breaks $((2 * mib * 1048576 / cuts)) cp "$E2E_DIR/local/big" "$home/big"
cmp "$E2E_DIR/local/big" "$home/big"
remount
with_breaks $((2 * mib * 1048576 / cuts)) cp "$home/big" "$E2E_DIR/local/back"
cmp "$E2E_DIR/local/big" "$E2E_DIR/local/back"

begin "A bit that flips on the way breaks the connection and nothing else"
for _ in 1 2 3; do
  before=$(counted 1)
  tell flip $((RANDOM * 30))
  cp "$E2E_DIR/local/big" "$home/flipped"
  [ "$(counted 1)" -gt "$before" ] || fail "the flipped bit was not noticed"
  cmp "$E2E_DIR/local/big" "$home/flipped"
done

begin "Over 20 ms a walk, a search and an untar take few round trips"
tell delay 10
remount
assert_at_most "$(seconds ls -lR "$home/tree")" 2 "ls -lR of 193 folders, cold"
remount
assert_at_most "$(seconds finds_nothing "$home/tree")" 5 "grep -r of $files files, cold"
tar cf "$E2E_DIR/local/some.tar" -C "$E2E_DIR/local" tree/3
mkdir "$home/some"
# A file is made and written, a folder made and given its times, owner and mode; a quarter more.
limit=$(tar tf "$E2E_DIR/local/some.tar" |
  awk '/\/$/ { trips += 2 } { trips += 2 } END { print trips * 0.02 * 1.25 + 0.5 }')
assert_at_most "$(seconds tar xf "$E2E_DIR/local/some.tar" -C "$home/some")" "$limit" \
  "untar, 2 round trips a file and 4 a folder"
assert_same_tree "$E2E_DIR/local/tree/3" "$home/some/tree/3"

begin "Connections that overtake each other change nothing"
tell delay 30 1
tell delay 2 2
cp "$E2E_DIR/local/big" "$home/overtaken"
cmp "$E2E_DIR/local/big" "$home/overtaken"
tell delay 0

unmount_home "$home"
E2E_PORT=$server_port
stop_server
