#!/bin/bash
# What the kernel asks of the mount: the flags that libfuse 3.14 leaves out are agreed on.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 1GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

# requests KIND: how many of them the kernel has sent.
requests() {
  "$HOMEFS_BIN" status --json | python3 -c '
import json, sys
print(json.load(sys.stdin)[0]["kernel"]["requests"][sys.argv[1]])' "$1"
}

begin "A buffered write costs no question about security.capability"
# The kernel asks once for a new inode, and remembers the answer (S_NOSEC).
echo first >"$home/written"
before=$(requests getxattr)
dd if=/dev/zero of="$home/written" bs=4096 count=500 conv=notrunc status=none
assert_eq "$(requests getxattr)" "$before"
[ "$(requests write)" -ge 500 ] || fail "the writes did not reach the mount"

# calls KIND: how many of them the mount has sent to the server.
calls() { "$HOMEFS_BIN" status --json | jq ".[0].link.calls.$1 // 0"; }

begin "Times, owner and mode of a file that was just written cost no question of their own"
before=$(calls setattr)
writes=$(calls write)
mkdir "$E2E_DIR/local"
for i in 1 2 3 4 5; do seq "$i" 100 >"$E2E_DIR/local/$i"; done
chmod 0640 "$E2E_DIR"/local/*
touch -d '2001-02-03 04:05:06.789' "$E2E_DIR"/local/*
tar cf "$E2E_DIR/local.tar" -C "$E2E_DIR/local" 1 2 3 4 5
mkdir "$home/local"
tar xpf "$E2E_DIR/local.tar" -C "$home/local"
assert_eq "$(calls setattr)" "$before"
assert_eq "$(calls write)" $((writes + 5))
unmount_home "$home"
mount_home alice "$home"
assert_same_tree "$E2E_DIR/local" "$home/local"

begin "Two lookups in one folder are under way together"
mkdir "$home/folder"
touch "$home/folder/one" "$home/folder/two"
# Until then the mount knows the folder, having made it.
unmount_home "$home"
mount_home alice "$home"
ls -d "$home/folder" >/dev/null
before=$(requests lookup)
kill -STOP "$E2E_SERVER_PID"
stat "$home/folder/one" >/dev/null &
first=$!
stat "$home/folder/two" >/dev/null &
second=$!
both_asked() { [ "$(requests lookup)" -ge $((before + 2)) ]; }
wait_until both_asked
kill -CONT "$E2E_SERVER_PID"
wait "$first" "$second"

begin "Names that are asked for one by one make their folders be listed, not asked for each"
mkdir -p "$home"/tree/{1,2,3,4,5,6,7,8,9,10}/below
for folder in "$home"/tree/*; do touch "$folder"/{a,b,c,d,e,f,g,h} "$folder"/below/{a,b,c,d}; done
unmount_home "$home"
mount_home alice "$home"
asked=$(($(calls lookup) + $(calls list)))
for folder in 1 10 2 3 4 5 6 7 8 9; do
  for name in a b below/a below/b below/c below/d c d e f g h; do
    [ -f "$home/tree/$folder/$name" ] || fail "$folder/$name is not there"
  done
done
asked=$(($(calls lookup) + $(calls list) - asked))
# Of 120 files in 20 folders: 132 requests if nothing of a folder were kept, 40 if each came to be listed
# by itself.
[ "$asked" -le 30 ] || fail "$asked requests for 120 files in 20 folders"

unmount_home "$home"
stop_server
