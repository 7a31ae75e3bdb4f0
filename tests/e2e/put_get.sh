#!/bin/bash
# put, get and verify: trees as they were, nothing sent twice, also after kills.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
add_user bob 10MiB
start_server
home=$E2E_DIR/server/homes/alice
block=65536
a() { client alice "$@"; }
# Commands that are killed are started without a function around them: $! is theirs.
login=(-s 127.0.0.1 -P "$E2E_PORT" -u alice --password-file "$E2E_DIR/secrets/alice" --accept-new-server)
status_of() { local status=0; "$@" >/dev/null 2>&1 || status=$?; echo "$status"; }
names() { (cd "$1" && printf '%s ' *); }
part_is_there() { [ -n "$(partials "$home")" ]; }
part_in_back() { part=$(partials back | head -n 1) && [ -n "$part" ] && [ "$(stat -c %s "$part")" -gt 8000000 ]; }
partials() { find "$1" -name '.*.homefs-part-*'; }
# equal_blocks A B: how many blocks of A are the same in B.
equal_blocks() {
  python3 - "$1" "$2" <<'PY'
import sys
a, b = (open(name, "rb").read() for name in sys.argv[1:])
n = 65536
print(sum(a[i:i + n] == b[i:i + n] for i in range(0, len(a), n)))
PY
}

mkdir "$E2E_DIR/tree"
cp -a /usr/include/linux "$E2E_DIR/tree/"
cd "$E2E_DIR/tree"
ln -s linux/fuse.h link
ln -s nowhere "dangling"
: >empty
head -c 3000001 /dev/urandom >"big one"
head -c 262144 /dev/urandom >small-limit
head -c 262145 /dev/urandom >large-limit
echo control >$'new\nline\ttab\033[31m'
echo utf >'ümläut 日本語'
echo bytes >$'not\xffutf8'
printf 'n%.0s' {1..255} | xargs touch
mkdir -p readonly/deep empty-folder
echo x >readonly/deep/file
chmod 640 empty
chmod 755 "big one"
touch -d '1999-12-31 23:59:59.987654321' "big one"
chmod 555 readonly/deep
touch -d '2001-02-03 04:05:06' readonly linux
cd "$E2E_DIR"
facts() { (cd "$1" && find . -mindepth 1 \( -type l -printf '%P %l\0' \) -o -type d -printf '%P %m %T@\0' \
  -o -printf '%P %m %s %T@\0' | sort -z | tr '\0' '\n' |
  sed 's/^readonly.deep 1755/readonly\/deep 555/'); } # how the server keeps it on its disk
assert_same() { diff <(facts "$1") <(facts "$2") || fail "$1 and $2 differ"; diff -r --no-dereference "$1" "$2"; }

begin "A tree is put as it is: contents, names, modes, times to the nanosecond, symlinks"
a put -q -r tree /
assert_same tree "$home/tree"
assert_eq "$(partials "$home")" ""

begin "Put again, nothing is sent"
again=$(a put --json -r tree /)
assert_eq "$(jq '.bytes_sent + .files_sent + .folders_made + .symlinks_made' <<<"$again")" 0
assert_eq "$(jq .files_unchanged <<<"$again")" "$(find tree \( -type f -o -type l \) -printf x | wc -c)"
assert_eq "$(a put --json -c -r tree / | jq '.bytes_sent + .files_sent')" 0

begin "A tree is got as it is, and got again nothing is sent"
mkdir back
a get -q -r /tree back
assert_same tree back/tree
assert_eq "$(a get --json -r tree back | jq '.bytes_sent + .files_sent + .files_failed')" 0
assert_eq "$(partials back)" ""

