#!/bin/bash
# Extended attributes: those of users as on the local disk, and those that homefs makes itself.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 10GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"
mkdir "$E2E_DIR/local"

value() { getfattr --absolute-names --only-values -n "$2" "$1"; }
requests() { "$HOMEFS_BIN" status --json | jq ".[0].kernel.requests.$1"; }
milliseconds() { date +%s%3N; }

begin "user.*: limits, flags, names and errors are those of the local disk"
python3 "$(dirname "$0")/../support/xattr_checks.py" "$home" "$E2E_DIR/local"

begin "They are there after a new mount, in copies and under other names"
unmount_home "$home"
mount_home alice "$home"
assert_eq "$(getfattr -d -e hex --absolute-names "$home/file" | tail -n +2)" \
  "$(getfattr -d -e hex --absolute-names "$E2E_DIR/local/file" | tail -n +2)"
ln "$home/file" "$home/linked"
mv "$home/file" "$home/moved"
cp -a "$home/moved" "$home/copied"
for name in linked moved copied; do
  assert_eq "$(getfattr -d -e hex --absolute-names "$home/$name" | tail -n +2)" \
    "$(getfattr -d -e hex --absolute-names "$E2E_DIR/local/file" | tail -n +2)" "$name"
done

begin "What one mount sets the other reads at once, also after it was known to have none"
mount_home alice "$E2E_DIR/other"
echo text >"$home/shared"
assert_fails "No such attribute" value "$E2E_DIR/other/shared" user.late
assert_fails "No such attribute" value "$home/shared" user.late
setfattr -n user.late -v here "$E2E_DIR/other/shared"
assert_eq "$(value "$home/shared" user.late)" here
setfattr -x user.late "$home/shared"
assert_fails "No such attribute" value "$E2E_DIR/other/shared" user.late
unmount_home "$E2E_DIR/other"

begin "user.homefs.md5 is what md5sum says, also of what was written a moment ago"
sum_of() { md5sum <"$1" | cut -d ' ' -f 1; }
for bytes in 0 1 65536 65537 5000000; do
  head -c "$bytes" /dev/urandom >"$home/data"
  assert_eq "$(value "$home/data" user.homefs.md5)" "$(sum_of "$home/data")" "$bytes bytes"
done
exec 7<>"$home/data"
printf changed >&7
assert_eq "$(value "$home/data" user.homefs.md5)" "$(sum_of "$home/data")" "written, not closed"
exec 7>&-
truncate -s 100 "$home/data"
assert_eq "$(value "$home/data" user.homefs.md5)" "$(sum_of "$home/data")" "cut"
assert_fails "No such attribute" value "$home" user.homefs.md5

begin "It is reckoned once for a version of the file"
truncate -s 2G "$home/large"
start=$(milliseconds)
first=$(value "$home/large" user.homefs.md5)
took=$(($(milliseconds) - start))
start=$(milliseconds)
for _ in 1 2 3 4 5; do assert_eq "$(value "$home/large" user.homefs.md5)" "$first"; done
again=$(($(milliseconds) - start))
echo "2 GiB: $took ms, and five times more: $again ms"
[ "$again" -lt "$took" ] || fail "reckoned again"
printf x | dd of="$home/large" bs=1 seek=1000000000 conv=notrunc status=none
[ "$(value "$home/large" user.homefs.md5)" != "$first" ] || fail "an old sum for a new file"
rm "$home/large"

begin "user.homefs.quota.* say what df says"
assert_eq "$(value "$home" user.homefs.quota.max_bytes)" $((10 * 1024 * 1024 * 1024))
used=$(value "$home" user.homefs.quota.used_bytes)
head -c 1000 /dev/zero >"$home/thousand"
assert_eq "$(value "$home/thousand" user.homefs.quota.used_bytes)" $((used + 1000))
assert_eq "$(value "$home" user.homefs.quota.max_files)" 0
value "$home" user.homefs.quota.used_files >/dev/null
assert_fails "No such attribute" value "$home" user.homefs.quota.other

begin "They are not listed, and nobody sets or removes them"
assert_eq "$(getfattr -d -m - --absolute-names "$home/thousand")" ""
for name in quota.max_bytes quota.used_bytes md5 mode other; do
  assert_fails "Operation not permitted" setfattr -n "user.homefs.$name" -v 1 "$home/thousand"
  assert_fails "Operation not permitted" setfattr -x "user.homefs.$name" "$home/thousand"
done
assert_fails "No such attribute" value "$home/thousand" user.homefs.mode

begin "security.capability and ACLs are answered here, without the server"
touch "$home/ours"
kill -STOP "$E2E_SERVER_PID"
before=$(requests getxattr)
assert_eq "$(timeout 5 getcap "$home/ours")" ""
assert_fails "" timeout 5 getfattr --absolute-names -n security.capability "$home/ours"
assert_fails "" timeout 5 getfattr --absolute-names -n system.posix_acl_access "$home/ours"
refused=$([ "$(id -u)" -eq 0 ] && echo "not supported" || echo "not permitted") # by the kernel
assert_fails "$refused" timeout 5 setfattr -n security.mine -v 1 "$home/ours"
assert_fails "not supported" timeout 5 setfacl -m u:1:r "$home/ours"
[ "$(requests getxattr)" -gt "$before" ] || fail "the mount was not asked"
kill -CONT "$E2E_SERVER_PID"

unmount_home "$home"
stop_server
