#!/bin/bash
# A home that preserves owners, mounted with idmap=none by root: owners, groups, modes and devices
# are as on a local disk, and stay over a new mount and a restart of the server.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

if [ "$(id -u)" -ne 0 ]; then
  echo "skipped: only root can be other users"
  exit 77
fi
# Users of the test get here.
chmod 755 "$E2E_DIR"

add_user alice 100MiB
(umask 077 && head -c 12 /dev/urandom | base64 >"$E2E_DIR/secrets/owen")
homefsd user add owen --preserve-owners --password-stdin <"$E2E_DIR/secrets/owen" \
  >>"$E2E_DIR/logs/admin.log"
start_server
home=$E2E_DIR/owen
options=allow_other,suid,dev,idmap=none

# as UID GROUPS COMMAND...: as a user with these groups, the first one its own.
as() {
  local uid=$1 groups=$2
  shift 2
  setpriv --reuid "$uid" --regid "${groups%%,*}" --groups "$groups" --inh-caps=-all "$@"
}

# is_plain FILE: root's, for everybody to do everything with, without suid and sgid.
is_plain() { [ "$(facts "$1")" = "-rwxrwxrwx 0:0" ]; }
facts() { stat -c '%A %u:%g' "$@"; }

begin "Without the account's permission the mount is refused, and says what to do"
mkdir "$E2E_DIR/alice"
assert_fails "preserve_owners = yes" client alice mount "$E2E_DIR/alice" -o idmap=none
not_mounted "$E2E_DIR/alice"

mkdir "$home"
E2E_MOUNTS+=("$home")
# The options may stand before the folder.
client owen mount -o "$options" "$home" </dev/null >"$E2E_DIR/logs/mount.log" 2>&1 || fail "mount"
mountpoint -q "$home"

begin "The folder of the home can be given to somebody"
chown 0:0 "$home"
chmod 0755 "$home"
assert_eq "$(facts "$home")" "drwxr-xr-x 0:0"

begin "root gives files away, others do not"
echo data >"$home/file"
chown 2001:2002 "$home/file"
assert_eq "$(facts "$home/file")" "-rw-r--r-- 2001:2002"
assert_fails "not permitted" as 2001 2002 chown 2003 "$home/file"
assert_fails "ermission" as 2003 2003 sh -c "echo x >>'$home/file'"
as 2001 2002 sh -c "echo more >>'$home/file'"

begin "A member of a group gives it the file, others do not"
as 2001 2001,3000 chgrp 3000 "$home/file"
assert_eq "$(facts "$home/file")" "-rw-r--r-- 2001:3000"
assert_fails "not permitted" as 2001 2001 chgrp 2002 "$home/file"

begin "A supplementary group lets its members in"
chmod 660 "$home/file"
assert_eq "$(as 2500 2500,3000 cat "$home/file")" $'data\nmore'
assert_fails "denied" as 2500 2500 cat "$home/file"

begin "A folder with sgid hands on its group"
mkdir "$home/shared"
chown 0:3000 "$home/shared"
chmod 2777 "$home/shared"
as 2001 2001 mkdir "$home/shared/below"
as 2001 2001 touch "$home/shared/file"
as 2001 2001 ln -s target "$home/shared/link"
assert_eq "$(facts "$home/shared/below")" "drwxr-sr-x 2001:3000"
assert_eq "$(facts "$home/shared/file")" "-rw-r--r-- 2001:3000"
assert_eq "$(facts "$home/shared/link")" "lrwxrwxrwx 2001:3000"

begin "chmod by somebody outside of the group takes no sgid"
as 2001 2001 chmod 2755 "$home/shared/file"
assert_eq "$(facts "$home/shared/file")" "-rwxr-xr-x 2001:3000"

begin "In a sticky folder only the owner removes a file"
mkdir "$home/tmp"
chmod 1777 "$home/tmp"
as 2001 2001 touch "$home/tmp/of-2001"
assert_fails "not permitted" as 2002 2002 rm -f "$home/tmp/of-2001"
assert_fails "not permitted" as 2002 2002 mv "$home/tmp/of-2001" "$home/tmp/other"
as 2001 2001 rm "$home/tmp/of-2001"

begin "A program runs as its owner"
cp "$(command -v id)" "$home/id"
chown 2001:2002 "$home/id"
chmod 6755 "$home/id"
assert_eq "$(as 2500 2500 "$home/id" -u)" 2001
assert_eq "$(as 2500 2500 "$home/id" -g)" 2002

begin "Writing, truncating, opening for it and giving away take suid and sgid"
for change in "echo x >>F" "truncate -s 3 F" ": >F" "dd if=/dev/zero of=F conv=notrunc count=1"; do
  echo data >"$home/priv"
  chmod 6777 "$home/priv"
  as 2500 2500 sh -c "${change//F/"'$home/priv'"}" 2>/dev/null
  # The kernel hears a moment later of what a write has done to the mode.
  wait_until is_plain "$home/priv"
