#!/bin/bash
# The server's disk is full, or fails: programs hear the error that it is, nothing that was there is
# harmed, and all works again when the disk does.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/own_mounts.sh
. "$(dirname "$0")/../support/own_mounts.sh"
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"
# shellcheck source=../support/disks.sh
. "$(dirname "$0")/../support/disks.sh"
need_disks

says() { python3 "$(dirname "$0")/../support/disk_checks.py" "$@"; }
mib=$((1024 * 1024))

# Few inodes, so that they are used up soon.
make_disk homes 64 -N 512
make_disk data 16
power_on homes
power_on data
mkdir "$DISKS/homes/homes" "$DISKS/data/data"
change_server_config ".data_dir = \"$DISKS/data/data\" | .homes_dir = \"$DISKS/homes/homes\""
add_user alice 1GiB
add_user bob 10MiB
start_server
home=$E2E_DIR/alice
bob=$E2E_DIR/bob
mount_home alice "$home"
mount_home bob "$bob"
on_disk=$DISKS/homes/homes/alice

begin "What is there before"
mkdir "$home/many"
seq 100000 >"$home/old"
seq 100000 >"$E2E_DIR/old"
head -c $((4 * mib)) /dev/zero >"$home/inplace"
sync "$home/old" "$home/inplace" "$home"

begin "A full disk is ENOSPC at the write, the fsync or the close, and a full quota is EDQUOT"
assert_contains "$(says write "$bob/big" $((11 * mib)))" "write EDQUOT"
rm "$bob/big"
for sync in "" sync; do
  said=$(says write "$home/big" $((100 * mib)) $sync)
  [[ $said =~ ^(write|fsync|close)\ ENOSPC ]] || fail "it said: $said"
  [[ ! $said =~ EIO|EDQUOT|fine ]] || fail "it said: $said"
  assert_eq "$(says sync "$home/big")" fine "it is told to those who wrote"
done

begin "Beside a full disk: old files are whole, in-place writes work, nothing is half done"
# Every block of it. What was freed can be used when the journal has it.
fill_disk() {
  local size
  for size in 64k 1k; do
    sync -f "$DISKS/homes"
    dd if=/dev/zero of="$(mktemp "$DISKS/homes/filler.XXXXXX")" bs="$size" conv=fsync 2>/dev/null || true
  done
}
fill_disk
cmp "$E2E_DIR/old" "$home/old"
assert_eq "$(says overwrite "$home/inplace" B)" fine
assert_eq "$(tr -d B <"$home/inplace" | wc -c)" 0
assert_fails "No space left on device" cp "$home/inplace" "$home/copy"
# An append that failed may have left some of itself behind what was there.
fill_disk
size=$(stat -c %s "$E2E_DIR/old")
assert_contains "$(says append "$home/old" $((2 * mib)))" ENOSPC
cmp -n "$size" "$E2E_DIR/old" "$home/old"
truncate -s "$size" "$home/old"
rm -f "$home/allocated"
fill_disk
assert_contains "$(says allocate "$home/allocated" $((50 * mib)))" "fallocate ENOSPC"
assert_eq "$(stat -c %s "$on_disk/allocated")" 0
diff -r "$home" "$on_disk" || fail "mount and disk differ"

begin "With space again all works, without a restart of anything"
rm -f "$home/big" "$home/copy" "$home/allocated" "$DISKS"/homes/filler.*
assert_eq "$(says write "$home/big" $((20 * mib)) sync)" fine
assert_eq "$(stat -c %s "$on_disk/big")" $((20 * mib))
cp "$home/old" "$home/copy"
cmp "$E2E_DIR/old" "$home/copy"
rm "$home/big"

begin "A database on a full disk says so, and keeps what was committed"
# By which call it hears of it decides what it calls it.
said=$(says sqlite "$home/database")
[[ $said =~ "disk is full"|"disk I/O error" ]] || fail "it said: $said"
rm -f "$home/copy"
rm "$home/database"
assert_missing "$on_disk/database-journal"

begin "No inodes are left"
assert_eq "$(says make "$home/many" 1000)" "open ENOSPC"
assert_fails "No space left on device" mkdir "$home/folder"
assert_fails "No space left on device" ln -s target "$home/symlink"
assert_missing "$home/folder"
assert_eq "$(says write "$home/old2" 10)" "open ENOSPC"
diff -r "$home" "$on_disk" || fail "mount and disk differ"
rm -r "$home/many"
mkdir "$home/folder"
echo new >"$home/folder/new"
assert_eq "$(cat "$on_disk/folder/new")" new
diff -r "$home" "$on_disk" || fail "mount and disk differ"

