#!/bin/bash
# What a new user does first: an account, a mount, files in and out, and the end of it.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 100MiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

begin "A file that is written is on the server when it was closed"
echo hello >"$home/hello"
assert_eq "$(cat "$home/hello")" hello
assert_eq "$(cat "$E2E_DIR/server/homes/alice/hello")" hello

begin "A tree comes back as it was, also in a new mount"
mkdir "$E2E_DIR/tree"
cp -r --preserve=mode,timestamps,links /usr/include/linux "$E2E_DIR/tree/"
ln -s linux/fuse.h "$E2E_DIR/tree/link"
touch -h -d 2001-02-03T04:05:06 "$E2E_DIR/tree/link"
chmod 700 "$E2E_DIR/tree/linux/usb"
chmod 444 "$E2E_DIR/tree/linux/fuse.h"
cp -a "$E2E_DIR/tree" "$home/"
assert_same_tree "$E2E_DIR/tree" "$home/tree"
unmount_home "$home"
mount_home alice "$home"
assert_same_tree "$E2E_DIR/tree" "$home/tree"

begin "df shows the quota"
assert_eq "$(stat -f -c '%b * %S' "$home" | { read -r a _ b; echo $((a * b)); })" $((100 * 1024 * 1024))

begin "What does not fit the quota is refused, and the rest stays"
assert_fails "quota" dd if=/dev/zero of="$home/big" bs=1M count=200
rm "$home/big"
echo again >"$home/again"
assert_eq "$(cat "$home/again")" again

begin "Nobody else gets in"
head -c 12 /dev/urandom | base64 >"$E2E_DIR/secrets/mallory"
assert_fails "" client mallory mount "$E2E_DIR/tree"

begin "Removing all of it leaves nothing"
rm -r "${home:?}"/*
assert_eq "$(ls -A "$home")" ""
unmount_home "$home"
stop_server
