#!/bin/bash
# ctest: NEEDS nothing
# ctest: NOT sanitized
# ctest: TIMEOUT 300
# The harness of the other tests must fail when something is wrong and must leave nothing behind,
# whatever happened. Shown with stand-ins for the two programs: a server that listens, and a mount
# whose daemon never answers the kernel, which is the worst that a test can meet.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

cat >"$work/homefsd" <<'PYTHON'
#!/usr/bin/env python3
import json, signal, socket, sys
config = json.load(open(sys.argv[2]))
if "serve" not in sys.argv:
    sys.exit(0)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
listener = socket.create_server((config["listen"]["address"], config["listen"]["port"]))
while True:
    listener.accept()[0].close()
PYTHON

# homefs mount ... FOLDER: a FUSE mount; with $work/hang there its daemon never answers.
cat >"$work/homefs" <<'PYTHON'
#!/usr/bin/env python3
import array, os, signal, socket, subprocess, sys
folder = sys.argv[-1]
if sys.argv[1] == "umount":
    sys.exit(subprocess.call(["fusermount3", "-u", folder]))
ours, theirs = socket.socketpair()
environment = dict(os.environ, _FUSE_COMMFD=str(theirs.fileno()))
subprocess.check_call(["fusermount3", "-o", "rw,nosuid,nodev,fsname=fake,subtype=fake", "--", folder],
                      env=environment, pass_fds=[theirs.fileno()])
_, ancillary, _, _ = ours.recvmsg(1, socket.CMSG_SPACE(4))
fuse = array.array("i", ancillary[0][2])[0]
if os.fork() == 0:
    os.setsid()
    if os.path.exists(os.path.join(os.path.dirname(sys.argv[0]), "hang")):
        signal.pause()
PYTHON
chmod +x "$work/homefs" "$work/homefsd"

failures=0
# scenario NAME WANTED-STATUS WANTED-TEXT SCRIPT: runs SCRIPT under the harness.
scenario() {
  local name=$1 wanted=$2 text=$3 output status=0 left
  printf '#!/bin/bash\n. "%s/../support/e2e.sh"\n%s\n' "$here" "$4" >"$work/test.sh"
  mkdir -p "$work/tmp"
  output=$(HOMEFS_BIN="$work/homefs" HOMEFSD_BIN="$work/homefsd" TMPDIR="$work/tmp" \
    HOMEFS_TEST_TIMEOUT="${timeout:-100}" bash "$work/test.sh" 2>&1) || status=$?
  if [ "$wanted" = 0 ] && [ "$status" != 0 ] || [ "$wanted" != 0 ] && [ "$status" = 0 ]; then
    printf 'FAIL: %s: status %s\n%s\n' "$name" "$status" "$output"
    failures=$((failures + 1))
  elif ! grep -qF -- "$text" <<<"$output"; then
    printf 'FAIL: %s: "%s" is not in:\n%s\n' "$name" "$text" "$output"
    failures=$((failures + 1))
  fi
  left=$(grep -c "$work/tmp" /proc/self/mountinfo || true)
  [ "$left" = 0 ] || { echo "FAIL: $name: $left mounts left"; failures=$((failures + 1)); }
  left=$(grep -lsazF "HOMEFS_E2E_MARK=$work/tmp" /proc/[0-9]*/environ 2>/dev/null || true)
  [ -z "$left" ] || { echo "FAIL: $name: processes left: $left"; failures=$((failures + 1)); }
  [ -z "$(ls -A "$work/tmp")" ] || { echo "FAIL: $name: files left"; failures=$((failures + 1)); }
}

# shellcheck disable=SC2016 # The scripts are to be expanded where they run.
{
  scenario "what passes" 0 'a sentence' '
    start_server; begin "a sentence"; assert_eq 1 1; stop_server'
  scenario "what is not equal" 1 "got '1', wanted '2'" '
    start_server; begin "a sentence"; assert_eq 1 2'
  scenario "a command that fails" 1 'FAILED (status 3) in: a sentence' '
    start_server; begin "a sentence"; (exit 3); begin "not reached"'
  scenario "a condition that never comes" 1 'not within 1 s: false' '
    E2E_DEADLINE=1; wait_until false'
  scenario "a server that dies" 1 'homefsd ended while starting' '
    change_server_config ".listen.port = 99999999"; start_server'
  scenario "a report of a sanitizer" 1 'heap-use-after-free' '
    echo "ERROR: heap-use-after-free" >"$E2E_DIR/logs/sanitizer.1"'
  scenario "a forgotten process" 0 '' '
    setsid sleep 1000 & disown'
  scenario "the same trees" 0 '' '
    mkdir "$E2E_DIR/a"; echo 1 >"$E2E_DIR/a/f"; cp -a "$E2E_DIR/a" "$E2E_DIR/b"
    assert_same_tree "$E2E_DIR/a" "$E2E_DIR/b"'
  scenario "trees of different modes" 1 'differ in modes' '
    mkdir "$E2E_DIR/a"; echo 1 >"$E2E_DIR/a/f"; cp -a "$E2E_DIR/a" "$E2E_DIR/b"
    chmod 600 "$E2E_DIR/a/f"; chmod 640 "$E2E_DIR/b/f"; assert_same_tree "$E2E_DIR/a" "$E2E_DIR/b"'
  touch "$work/hang"
  timeout=23 scenario "a mount that hangs" 1 'takes longer than 3 s' '
    start_server; begin "hanging"; mount_home alice "$E2E_DIR/m"'
  rm "$work/hang"
  scenario "a mount whose daemon is gone" 1 'FAILED' '
    start_server; mount_home alice "$E2E_DIR/m"; cat "$E2E_DIR/m/file"'
}

[ "$failures" -eq 0 ] || exit 1
echo "the harness fails when it must and leaves nothing behind"
