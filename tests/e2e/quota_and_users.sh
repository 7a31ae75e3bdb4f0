#!/bin/bash
# Two users beside each other, and a quota that holds to the byte with many writers.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

quota=$((100 * 1024 * 1024))
add_user alice 100MiB
add_user bob 100MiB
start_server
alice=$E2E_DIR/alice
bob=$E2E_DIR/bob
mount_home alice "$alice"
mount_home bob "$bob"

begin "Each user sees the own home"
echo of-alice >"$alice/file"
echo of-bob >"$bob/file"
assert_eq "$(cat "$alice/file")" of-alice
assert_eq "$(cat "$bob/file")" of-bob
rm "$alice/file"

used() { find "$E2E_DIR/server/homes/$1" -type f -printf '%s\n' | awk '{ n += $1 } END { print n + 0 }'; }

begin "The write that passes the quota is refused, what was before it is intact"
head -c $((quota - 5000)) /dev/urandom >"$E2E_DIR/most"
cp "$E2E_DIR/most" "$alice/most"
assert_fails "quota" dd if=/dev/zero of="$alice/more" bs=5001 count=1 status=none
cmp "$E2E_DIR/most" "$alice/most"
rm -f "$alice/more"
dd if=/dev/zero of="$alice/rest" bs=5000 count=1 status=none
assert_eq "$(used alice)" "$quota"

begin "After rm there is room again, and df says so"
rm "$alice/most" "$alice/rest"
assert_eq "$(df --output=avail -B1 "$alice" | tail -n 1 | tr -d ' ')" "$quota"

begin "df, and the attributes of the home, are true also of what others do there"
available() { df --output=avail -B1 "$alice" | tail -n 1 | tr -d ' '; }
files() { df --output=iused "$alice" | tail -n 1 | tr -d ' '; }
before=$(files)
head -c 1000000 /dev/zero >"$E2E_DIR/another"
client alice put -q "$E2E_DIR/another" /another
assert_eq "$(available)" $(((quota - 1000000) / 4096 * 4096))
assert_eq "$(getfattr --only-values -n user.homefs.quota.used_bytes "$alice")" 1000000
touch "$alice"/{1..20}
assert_eq "$(files)" $((before + 21))
client alice rm /another
assert_eq "$(available)" "$quota"
rm "$alice"/{1..20}
assert_eq "$(files)" "$before"

begin "Concurrent writers never pass the quota by a byte"
writers=()
for i in 1 2 3 4; do
  dd if=/dev/zero of="$alice/writer$i" bs=70001 count=1000 status=none 2>/dev/null &
  writers+=("$!")
done
refused=0
for pid in "${writers[@]}"; do wait "$pid" || refused=$((refused + 1)); done
[ "$refused" -ge 1 ] || fail "nobody was refused"
total=$(used alice)
[ "$total" -le "$quota" ] || fail "$total bytes of $quota"
[ "$total" -gt $((quota - 4 * 70001)) ] || fail "only $total bytes of $quota were let in"
assert_eq "$(cat "$bob/file")" of-bob

unmount_home "$alice"
unmount_home "$bob"
stop_server
