#!/bin/bash
# A server that has stopped answering: what is cached stays usable, a signal ends a wait, unmounting
# works, and when the server is back everything goes on, nothing lost and nothing done twice.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 4GiB
add_user bob 1GiB
start_server
home=$E2E_DIR/alice stored=$E2E_DIR/server/homes/alice
mkdir -p "$stored/warm" "$stored"/cold{1,2,3,4,5,6,7,8}
for i in 1 2 3 4 5 6 7 8; do echo "$i" >"$stored/cold$i/file"; done
echo cached >"$stored/warm/file"
mount_home alice "$home"

freeze() { kill -STOP "$E2E_SERVER_PID"; }
thaw() { kill -CONT "$E2E_SERVER_PID"; }
facts() { "$HOMEFS_BIN" status --json | jq -r ".[] | select(.mount.mountpoint == \"$home\") | $1"; }
# start COMMAND...: in the background, with the signals of a program in the foreground, and returns
# when it waits for an answer of the mount. Its number is in `program`, what it says in `said`.
start() {
  said=$(mktemp "$E2E_DIR/logs/program.XXXX")
  env --default-signal=INT,QUIT,TERM "$@" >"$said" 2>&1 &
  program=$!
  wait_until is_waiting
}
is_waiting() { grep -q request_wait_answer "/proc/$program/wchan"; }
# ends_within MILLISECONDS: `program` ends; its exit status is in `status`.
ends_within() {
  local begin now
  begin=$(date +%s%3N)
  status=0
  wait "$program" || status=$?
  now=$(date +%s%3N)
  [ $((now - begin)) -le "$1" ] || fail "took $((now - begin)) ms to end, not $1"
}

ls -l "$home/warm" >/dev/null
cat "$home/warm/file" >/dev/null
df "$home" >/dev/null
head -c 80M /dev/urandom >"$E2E_DIR/random"

begin "What is cached is answered at once"
freeze
timeout 2 stat "$home/warm/file" >/dev/null
assert_eq "$(timeout 2 ls "$home/warm")" file
assert_eq "$(timeout 2 cat "$home/warm/file")" cached
timeout 2 df "$home" >/dev/null
timeout 2 test ! -e "$home/warm/none"
timeout 2 "$HOMEFS_BIN" status >/dev/null

begin "SIGINT ends a program that waits for the server, at once"
start ls "$home/cold1"
kill -INT "$program"
ends_within 800
assert_eq "$status" 130

begin "SIGKILL does as well, and SIGTERM in the middle of a change"
start cat "$home/cold2/file"
kill -KILL "$program"
ends_within 800
start mkdir "$home/made"
kill -TERM "$program"
ends_within 800

begin "A program that handles SIGINT gets EINTR"
start python3 -c "
import os, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
try: os.listdir('$home/cold3')
except KeyboardInterrupt: print('interrupted')"
kill -INT "$program"
ends_within 2500
assert_contains "$(cat "$said")" interrupted

begin "A timer's signal does not: its program does not expect EINTR"
start perl -MTime::HiRes=setitimer,ITIMER_REAL -e "
\$SIG{ALRM} = sub { \$ticks++ };
setitimer(ITIMER_REAL, 0.1, 0.1);
opendir(my \$folder, '$home/cold4') or die \"opendir: \$!\";
print 'listed ', scalar(readdir(\$folder) ? 'something' : 'nothing'), \"\n\";"
timer_program=$program timer_said=$said
sleep 2.5  # The time that a spurious EINTR would take, and some more.
kill -0 "$timer_program" || fail "it has ended: $(cat "$timer_said")"

begin "A killed copy is gone at once, also with data that is unsent"
start cp "$E2E_DIR/random" "$home/killed"
kill -INT "$program"
ends_within 800

begin "umount of a mount with questions that nobody waits for any more needs no server"
thaw
mount_home bob "$E2E_DIR/bob"
mkdir -p "$E2E_DIR/server/homes/bob/cold"
freeze
start ls "$E2E_DIR/bob/cold"
kill -INT "$program"
ends_within 800
begin=$SECONDS
"$HOMEFS_BIN" umount "$E2E_DIR/bob"
[ $((SECONDS - begin)) -le 5 ] || fail "umount took $((SECONDS - begin)) s"
not_mounted "$E2E_DIR/bob" || fail "still mounted"
thaw

