#!/bin/bash
# Programs that handle single files in their own ways: editors, databases, sockets and FIFOs, and those
# that watch a file grow or a folder change.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
home=$E2E_DIR/alice
other=$E2E_DIR/other
mount_home alice "$home"

# edit FILE COMMANDS...: by vim, with nobody's settings. A status of its own is no failure here.
edit() {
  local file=$1 arguments=() command
  shift
  for command in "$@"; do arguments+=(-c "$command"); done
  timeout 30 vim -es -N -u NONE -i NONE --cmd 'set swapfile directory=.' "${arguments[@]}" -- "$file" </dev/null || true
}

begin "vim saves, with each way of making its backup"
for way in yes no auto breakhardlink; do
  file=$home/edited-$way
  printf 'one\ntwo\n' >"$file"
  chmod 640 "$file"
  setfattr -n user.kept -v "$way" "$file"
  inode=$(stat -c %i "$file")
  edit "$file" "set backup writebackup backupskip= backupcopy=$way" "set fsync" '%s/two/three/' 'wq'
  assert_eq "$(cat "$file")" "$(printf 'one\nthree')" "backupcopy=$way"
  assert_eq "$(cat "$file~")" "$(printf 'one\ntwo')" "the backup"
  assert_eq "$(stat -c %a "$file")" 640
  if [ "$way" = yes ]; then
    assert_eq "$(stat -c %i "$file")" "$inode"
    assert_eq "$(getfattr --only-values -n user.kept "$file" 2>/dev/null)" "$way"
  fi
  assert_missing "$home/.edited-$way.swp"
done

begin "vim keeps a swap file, and recovers from it when it was killed"
echo before >"$home/killed"
# shellcheck disable=SC2016 # For the shell that vim starts.
edit "$home/killed" 'normal Gotyped and not saved' 'preserve' 'silent !kill -9 $PPID'
assert_eq "$(cat "$home/killed")" before
assert_exists "$home/.killed.swp"
timeout 30 vim -es -N -u NONE -i NONE -r "$home/killed" -c "w! $home/recovered" -c 'q!' </dev/null >/dev/null 2>&1 || true
assert_eq "$(cat "$home/recovered")" "$(printf 'before\ntyped and not saved')"
rm "$home/.killed.swp"

begin "An editor that saves by rename: every reader sees the old file or the new one, whole"
python3 - "$home" <<'PYTHON'
import os, sys, threading
home = sys.argv[1]
path, rounds, wrong = home + "/saved", 300, []

def save(turn):
    temporary = f"{home}/.#saved{turn}"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    os.write(fd, b"%d\n" % turn * (1000 + turn))
    os.fchmod(fd, 0o644)
    os.fsync(fd)
    os.close(fd)
    os.rename(temporary, path)
    folder = os.open(home, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)

def read():
    last = 0
    while last < rounds - 1 and not wrong:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")[:-1]
        turn = int(lines[0])
        if lines != [b"%d" % turn] * (1000 + turn) or turn < last:
            wrong.append((last, turn, len(lines)))
        last = turn

save(0)
readers = [threading.Thread(target=read) for _ in range(2)]
for reader in readers:
    reader.start()
for turn in range(1, rounds):
    save(turn)
for reader in readers:
    reader.join()
sys.exit(f"torn or old: {wrong}" if wrong else 0)
PYTHON

begin "sqlite3: rollback journal, write-ahead log, a program that is killed, vacuum"
for mode in delete truncate persist wal; do
  database=$home/$mode.db
  assert_eq "$(sqlite3 "$database" "pragma journal_mode=$mode; create table t(id integer primary key, v text);
    with recursive n(i) as (select 1 union all select i + 1 from n where i < 5000)
      insert into t select i, hex(randomblob(50)) from n; create index x on t(v);")" "$mode"
  # One that is killed within a transaction leaves what was committed.
  python3 - "$database" <<'PYTHON' || true
import os, signal, sqlite3, sys
base = sqlite3.connect(sys.argv[1], isolation_level=None)
base.execute("pragma cache_size=10")
base.execute("begin immediate")
base.execute("delete from t where id > 10")
base.execute("update t set v = hex(randomblob(3000))")
os.kill(os.getpid(), signal.SIGKILL)
PYTHON
  assert_eq "$(sqlite3 "$database" 'pragma integrity_check; select count(*) from t;')" "$(printf 'ok\n5000')"
  sqlite3 "$database" 'delete from t where id % 2; vacuum; pragma mmap_size=100000000; select sum(id) from t;' >/dev/null
  assert_eq "$(sqlite3 "$database" 'pragma integrity_check; select count(*) from t;')" "$(printf 'ok\n2500')"