begin "verify says that they are equal, and finds one flipped byte, what is missing and of another type"
a verify tree /tree
printf '\xff' | dd of=back/tree/large-limit bs=1 seek=200000 conv=notrunc status=none
touch -r tree/large-limit back/tree/large-limit
rm back/tree/empty
mkdir back/tree/here
rm back/tree/link
echo file >back/tree/link
status=0
found=$(a verify back/tree tree) || status=$?
assert_eq "$status" 1
assert_eq "$(LC_ALL=C sort <<<"$found" | tr '\n' ',')" \
  "differs: large-limit,missing here: empty,missing there: here,type differs: link,"
assert_eq "$(a verify --json back/tree tree | jq '.differences | length')" 4
assert_eq "$(status_of a verify back/tree nothing)" 8

begin "A change that keeps size and time is found with --checksum, and only its block is sent"
assert_eq "$(a get --json -r tree/large-limit back/tree/large-limit | jq .files_unchanged)" 1
assert_eq "$(a get --json -c tree/large-limit back/tree/large-limit | jq .bytes_sent)" "$block"
cmp tree/large-limit back/tree/large-limit

begin "Of a file that has changed a little only the changed blocks are sent"
head -c 20000000 /dev/urandom >file
a put -q file /
printf 'changed' | dd of=file bs=1 seek=10000000 conv=notrunc status=none
echo longer >>file
result=$(a put --json file /)
[ "$(jq .bytes_sent <<<"$result")" -le $((2 * block)) ] || fail "sent: $result"
cmp file "$home/file"

begin "Names: into a folder, under a new name, several sources, the contents of a folder"
a mkdir dir
a put -q file dir
a put -q file dir/other
a put -q file tree/empty dir/
assert_eq "$(names "$home/dir")" "empty file other "
assert_fails "no such" a put file no/such/folder
assert_fails "-r" a put tree /
(cd tree && a put -q -r . /dir)
assert_exists "$home/dir/big one"
mkdir got
a get -q dir/file dir/other got
a get -q dir/file got/renamed
assert_eq "$(names got)" "file other renamed "
(cd got && a get -q /tree/small-limit && cmp small-limit ../tree/small-limit)
"$HOMEFS_BIN" put -q --password-file secrets/alice file "alice@127.0.0.1:$E2E_PORT/dir/by-target"
cmp file "$home/dir/by-target"

begin "Several sources need a folder, also where only one of them is there"
echo mine >mine
a put -q mine /dir/theirs
assert_fails "no such directory" a put nothing file /dir/new
assert_fails "not a directory" a put nothing file /dir/theirs
assert_eq "$(cat "$home/dir/theirs")" mine
assert_missing "$home/dir/new"
assert_fails "not a directory" a get /dir/nothing /dir/file mine
assert_eq "$(cat mine)" mine
assert_fails "no such directory" a get /dir/file no-folder/

begin "FOLDER/. is what is in it, each time"
mkdir -p within/below
echo 1 >within/1
for _ in 1 2; do
  a put -q -r within/. /contents
  assert_eq "$(names "$home/contents")" "1 below "
done
for target in out out; do
  a get -q -r /contents/. "$target"
  assert_eq "$(names out)" "1 below "
done
a get -q -r / home-of-alice
diff -r --no-dereference "$home" home-of-alice || fail "not all of the home was got"
rm -r home-of-alice

begin "--include, --exclude and --dry-run"
touch left.o kept.c
a put -q --exclude '*.o' left.o kept.c /dir
assert_missing "$home/dir/left.o"
assert_exists "$home/dir/kept.c"
mkdir -p some/a some/b
touch some/a/{x.c,x.h,y.o} some/b/{z.c,core}
assert_contains "$(a put -r -n some /)" "some/a/x.c"
assert_missing "$home/some"
a put -q -r --exclude '*.o' --exclude /b some /
assert_eq "$(cd "$home/some" && find . -type f | sort | tr '\n' ' ')" "./a/x.c ./a/x.h "
a put -q -r --include '*/' --include '*.c' --exclude '*' some /dir
assert_eq "$(cd "$home/dir/some" && find . -type f | sort | tr '\n' ' ')" "./a/x.c ./b/z.c "