begin "fusermount3 -u and -u -z work while the server is stopped"
mount_home bob "$E2E_DIR/bob"
freeze
timeout 2 fusermount3 -u "$E2E_DIR/bob"
thaw
mount_home bob "$E2E_DIR/bob"
exec 7<"$E2E_DIR/bob"
freeze
timeout 2 fusermount3 -u -z "$E2E_DIR/bob"
exec 7<&-
thaw

begin "When the server is back, everything goes on"
wait "$timer_program" || fail "the program with the timer has failed"
assert_eq "$(cat "$timer_said")" "listed something"
for i in 1 2 3 5; do assert_eq "$(ls "$home/cold$i")" file; done
mkdir -p "$home/made"
assert_eq "$(find "$stored" -maxdepth 1 -name 'made*' | wc -l)" 1
is_released() { [ "$(facts .files.open_files)" = 0 ]; }
wait_until is_released

begin "A program that is killed while its data is unsent is gone soon; what it wrote arrives"
env --default-signal=INT python3 -c "
import os, time
part = open('$home/part', 'wb', buffering=0)
print('open', flush=True)
while not os.path.exists('$E2E_DIR/go'): time.sleep(0.05)
data = open('$E2E_DIR/random', 'rb').read()
while data:
  data = data[part.write(data[:1 << 20]):]
" >"$E2E_DIR/logs/part.log" &
program=$!
is_open() { grep -q open "$E2E_DIR/logs/part.log"; }
wait_until is_open
freeze
touch "$E2E_DIR/go"
is_full() { [ "$(facts .files.dirty_bytes)" -ge 20000000 ]; }
wait_until is_full
kill -KILL "$program"
ends_within 3500
assert_fails "not on the server yet" "$HOMEFS_BIN" umount --timeout 2 "$home"
mountpoint -q "$home" || fail "it is unmounted with unsent data"
thaw
is_sent() { [ "$(facts .files.dirty_bytes)" = 0 ]; }
wait_until is_sent
size=$(stat -c %s "$stored/part")
[ "$size" -ge 20000000 ] || fail "only $size bytes have arrived"
cmp -n "$size" "$E2E_DIR/random" "$stored/part"

begin "The same without any connection"
kill_server
start touch "$home/cold6/new"
kill -INT "$program"
ends_within 800
assert_eq "$status" 130
timeout 2 df "$home" >/dev/null
start_server
touch "$home/cold6/new"
assert_eq "$(cat "$home/cold6/file")" 6

begin "A soft mount gives an error after its time"
unmount_home "$home"
mount_home alice "$home" -o soft,timeo=2
freeze
begin=$SECONDS
assert_fails "timed out" timeout 20 ls "$home/cold7"
[ $((SECONDS - begin)) -le 6 ] || fail "took $((SECONDS - begin)) s"
thaw
assert_eq "$(ls "$home/cold8")" file

begin "umount -f gives up what is unsent, and says so"
unmount_home "$home"
mount_home alice "$home"
rm "$E2E_DIR/go"
python3 -c "
import os, time
lost = open('$home/lost', 'wb', buffering=0)
print('open', flush=True)
while not os.path.exists('$E2E_DIR/go'): time.sleep(0.05)
lost.write(bytes(300000))
time.sleep(60)
" >"$E2E_DIR/logs/lost.log" &
program=$!
has_open_file() { grep -q open "$E2E_DIR/logs/lost.log"; }
wait_until has_open_file
freeze
touch "$E2E_DIR/go"
is_unsent() { [ "$(facts .files.dirty_bytes)" = 300000 ]; }
wait_until is_unsent
assert_contains "$("$HOMEFS_BIN" umount -f "$home" 2>&1)" "are lost"
not_mounted "$home" || fail "still mounted"
kill -KILL "$program"
thaw
stop_server
