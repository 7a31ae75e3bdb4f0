#!/bin/bash
# Answers and changes that come late: what the mount knew meanwhile, and what the kernel was told, is
# what holds in the end.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 4GiB
start_server
home=$E2E_DIR/alice stored=$E2E_DIR/server/homes/alice

freeze() { kill -STOP "$E2E_SERVER_PID"; }
thaw() { kill -CONT "$E2E_SERVER_PID"; }
restart() {
  kill_server
  start_server
}
# calls OP: how many of them the mount has made.
calls() { "$HOMEFS_BIN" status --json | jq ".[0].link.calls[\"$1\"] // 0"; }
# kill_waiting OP COMMAND...: starts it, and kills it when its change is on its way to the server.
kill_waiting() {
  local op=$1 before
  before=$(calls "$op")
  shift
  "$@" >/dev/null 2>&1 &
  local program=$!
  is_waiting() {
    [ "$(calls "$op")" -gt "$before" ] && grep -q request_wait_answer "/proc/$program/wchan"
  }
  wait_until is_waiting
  kill -KILL "$program"
  wait "$program" 2>/dev/null || true
}

begin "df answers in a mount that nobody has looked at, while the server is silent or away"
mkdir -p "$stored/seen"
mount_home alice "$home"
freeze
timeout 5 df "$home" >/dev/null || fail "df waits for a silent server"
thaw
wait_until test -d "$home/seen"
assert_eq "$(ls "$home")" seen
unmount_home "$home"
mount_home alice "$home"
kill_server
timeout 5 df "$home" >/dev/null || fail "df waits for a server that is away"
start_server
assert_eq "$(ls "$home")" seen

begin "A change whose program was killed is seen when it is done"
cd "$home"
echo old >gone
echo content >kept
echo 0123456789 >shortened
ln kept linked
ls -l >/dev/null
cat gone kept shortened >/dev/null
stat made moved new >/dev/null 2>&1 || true
freeze
kill_waiting mkdir mkdir made
kill_waiting unlink rm -f gone
stat gone >/dev/null
kill_waiting rename mv kept moved
stat kept >/dev/null
kill_waiting setattr truncate -s 2 shortened
stat shortened >/dev/null
kill_waiting create touch new
kill_waiting unlink rm -f linked
stat linked >/dev/null
thaw
is_done() { test ! -e "$stored/linked" && test -e "$stored/new"; }
wait_until is_done
is_seen() {
  test -d made && test ! -e gone && test ! -e kept && test -e moved && test -e new &&
    test ! -e linked && [ "$(stat -c %s shortened)" = 2 ] && [ "$(stat -c %h moved)" = 1 ]
}
wait_until is_seen
assert_eq "$(cat shortened)" 01
assert_eq "$(cat moved)" content
cd "$E2E_DIR"

begin "A listing under way brings no name back that was renamed away"
python3 - "$home" <<'PY'
import os, sys
folder = sys.argv[1] + "/rotated"
os.mkdir(folder)
for i in range(3000):
    os.close(os.open(f"{folder}/{i:06d}-with-a-long-name-to-fill-the-buffers", os.O_CREAT | os.O_WRONLY))
open(folder + "/log", "w").write("old\n")
listing = os.scandir(folder)
for entry in [next(listing) for _ in range(3)]:
    os.stat(folder + "/" + entry.name)  # as ls -l does: attributes come with the names then
os.rename(folder + "/log", folder + "/log.1")
for count, entry in enumerate(listing):
    if count % 50 == 0 and entry.name != "log":
        os.stat(folder + "/" + entry.name)
assert not os.path.exists(folder + "/log"), "it leads to the old file"
with open(folder + "/log", "a") as log:
    log.write("new\n")
assert open(folder + "/log.1").read() == "old\n"
PY
assert_eq "$(cat "$stored/rotated/log")" new
rm -r "$home/rotated"

begin "After a restart of the server a file is found by any of its hard links"
for how in rename rename-folder unlink; do
  mkdir -p "$home/$how/sub"
  echo text >"$home/$how/a"
  ln "$home/$how/a" "$home/$how/b"
  ln "$home/$how/a" "$home/$how/sub/b"
done
restart
mv "$home/rename/b" "$home/rename/c"
rm "$home/rename/c"
mv "$home/rename-folder/sub" "$home/rename-folder/moved"
rm "$home/rename-folder/moved/b"
rm "$home/unlink/b"
for how in rename rename-folder unlink; do
  echo more >>"$home/$how/a" || fail "$how: the file is not found"
  assert_eq "$(cat "$stored/$how/a")" $'text\nmore' "$how"
done

begin "What is open is kept for those who have it open, also after a restart"
mount_home alice "$E2E_DIR/other"
for i in 1 2 3 4; do echo "$i" >"$E2E_DIR/other/open$i"; done
cat "$home"/open? >/dev/null
restart
ls -l "$home" "$E2E_DIR/other" >/dev/null
exec 5<"$home/open1" 6<"$home/open2" 7<"$home/open3"
rm "$E2E_DIR/other/open1"
mv "$E2E_DIR/other/open4" "$E2E_DIR/other/open2"
rm "$home/open3"
assert_eq "$(cat <&5)" 1
assert_eq "$(cat <&6)" 2
assert_eq "$(cat <&7)" 3
exec 5<&- 6<&- 7<&-
unmount_home "$E2E_DIR/other"

begin "A long listing goes on when the server is restarted between two pages"
mkdir "$stored/long"
(cd "$stored/long" && seq -f 'name-%06.0f-that-is-long-enough-for-several-pages' 20000 | xargs touch)
for _ in 1 2 3; do
  find "$home/long" -mindepth 1 | wc -l >"$E2E_DIR/logs/listed" &
  listing=$!
  restart
  wait "$listing"
  assert_eq "$(cat "$E2E_DIR/logs/listed")" 20000
  unmount_home "$home"
  mount_home alice "$home"
done
