#!/bin/bash
# ctest: NOT sanitized
# The server does its work under the restrictions of its unit: what SystemCallFilter= and the like
# forbid is nothing that it needs. Here a forbidden call kills it, where the installed unit answers
# EPERM, so that nothing goes unseen.
set -euo pipefail
# shellcheck source=../support/user_e2e.sh
. "$(dirname "$0")/../support/user_e2e.sh"

unit=$support/../../packaging/systemd/homefsd.service
# What a user's manager can set without privileges; the rest of the unit is about mounts and users.
mapfile -t restrictions < <(grep -E '^(NoNewPrivileges|RestrictAddressFamilies|RestrictNamespaces|RestrictRealtime|LockPersonality|MemoryDenyWriteExecute|SystemCallArchitectures|SystemCallFilter|UMask)=' \
  "$unit" | sed 's/^/--property=/')
[ "${#restrictions[@]}" -ge 9 ] || fail "the unit has fewer restrictions than expected"

begin "The server starts under the restrictions of its unit and says when it is ready"
add_user alice 1GiB
systemd-run --user --quiet --unit=homefsd-hardened --property=Type=notify "${restrictions[@]}" \
  --property="StandardError=append:$E2E_DIR/logs/server.log" \
  "$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" serve
port_answers "$E2E_PORT" || fail "ready, but it does not answer"

begin "Every kind of operation works under them"
home=$E2E_DIR/alice
mount_home alice "$home"
mkdir -p "$home/folder/deep"
cp -r --preserve=mode,timestamps,links /usr/include/linux/usb "$home/folder/deep/"
assert_same_tree /usr/include/linux/usb "$home/folder/deep/usb"
head -c 5000000 /dev/urandom >"$home/data"
ln "$home/data" "$home/hard"
ln -s data "$home/soft"
mkfifo "$home/fifo"
mv "$home/hard" "$home/folder/moved"
cp "$home/data" "$home/copy"
truncate -s 100 "$home/copy"
fallocate -l 200000 "$home/copy"
chmod 2770 "$home/folder"
chgrp "$(id -g)" "$home/folder"
touch -d 2001-02-03 "$home/data"
setfattr -n user.colour -v blue "$home/data"
assert_eq "$(getfattr --only-values -n user.colour "$home/data")" blue
sync "$home/data"
df "$home" >"$E2E_DIR/df"
exec 5<>"$home/data"
rm "$home/data" "$home/folder/moved"
read -r -n 1 -u 5 _ || true
exec 5>&-
rm -r "$home/folder"
unmount_home "$home"

begin "It ends in good order"
systemctl --user stop homefsd-hardened
assert_eq "$(systemctl --user show -P Result homefsd-hardened)" success