begin "A put that is killed five times sends nothing twice"
size=$((48 * 1024 * 1024))
head -c "$size" /dev/urandom >huge
have=0
for round in 1 2 3 4 5; do
  "$HOMEFS_BIN" put "${login[@]}" -q --limit 6M huge / &
  pid=$!
  wanted=$((have + 40))
  part=
  end=$((SECONDS + E2E_DEADLINE))
  while :; do
    part=$(partials "$home" | head -n 1)
    # It is written from front to back.
    if [ -n "$part" ] && [ "$(stat -c %s "$part")" -ge $((wanted * block)) ]; then break; fi
    [ "$SECONDS" -lt "$end" ] || fail "no progress in round $round"
  done
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
  assert_missing "$home/huge"
  now=$(equal_blocks huge "$part")
  [ "$now" -ge "$have" ] || fail "blocks were lost: $now of $have"
  have=$now
done
assert_eq "$(stat -c %a "$part")" 600
result=$(a put --json huge /)
sent=$(jq .bytes_sent <<<"$result")
[ $((have * block + sent)) -lt $((size + 5 * block)) ] || fail "$have blocks were there, $sent bytes sent"
[ "$(jq .bytes_resumed <<<"$result")" -ge $((have * block)) ] || fail "too little resumed: $result"
cmp huge "$home/huge"
assert_eq "$(partials "$home")" ""

begin "A get that is killed goes on where it was"
"$HOMEFS_BIN" get "${login[@]}" -q --limit 8M huge back/huge &
pid=$!
wait_until part_in_back
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
assert_missing back/huge
have=$(equal_blocks huge "$part")
result=$(a get --json huge back/huge)
[ "$(jq .bytes_resumed <<<"$result")" -ge $((have * block)) ] || fail "too little resumed: $result"
assert_eq "$(jq '.bytes_sent + .bytes_resumed' <<<"$result")" "$size"
cmp huge back/huge
assert_eq "$(partials back)" ""

begin "Ctrl-C ends it in good order, with a status of its own, and it goes on later"
printf x >>huge
truncate -s $((size / 2)) huge
"$HOMEFS_BIN" put "${login[@]}" --limit 8M huge /second >interrupted.txt &
pid=$!
wait_until part_is_there
sleep 0.5
kill -INT "$pid"
status=0
wait "$pid" || status=$?
assert_eq "$status" 130
assert_contains "$(cat interrupted.txt)" "goes on"
result=$(a put --json huge /second)
[ "$(jq .bytes_resumed <<<"$result")" -gt 0 ] || fail "nothing resumed: $result"
cmp huge "$home/second"

begin "Ctrl-C does not wait for its turn under --limit, and says how a folder goes on"
mkdir -p slow
for i in {1..300}; do head -c 4000 /dev/urandom >"slow/$i"; done
"$HOMEFS_BIN" put -r "${login[@]}" --limit 400K slow /slowly >interrupted.txt &
pid=$!
wait_until test -d "$home/slowly"
kill -INT "$pid"
wait "$pid" || true
assert_contains "$(cat interrupted.txt)" "with slow/. for slow goes on"
a put -q -r slow/. /slowly
assert_same slow "$home/slowly"
"$HOMEFS_BIN" get -r "${login[@]}" --limit 100K /slowly fetched >interrupted.txt &
pid=$!
wait_until test -d fetched
sleep 0.5
kill -INT "$pid"
start=$SECONDS
wait "$pid" || true
[ $((SECONDS - start)) -lt 4 ] || fail "it went on for $((SECONDS - start)) s"
assert_lacks "$(cat interrupted.txt)" failed
a get -q -r /slowly/. fetched
assert_same slow fetched

begin "A file that changes while it is put arrives as it is at last"
head -c 12000000 /dev/urandom >growing
"$HOMEFS_BIN" put "${login[@]}" -q --limit 4M growing / &
pid=$!
wait_until part_is_there
echo more >>growing
wait "$pid"
cmp growing "$home/growing"

