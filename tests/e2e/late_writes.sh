#!/bin/bash
# What a mount wrote while it had the home alone, and could not send before another mount was let in,
# undoes nothing that was written there meanwhile: appends go to the end, the rest is EIO. The line of
# the first mount is slow (support/wan_proxy.py), and its daemon stops with most of it unsent.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

a=$E2E_DIR/a b=$E2E_DIR/b stored=$E2E_DIR/server/homes/alice
proxy=$HOMEFS_SOURCE_DIR/tests/support/wan_proxy.py
writer=$HOMEFS_SOURCE_DIR/tests/support/late_writer.py
lines=4000

add_user alice 1GiB
start_server
server_port=$E2E_PORT
python3 "$proxy" "$server_port" "$E2E_DIR/proxy" rate 4000000 >"$E2E_DIR/proxy.port" \
  2>"$E2E_DIR/logs/proxy.log" &
wait_until test -s "$E2E_DIR/proxy.port"
tell_proxy() { python3 "$proxy" --tell "$E2E_DIR/proxy" "$@" >/dev/null; }
mkdir -p "$stored"
for name in plain own mapped; do head -c 2M /dev/zero | tr '\0' . >"$stored/$name"; done
E2E_PORT=$(cat "$E2E_DIR/proxy.port")
mount_home alice "$a"
E2E_PORT=$server_port
daemon=$(mount_pid "$a")

of_a() {
  "$HOMEFS_BIN" status --json | jq -r --arg at "$a" ".[] | select(.mount.mountpoint == \$at) | $1"
}
is_sole() { [ "$(of_a .files.is_shared)" = false ]; }
said() { grep -qx "$1" "$E2E_DIR/writer"; }

# The first mount writes, and is stopped with most of it unsent.
write_and_stop() {
  : >"$E2E_DIR/writer"
  rm -f "$E2E_DIR/go"
  mkfifo "$E2E_DIR/go"
  tell_proxy buffer 65536
  tell_proxy rate 1000000
  python3 "$writer" "$a" "$lines" <"$E2E_DIR/go" >"$E2E_DIR/writer" 2>&1 &
  writing=$!
  exec 9>"$E2E_DIR/go"
  wait_until said written
  kill -STOP "$daemon"
}

# The other one appends lines, and writes over what the first has not sent: all of a file, a page of
# another. It hears that all of it is done.
write_in_b() {
  python3 -c 'import os, sys
folder = sys.argv[1]
log = os.open(folder + "/log", os.O_WRONLY | os.O_APPEND)
for i in range(100):
    line = f"new {i} ".ljust(200, ".") + "\n"
    assert os.write(log, line.encode()) == len(line)
os.fsync(log)
for name, offset, count in (("plain", 0, 2 << 20), ("mapped", 1 << 20, 4096)):
    file = os.open(folder + "/" + name, os.O_WRONLY)
    assert os.pwrite(file, b"N" * count, offset) == count
    os.fsync(file)' "$b"
}

go_on() {
  tell_proxy rate 0
  kill -CONT "$daemon"
  echo go >&9
  exec 9>&-
  wait "$writing" || fail "the writer says: $(cat "$E2E_DIR/writer")"
}

check() {
  python3 - "$stored" "$lines" "$E2E_DIR/writer" <<'PYTHON'
import re
import sys

stored, lines = sys.argv[1], int(sys.argv[2])
told = dict(line.split() for line in open(sys.argv[3]) if line != "written\n")
print(told)
seen = {"old": [], "new": []}
for line in open(stored + "/log", "rb").read().decode().splitlines():
    found = re.fullmatch(r"(old|new) (\d+) \.+", line)
    assert found, f"torn: {line[:80]!r}"
    seen[found[1]].append(int(found[2]))
assert told["log"] == "ok", told
assert seen["old"] == list(range(lines)), "lines of the first mount are lost, doubled or out of order"
assert seen["new"] == list(range(100)), "lines of the second mount are lost, doubled or out of order"
assert open(stored + "/plain", "rb").read() == b"N" * (2 << 20), "newer data was written over"
assert told["plain"] == "EIO", told
assert told["own"] == "ok", told
assert open(stored + "/own", "rb").read() == b"o" * (2 << 20), "nobody else has changed it"
mapped = open(stored + "/mapped", "rb").read()
assert mapped[1 << 20:][:4096] == b"N" * 4096, "a page was written over newer data"
assert told["mapped"] == "EIO" or mapped.count(b"o") == (2 << 20) - 4096, "stores are lost in silence"
PYTHON
  grep -q "not written, as another mount had changed the file before: .*file=\"/*plain\"" \
    "$E2E_DIR"/logs/mount-1.log "$XDG_STATE_HOME"/homefs/*/*.log || fail "the log says nothing of it"
}

begin "A daemon that was stopped undoes nothing that another mount has written meanwhile"
write_and_stop
mount_home alice "$b"
write_in_b
go_on
check

begin "Nor does one whose server was killed and started anew before it goes on"
unmount_home "$b"
rm "$a/log"
wait_until is_sole
write_and_stop
kill_server
start_server
mount_home alice "$b"
write_in_b
go_on
check

unmount_home "$b"
unmount_home "$a"
stop_server
