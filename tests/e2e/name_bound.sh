#!/bin/bash
# -o dcache_max_size: a walk over more names than may be cached stays within the bound, the kernel's
# own references included, and what is in use goes on.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
home=$E2E_DIR/alice stored=$E2E_DIR/server/homes/alice
for i in $(seq 1 60); do
  mkdir -p "$stored/folder$i"
  for k in $(seq 1 100); do echo "$i $k" >"$stored/folder$i/file$k"; done
done
mount_home alice "$home" -o dcache_max_size=1000
nodes() { "$HOMEFS_BIN" status --json | jq '.[0].files.nodes'; }

begin "A walk over 6,060 names leaves about 1,000, and sees them all"
find "$home" -type f -size +0 | LC_ALL=C sort >"$E2E_DIR/found"
assert_eq "$(wc -l <"$E2E_DIR/found")" 6000
# A folder that is shown is whole, and the names that the kernel is asked to give up follow later.
is_bounded() { [ "$(nodes)" -le 1250 ]; }
wait_until is_bounded
find "$home" -type f -size +0 | LC_ALL=C sort | cmp - "$E2E_DIR/found"
wait_until is_bounded

begin "An open file, a current folder and new files are not given up"
exec 7<"$home/folder1/file1" 8>"$home/folder1/new"
cd "$home/folder2"
find "$home" -type f -size +0 >/dev/null
assert_eq "$(env pwd)" "$home/folder2"
assert_eq "$(cat file3)" "2 3"
assert_eq "$(cat <&7)" "1 1"
assert_eq "$(readlink /proc/self/fd/7 7<&7)" "$home/folder1/file1"
echo text >&8
exec 7<&- 8>&-
cd /
assert_eq "$(cat "$home/folder1/new")" text

begin "Every file is what it was"
diff -r "$stored" "$home"
wait_until is_bounded
