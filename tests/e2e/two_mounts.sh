#!/bin/bash
# One home in two mounts: what a change in one has done, the other sees when the call returns.
# HOMEFS_CHANGES: how many random changes (2000); HOMEFS_SEED: which.
# ctest: TIMEOUT 900
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
a=$E2E_DIR/a
b=$E2E_DIR/b
mount_home alice "$a"

begin "What the first mount has cached is true when the second comes"
mkdir "$a/early"
echo one >"$a/early/file"
cat "$a/early/file" >/dev/null
ls -l "$a/early" >/dev/null
mount_home alice "$b"
assert_eq "$(cat "$b/early/file")" one
echo two, longer >"$b/early/file"
assert_eq "$(cat "$a/early/file")" "two, longer"
rm "$b/early/file"
[ ! -e "$a/early/file" ] || fail "a removed file is still there in the other mount"
rmdir "$b/early"

begin "Every random change is seen from the other side at once"
python3 "$HOMEFS_SOURCE_DIR/tests/support/two_sides.py" "$a" "$b" "${HOMEFS_CHANGES:-2000}" "${HOMEFS_SEED:-20261122}"

begin "A file that is open in one mount and grows in the other is copied up to its new end"
python3 -c 'import os, sys
here, there = (folder + "/grows" for folder in sys.argv[1:])
for i in range(200):
    open(there, "w").write("x")
    file = os.open(here, os.O_RDWR)
    os.fstat(file)
    open(there, "r+").write("y" * 500)
    os.rename(there, there + ".new")  # a change of the file as well
    assert os.fstat(file).st_size == 500
    copied = os.copy_file_range(file, file, 101, 0, 4096)
    assert copied == 101, f"round {i}: the kernel believes in {copied}"
    os.close(file)' "$a" "$b"
rm "$a/grows.new"

begin "A folder that the other mount removes is still one to who has it open"
python3 -c 'import os, stat, sys
here, there = sys.argv[1:]
for made_by in (here, there):
    os.makedirs(made_by + "/outer/gone")
    os.listdir(here + "/outer")
    file = os.open(here + "/outer/gone", os.O_RDONLY)
    os.rmdir(there + "/outer/gone")
    found = os.fstat(file)
    assert stat.S_ISDIR(found.st_mode) and found.st_nlink == 0, found
    os.fsync(file)
    for ask in (lambda: os.stat("new", dir_fd=file), lambda: os.mkdir("new", dir_fd=file),
                lambda: os.unlink("new", dir_fd=file), lambda: os.fchmod(file, 0o700)):
        try:
            ask()
            sys.exit("something works in it")
        except FileNotFoundError:
            pass
    os.close(file)
    os.rmdir(here + "/outer")' "$a" "$b"

begin "Lines that two mounts append are neither lost nor torn"
lines=${HOMEFS_LINES:-500}
append() {
  python3 -c 'import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(int(sys.argv[3])):
    line = f"{sys.argv[2]} {i} ".ljust(60 + i % 40, ".") + "\n"
    assert os.write(file, line.encode()) == len(line)' "$1/log" "$2" "$lines"
}
append "$a" first &
first=$!
append "$b" second
wait "$first"
for side in "$a" "$b"; do
  assert_eq "$(wc -l <"$side/log")" $((2 * lines))
  for who in first second; do
    assert_eq "$(awk -v who="$who" '$1 == who && $2 == n + 0 && /\.$/ { n++ } END { print n + 0 }' "$side/log")" "$lines"
  done
done

begin "An append of 255 pages, or of 256 buffers, is one piece"
pieces() {
  python3 -c 'import os, sys
file = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(6):
    assert os.write(file, sys.argv[2].encode() * 1044480) == 1044480
file = os.open(sys.argv[1] + "v", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
for i in range(100):
    assert os.writev(file, [sys.argv[2].encode() * 10] * 256) == 2560' "$1/pieces" "$2"
}
pieces "$a" 1 &
first=$!
pieces "$b" 2
wait "$first"
python3 -c 'import sys
for name, size, count in (("", 1044480, 12), ("v", 2560, 200)):
    data = open(sys.argv[1] + name, "rb").read()
    assert len(data) == size * count, len(data)
    torn = [at for at in range(0, len(data), size) if len(set(data[at:at + size])) != 1]
    assert not torn, (name, torn)' "$a/pieces"

begin "O_APPEND that is set later counts from then on"
python3 -c 'import fcntl, os, sys
here, there = (side + "/set-later" for side in sys.argv[1:])
file = os.open(here, os.O_WRONLY | os.O_CREAT, 0o644)
os.write(file, b"one ")
fcntl.fcntl(file, fcntl.F_SETFL, fcntl.fcntl(file, fcntl.F_GETFL) | os.O_APPEND)
with open(there, "ab") as other:
    other.write(b"two ")
os.write(file, b"three")
os.close(file)
for side in (here, there):
    text = open(side).read()
    assert text == "one two three", text' "$a" "$b"

begin "O_SYNC holds while the home is shared, and with O_APPEND"
syncs() {
  "$HOMEFS_BIN" status --json |
    jq --arg at "$a" '[.[] | select(.mount.mountpoint == $at)][0].link.calls.fsync // 0'
}
before=$(syncs)
python3 -c 'import os, sys
for more in (0, os.O_APPEND):
    file = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_SYNC | more, 0o644)
    for i in range(5):
        os.write(file, b"line")
    os.close(file)' "$a/synced"
assert_eq "$(syncs)" $((before + 10))

begin "A name made by both at once is made by one"
for i in $(seq 20); do
  made=0
  (set -C; echo a >"$a/race$i") 2>/dev/null &
  racer=$!
  (set -C; echo b >"$b/race$i") 2>/dev/null && made=$((made + 1))
  wait "$racer" && made=$((made + 1))
  assert_eq "$made" 1
  assert_eq "$(cat "$a/race$i")" "$(cat "$b/race$i")"
done

begin "When the other has left, the home is sole again and nothing is forgotten"
exec 7>>"$a/log" 8>>"$a/rotated"
echo "of before" >&7
echo "a long line of before" >&8
echo "of the other mount" >>"$b/log"
: >"$b/rotated"
unmount_home "$b"
echo "of afterwards" >&7
echo "today" >&8
exec 7>&- 8>&-
assert_eq "$(tail -n 3 "$a/log")" $'of before\nof the other mount\nof afterwards'
assert_eq "$(cat "$a/rotated")" today
echo after >"$a/after"
assert_eq "$(cat "$a/after")" after

unmount_home "$a"
stop_server
