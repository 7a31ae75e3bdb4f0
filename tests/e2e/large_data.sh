#!/bin/bash
# A large file in and out: the same bytes, and no more memory than the buffers may have.
# HOMEFS_TEST_MIB (256) is its size; 2048 by hand.
# ctest: TIMEOUT 600
# ctest: NOT sanitized
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

mib=${HOMEFS_TEST_MIB:-256}
# What a mount may use at most: 32 MiB that is written and not sent, 16 MiB read ahead of small
# files, 64 buffers of requests, 16 MiB queued on each of two connections, 8 MiB read ahead, and
# the program itself.
rss_mib_max=$((32 + 16 + 64 + 2 * 16 + 8 + 40))

peak_mib() { echo $(($(sed -n 's/^VmHWM:\s*\([0-9]*\) kB/\1/p' "/proc/$1/status") / 1024)); }

add_user alice 64GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home" -o write_buffer=32MiB
# Random, without a generator that would be slower than the mount.
key=$(head -c 32 /dev/urandom | od -An -tx1 | tr -d ' \n')
head -c "${mib}M" /dev/zero |
  openssl enc -aes-256-ctr -K "$key" -iv 00000000000000000000000000000000 >"$E2E_DIR/random"
wanted=$(md5sum <"$E2E_DIR/random")

begin "$mib MiB go in"
timed "$mib MiB in" cp "$E2E_DIR/random" "$home/random"
assert_eq "$(md5sum <"$E2E_DIR/server/homes/alice/random")" "$wanted"
rm "$E2E_DIR/random"

begin "They come out, also after a new mount"
unmount_home "$home"
mount_home alice "$home" -o write_buffer=32MiB
daemon=$(mount_pid "$home")
timed "$mib MiB out" cp "$home/random" "$E2E_DIR/random"
assert_eq "$(md5sum <"$E2E_DIR/random")" "$wanted"

begin "In and out again, in one mount, its memory stays bounded"
cp "$E2E_DIR/random" "$home/second"
cp "$home/second" "$E2E_DIR/second"
assert_eq "$(md5sum <"$E2E_DIR/second")" "$wanted"
peak=$(peak_mib "$daemon")
echo "peak of the daemon: $peak MiB, of the server: $(peak_mib "$E2E_SERVER_PID") MiB"
[ "$peak" -le "$rss_mib_max" ] || fail "the daemon took $peak MiB, more than $rss_mib_max"
