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
unmount_home "$b"
echo after >"$a/after"
assert_eq "$(cat "$a/after")" after

unmount_home "$a"
stop_server