begin "The server's own data on a full disk: who is there goes on, who comes gets in, tokens are refused"
filler=$DISKS/data/filler
dd if=/dev/zero of="$filler" bs=64k 2>/dev/null || true
dd if=/dev/zero of="$filler.2" bs=1k 2>/dev/null || true
echo beside >"$home/folder/beside"
mount_home bob "$E2E_DIR/second"
echo second >"$E2E_DIR/second/file"
assert_eq "$(cat "$bob/file")" second
assert_fails "" client alice login
wait_until grep -q "disk is full" "$E2E_DIR/logs/server.log"
flock "$home/folder/beside" true
unmount_home "$E2E_DIR/second"

begin "It is killed with its data on a full disk: it starts, or says why not; with space it does"
kill_server
"$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" serve </dev/null >"$E2E_DIR/logs/full.log" 2>&1 &
E2E_SERVER_PID=$!
starts_or_ends() { port_answers "$E2E_PORT" || ! kill -0 "$E2E_SERVER_PID"; }
wait_until starts_or_ends
if kill -0 "$E2E_SERVER_PID" 2>/dev/null; then
  kill_server
else
  grep -qiE "full|space" "$E2E_DIR/logs/full.log" || fail "it said: $(cat "$E2E_DIR/logs/full.log")"
fi
rm "$filler" "$filler.2"
start_server
assert_eq "$(cat "$home/folder/beside")" beside
echo after >"$bob/file"
assert_eq "$(cat "$DISKS/homes/homes/bob/file")" after
flock "$home/folder/beside" true

begin "The disk of the homes cannot be read: EIO at the read; healed it can"
head -c $mib /dev/urandom >"$on_disk/cold"
seq 1000 >"$on_disk/folder/cold"
cp "$on_disk/cold" "$E2E_DIR/cold"
unmount_home "$home"
power_on_again() {
  stop_server
  power_off homes
  power_on homes
  start_server
}
power_on_again
mount_home alice "$home"
stat "$home/cold" >/dev/null
disk_says homes fail-reads
assert_eq "$(says read "$home/cold")" "read EIO"
disk_says homes heal
cmp "$E2E_DIR/cold" "$home/cold"
assert_eq "$(cat "$home/folder/cold")" "$(seq 1000)"

begin "Data that the disk has not taken: EIO for each mount that wrote to the file, and once"
second=$E2E_DIR/second
mount_home alice "$second"
sync "$home/inplace" "$home"
sync -f "$DISKS/homes"
said=$(says both "$home/inplace" "$second/inplace" "$DISKS/homes.raw/control")
# On a slow machine the journal may have met the failing disk as well: then everything is EROFS.
[[ $said =~ EROFS ]] || assert_eq "$said" $'first EIO\nsecond EIO'
unmount_home "$second"

begin "The disk of the homes cannot be written: EIO where it is synced, and nothing of before is lost"
disk_says homes fail-writes
said=$(says write "$home/unwritten" $mib sync)
[[ $said =~ ^(write|fsync|open)\ (EIO|EROFS) ]] || fail "it said: $said"
assert_contains "$(says overwrite "$home/inplace" C)" E
cmp "$E2E_DIR/cold" "$home/cold"
disk_says homes heal
power_on_again
cmp "$E2E_DIR/cold" "$home/cold"
cmp "$E2E_DIR/old" "$home/old"
assert_eq "$(tr -d BC <"$home/inplace" | wc -c)" 0
assert_eq "$(says write "$home/unwritten" $mib sync)" fine
diff -r "$home" "$on_disk" || fail "mount and disk differ"

begin "The disk of the server's own data fails: files go on; healed and started again all is fine"
disk_says data fail-writes
for round in 1 2 3; do
  mkdir "$home/round$round"
  echo "$round" >"$home/round$round/file"
  sync -f "$DISKS/data" 2>/dev/null || true
done
assert_eq "$(cat "$home"/round*/file)" "$(seq 3)"
kill -0 "$E2E_SERVER_PID" || fail "homefsd has ended"
disk_says data heal
kill_server
power_off data
power_on data
start_server
echo 4 >"$home/round4"
assert_eq "$(cat "$on_disk/round4")" 4
diff -r "$home" "$on_disk" || fail "mount and disk differ"
unmount_home "$home"
unmount_home "$bob"
stop_server