done
chmod 6777 "$home/priv"
chown 2001 "$home/priv"
assert_eq "$(facts "$home/priv")" "-rwxrwxrwx 2001:0"
python3 -c "import os; os.chmod('$home/priv', 0o6777); os.chown('$home/priv', -1, -1)"
assert_eq "$(facts "$home/priv")" "-rwxrwxrwx 2001:0"

begin "Devices, FIFOs, sockets and symlinks have owners and work"
mknod "$home/null" c 1 3
mknod "$home/disk" b 259 70000
mkfifo "$home/fifo"
ln -s some/where "$home/link"
python3 -c "import socket; socket.socket(socket.AF_UNIX).bind('$home/socket')"
for name in null disk fifo link socket; do chown -h 2001:3000 "$home/$name"; done
chmod 640 "$home/disk"
echo gone >"$home/null"
assert_eq "$(wc -c <"$home/null")" 0
assert_eq "$(stat -c '%F %t:%T' "$home/null")" "character special file 1:3"
assert_eq "$(stat -c '%F %t:%T' "$home/disk")" "block special file 103:11170"
(echo through >"$home/fifo") &
assert_eq "$(cat "$home/fifo")" through
wait $!
assert_fails "not permitted" as 2001 2001 mknod "$home/tmp/null" c 1 3

begin "The server keeps plain files of its own, and no attribute shows"
assert_eq "$(find "$E2E_DIR/server/homes/owen" ! -type d ! \( -type f -perm 1600 -uid 0 \))" ""
assert_eq "$(find "$E2E_DIR/server/homes/owen" -mindepth 1 -type d ! -perm 1700)" ""
assert_eq "$(getfattr -h -d -m - --absolute-names "$home/file" "$home/shared" 2>&1)" ""
assert_fails "not permitted" setfattr -n user.homefs.mode -v x "$home/file"
assert_fails "not permitted" setfattr -x user.homefs.mode "$home/file"

begin "Other names and places change nothing"
ln "$home/null" "$home/null2"
mv "$home/link" "$home/shared/moved"
ln "$home/id" "$home/id2"
touch "$home/replaced"
mv -f "$home/disk" "$home/replaced"
assert_eq "$(facts "$home/shared/moved")" "lrwxrwxrwx 2001:3000"
assert_eq "$(readlink "$home/shared/moved")" some/where
assert_eq "$(facts "$home/replaced")" "brw-r----- 2001:3000"
exec 7<"$home/id2"
rm "$home/id" "$home/id2"
assert_eq "$(stat -L -c '%A %u:%g' /dev/fd/7)" "-rwsr-sr-x 2001:2002"
exec 7<&-

all() { (cd "$home" && find . -printf '%P %M %U:%G %s %T@ %C@ %n %l\n' | LC_ALL=C sort &&
  stat -c '%n %t:%T' null null2 replaced); }

begin "A new mount and a new server show the same"
before=$(all)
unmount_home "$home"
mount_home owen "$home" -o "$options"
assert_eq "$(all)" "$before"
stop_server
start_server
wait_until ls "$home"
assert_eq "$(all)" "$before"
unmount_home "$home"
kill_server
start_server
mount_home owen "$home" -o "$options"
assert_eq "$(all)" "$before"

begin "Two mounts see each other's changes of owner"
second=$E2E_DIR/second
mount_home owen "$second" -o "$options"
assert_eq "$(facts "$second/priv")" "-rwxrwxrwx 2001:0"
chown 2009:2010 "$home/priv"
assert_eq "$(facts "$second/priv")" "-rwxrwxrwx 2009:2010"
unmount_home "$second"

begin "A mount of it with idmap=user shows the user's own, and changes no owner"
mount_home owen "$second"
assert_eq "$(stat -c %u:%g "$second/priv")" 0:0
chmod 700 "$second/priv"
assert_eq "$(facts "$home/priv")" "-rwx------ 2009:2010"
assert_eq "$(readlink "$second/shared/moved")" some/where
unmount_home "$second"

begin "An archive goes in and out with all owners"
mkdir "$E2E_DIR/tree"
for number in 1 2 3; do
  echo "$number" >"$E2E_DIR/tree/$number"
  ln -s "$number" "$E2E_DIR/tree/link$number"
  chown -h "$((4000 + number)):$((5000 + number))" "$E2E_DIR/tree/$number" "$E2E_DIR/tree/link$number"
done
chmod 4755 "$E2E_DIR/tree/1"
mknod "$E2E_DIR/tree/zero" c 1 5
tar -C "$E2E_DIR" -cf - tree | tar -C "$home" -xpf -
owned() { (cd "$1" && find . -printf '%P %M %U:%G %T@ %l\n' | LC_ALL=C sort && stat -c '%t:%T' zero); }
assert_eq "$(owned "$home/tree" | sed 's/\.[0-9]* / /')" "$(owned "$E2E_DIR/tree" | sed 's/\.[0-9]* / /')"
rm -r "${home:?}/tree"

unmount_home "$home"
stop_server
