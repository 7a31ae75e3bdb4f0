#!/bin/bash
# The server's machine loses its power under programs that sync what they do: what fsync(2), an O_SYNC
# write or a commit has confirmed is there, exactly, and the mount goes on. The disk is one that
# forgets what was not flushed, and a random part of it only (tools/cut_disk.cpp), under a real ext4.
# ctest: TIMEOUT 300
#
# HOMEFS_CUTS (6): how many. HOMEFS_SEED: of their moments, and of what the programs do.
set -euo pipefail
# shellcheck source=../support/own_mounts.sh
. "$(dirname "$0")/../support/own_mounts.sh"
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"
# shellcheck source=../support/disks.sh
. "$(dirname "$0")/../support/disks.sh"
need_disks

programs=$(dirname "$0")/../support/durable_work.py
cuts=${HOMEFS_CUTS:-6}
seed=${HOMEFS_SEED:-$$}
RANDOM=$seed
echo "seed $seed"

# The accounts are not the server's own to write.
make_disk server 384
power_on server
change_server_config ".data_dir = \"$DISKS/server/data\" | .homes_dir = \"$DISKS/server/homes\""
mkdir "$DISKS/server/data" "$DISKS/server/homes"
new_boot
add_user alice 1GiB
start_server
sync -f "$DISKS/server"
mounted=$E2E_DIR/alice
on_disk=$DISKS/server/homes/alice
mount_home alice "$mounted"

# cut KEEP: the power goes, and comes back.
cut() {
  cut_power server "$1" "$RANDOM"
  new_boot
  power_on server
}

# As the programs rest, the mount shows what the server has, also of what was lost.
compare_resting() {
  touch "$logs/pause"
  wait_until test -e "$logs/paused"
  diff -r --no-dereference "$mounted/work" "$on_disk/work" >"$E2E_DIR/logs/diff.txt" 2>&1 ||
    fail "mount and disk differ: $(head -n 5 "$E2E_DIR/logs/diff.txt")"
  rm "$logs/pause"
}

begin "$cuts cuts under programs that sync what they do"
mkdir "$mounted/work" "$E2E_DIR/notes"
sync "$mounted"
logs=$E2E_DIR/notes
python3 "$programs" run "$mounted/work" "$logs" "$seed" </dev/null >"$E2E_DIR/logs/programs.log" 2>&1 &
work=$!
for number in $(seq "$cuts"); do
  sleep "$((RANDOM % 2)).$(printf %03d $((RANDOM % 1000)))"
  keep=$((RANDOM % 5 * 25))
  cut "$keep"
  python3 "$programs" check "$on_disk/work" "$logs" >"$E2E_DIR/logs/check.log" ||
    fail "after cut $number (with $keep %): $(cat "$E2E_DIR/logs/check.log")"
  start_server
  compare_resting
  kill -0 "$work" || fail "the programs have ended: $(cat "$E2E_DIR/logs/programs.log")"
done
touch "$logs/stop"
wait "$work" || fail "$(cat "$E2E_DIR/logs/programs.log")"
cat "$E2E_DIR/logs/programs.log"
python3 "$programs" check "$mounted/work" "$logs"
cut 0
python3 "$programs" check "$on_disk/work" "$logs"
start_server
python3 "$programs" check "$mounted/work" "$logs"

begin "What was not synced is told of: once by fsync, once to who is writing; what was synced is not, nor a file without a name"
mkdir "$mounted/told"
for file in synced unsynced closed nameless; do echo before >"$mounted/told/$file"; done
sync "$mounted"/told/* "$mounted/told" "$mounted"
python3 - "$mounted/told" "$E2E_DIR" <<'END' >"$E2E_DIR/logs/told.log" 2>&1 &
import errno, mmap, os, sys, time
folder, control = sys.argv[1:]
fds = {name: os.open(f"{folder}/{name}", os.O_RDWR) for name in ("synced", "unsynced", "closed", "nameless")}
fds["folder"] = os.open(folder, os.O_RDONLY)
direct = os.open(folder + "/nameless", os.O_RDONLY | os.O_DIRECT)  # not from a cache
os.unlink(folder + "/nameless")
os.fsync(fds["folder"])
os.mkdir(folder + "/new")
for name in ("synced", "unsynced", "closed"):
    os.write(fds[name], b"after!")
    os.close(os.dup(fds[name]))  # now the server has it
os.fsync(fds["synced"])
os.close(os.open(control + "/ready", os.O_CREAT))
while not os.path.exists(control + "/on"):
    time.sleep(0.02)

def expect(number, call, *arguments):
    try:
        call(*arguments)
        got = 0
    except OSError as error:
        got = error.errno
    assert got == number, (call.__name__, arguments, errno.errorcode.get(got), number)

expect(0, os.fsync, fds["synced"])
expect(errno.EIO, os.fsync, fds["unsynced"])
expect(0, os.fsync, fds["unsynced"])
expect(errno.EIO, os.fsync, fds["folder"])
expect(0, os.fsync, fds["folder"])
expect(errno.EIO, os.close, fds["closed"])
page = mmap.mmap(-1, 4096)
assert os.preadv(direct, [page], 0) == 7 and page[:7] == b"before\n", page[:7]
os.pwrite(fds["nameless"], b"after!", 0)
expect(0, os.fsync, fds["nameless"])
os.pwrite(fds["unsynced"], b"again!", 0)
expect(0, os.fsync, fds["unsynced"])
expect(0, os.close, fds["unsynced"])
expect(0, os.close, fds["synced"])
END
told=$!
wait_until test -e "$E2E_DIR/ready"
cut 0
start_server
touch "$E2E_DIR/on"
wait "$told" || fail "$(cat "$E2E_DIR/logs/told.log")"
assert_eq "$(head -c 6 "$on_disk/told/synced")" "after!"
assert_eq "$(head -c 6 "$on_disk/told/unsynced")" "again!"

begin "An fsync of one file covers what was done to names elsewhere before"
mkdir "$mounted/x" "$mounted/y"
echo a >"$mounted/x/a"
echo g >"$mounted/g"
sync "$mounted/x/a" "$mounted/x" "$mounted/y" "$mounted/g" "$mounted"
python3 - "$mounted" <<'END'
import os, sys
os.chdir(sys.argv[1])
g = os.open("g", os.O_RDWR)
os.rename("x/a", "y/b")
os.mkdir("y/later")
os.fsync(g)
END
cut 0
assert_eq "$(ls "$on_disk/x")" ""
assert_eq "$(ls "$on_disk/y")" "$(printf 'b\nlater')"
start_server

begin "After a kill of the server alone nothing is lost, and nothing told"
echo late >"$mounted/told/late"
kill_server
start_server
sync "$mounted/told/late" "$mounted/told"
unmount_home "$mounted"
stop_server