begin "A small file that changes while it is put is one of its states, or is told of"
cat >changing.py <<'PY'
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT)
while True:
    for letter in (b"a", b"b"):
        os.pwrite(fd, letter * (256 << 10), 0)
PY
python3 changing.py "$E2E_DIR/changing" &
changing=$!
wait_until test -s "$E2E_DIR/changing"
for _ in 1 2 3 4 5 6; do
  client alice put -q "$E2E_DIR/changing" /changing 2>changing.log || assert_contains "$(cat changing.log)" "changed"
  [ ! -e "$home/changing" ] || assert_eq "$(fold -w1 "$home/changing" | sort -u | wc -l)" 1 "states in what was put"
done
kill "$changing"
wait "$changing" || true
client alice put -q "$E2E_DIR/changing" /changing
cmp "$E2E_DIR/changing" "$home/changing"

begin "Two puts of one file at once: the second is told, and the first is not disturbed"
head -c 30000000 /dev/urandom >twice
"$HOMEFS_BIN" put "${login[@]}" -q --limit 8M twice / &
pid=$!
wait_until part_is_there
assert_fails "another transfer" a put twice /
wait "$pid"
cmp twice "$home/twice"

begin "The server is killed and comes back: the put goes on by itself"
head -c 30000000 /dev/urandom >survivor
"$HOMEFS_BIN" put "${login[@]}" -q --limit 10M survivor / 2>put.log &
pid=$!
wait_until part_is_there
kill_server
start_server
wait "$pid" || fail "put ended: $(cat put.log)"
cmp survivor "$home/survivor"
"$HOMEFS_BIN" put "${login[@]}" -q --limit 10M survivor /survivor2 2>put.log &
pid=$!
wait_until part_is_there
stop_server
start_server
wait "$pid" || fail "put ended: $(cat put.log)"
cmp survivor "$home/survivor2"

begin "What does not fit the quota is said, and leaves nothing"
b() { client bob "$@"; }
status=0
said=$(b put twice / 2>&1) || status=$?
assert_eq "$status" 1
assert_contains "$said" quota
assert_eq "$(ls -A "$E2E_DIR/server/homes/bob")" ""
mkdir many
for i in {1..60}; do head -c 200000 /dev/urandom >"many/$i"; done
assert_eq "$(status_of b put -r many /)" 8
assert_eq "$(partials "$E2E_DIR/server/homes/bob")" ""
for file in "$E2E_DIR/server/homes/bob/many/"*; do cmp "$file" "many/${file##*/}"; done

begin "The local disk is full: it is said, and leaves nothing"
if [ "$(id -u)" -eq 0 ]; then
  mkdir tiny
  mount -t tmpfs -o size=4m none tiny
  assert_fails "on this machine: the disk is full" a get twice tiny
  assert_eq "$(ls -A tiny)" ""
  umount tiny
fi

begin "What cannot be put is told, the rest is put, and the status says so"
mkdir mixed
echo fine >mixed/fine
mkfifo mixed/fifo
a mkdir -p mixed/file
echo x >mixed/file
status=0
said=$(a put -r mixed / 2>&1) || status=$?
assert_eq "$status" 8
assert_contains "$said" "skipped"
assert_eq "$(cat "$home/mixed/fine")" fine
assert_eq "$(status_of a put nothing /)" 1
rm -r "$home/mixed/file"
rm mixed/file
assert_contains "$(a verify mixed /mixed)" "skipped"

begin "The side log tells of it, as of a mount"
log=$(cat "$XDG_STATE_HOME"/homefs/*/transfers.jsonl)
assert_contains "$(jq -r 'select(.event == "done") | .path' <<<"$log")" huge
assert_contains "$(jq -r .event <<<"$log" | sort -u | tr '\n' ' ')" verified
stop_server