done

begin "A socket that is bound in the mount is connected to by its path"
# shellcheck disable=SC2016 # For the shell that socat starts.
socat UNIX-LISTEN:"$home/socket",fork SYSTEM:'read line; echo "heard $line"' 2>>"$E2E_DIR/logs/socat.log" &
server=$!
wait_until test -S "$home/socket"
assert_eq "$(echo hello | socat -t 5 - UNIX-CONNECT:"$home/socket")" "heard hello"
ls -l "$home" >/dev/null
mv "$home/socket" "$home/moved-socket"
assert_eq "$(echo again | socat -t 5 - UNIX-CONNECT:"$home/moved-socket")" "heard again"
kill "$server"
wait "$server" || true
rm -f "$home/moved-socket"

begin "A FIFO carries data between two processes, both ways of opening it first"
mkfifo -m 600 "$home/fifo"
head -c 3M /dev/urandom >"$E2E_DIR/data"
cat "$E2E_DIR/data" >"$home/fifo" &
assert_eq "$(md5sum <"$home/fifo")" "$(md5sum <"$E2E_DIR/data")"
wait $!
md5sum <"$home/fifo" >"$E2E_DIR/sum" &
cat "$E2E_DIR/data" >"$home/fifo"
wait $!
assert_eq "$(cat "$E2E_DIR/sum")" "$(md5sum <"$E2E_DIR/data")"
rm "$home/fifo"

begin "tail -f and less follow a file that grows, here and from another mount"
follow() {
  : >"$home/growing"
  tail -n +1 -f -s 0.1 "$home/growing" >"$E2E_DIR/followed" &
  follower=$!
  for i in $(seq 20); do echo "line $i"; done >>"$1"
  is_followed() { [ "$(wc -l <"$E2E_DIR/followed")" -eq "$2" ]; }
  wait_until is_followed - 20
  for i in $(seq 5); do
    echo "later $i" >>"$1"
    wait_until is_followed - $((20 + i))
  done
  kill "$follower"
  wait "$follower" 2>/dev/null || true
  cmp "$E2E_DIR/followed" "$home/growing"
  less -E "$home/growing" </dev/null | cmp - "$1"
}
follow "$home/growing"
mount_home alice "$other"
follow "$other/growing"
unmount_home "$other"

begin "inotify tells of the changes that are made here"
mkdir "$home/watched"
inotifywait -q -m -r -e create,close_write,delete,moved_from,moved_to,attrib --format '%e %f' "$home/watched" \
  >"$E2E_DIR/events" 2>>"$E2E_DIR/logs/inotify.log" &
watcher=$!
is_watching() { touch "$home/watched/probe" && [ -s "$E2E_DIR/events" ]; }
wait_until is_watching
echo text >"$home/watched/file"
mv "$home/watched/file" "$home/watched/renamed"
chmod 600 "$home/watched/renamed"
rm "$home/watched/renamed"
has_all() { grep -qx 'DELETE renamed' "$E2E_DIR/events"; }
wait_until has_all
kill "$watcher"
wait "$watcher" 2>/dev/null || true
# The kernel tells of a removal's change of the link count too, as on a local disk.
assert_eq "$(grep -v probe "$E2E_DIR/events" | tr '\n' ';' | sed 's/ATTRIB renamed;ATTRIB renamed;/ATTRIB renamed;/')" \
  "CREATE file;CLOSE_WRITE,CLOSE file;MOVED_FROM file;MOVED_TO renamed;ATTRIB renamed;DELETE renamed;"

begin "sed -i, patch, sort -o and shell redirections on one file"
seq 1000 >"$home/numbers"
sed -i 's/^5$/five/' "$home/numbers"
assert_eq "$(sed -n 5p "$home/numbers")" five
sort -r -n -o "$home/numbers" "$home/numbers"
assert_eq "$(head -n 1 "$home/numbers")" 1000
printf -- '--- a\n+++ b\n@@ -1 +1 @@\n-1000\n+thousand\n' >"$E2E_DIR/patch"
patch -s -d "$home" numbers "$E2E_DIR/patch"
assert_eq "$(head -n 1 "$home/numbers")" thousand
for i in $(seq 50); do echo "$i" >>"$home/numbers"; done
assert_eq "$(wc -l <"$home/numbers")" 1050
split -l 100 -d "$home/numbers" "$home/part."
cat "$home"/part.* | cmp - "$home/numbers"
