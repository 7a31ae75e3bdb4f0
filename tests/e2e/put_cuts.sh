#!/bin/bash
# put and get of a large file that are interrupted again and again, by signals, the network and the server:
# of the whole file little more than its size crosses the network in all.
# ctest: TIMEOUT 600
#
# HOMEFS_PUT_MIB (256): the size. HOMEFS_PUT_RATE (60): MiB a second at most, so that there is something
# to interrupt. TMPDIR: where there is room for three of it.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

mib=${HOMEFS_PUT_MIB:-256}
rate=${HOMEFS_PUT_RATE:-60}
size=$((mib * 1048576))
home=$E2E_DIR/server/homes/alice
proxy=$HOMEFS_SOURCE_DIR/tests/support/wan_proxy.py

tell() { python3 "$proxy" --tell "$E2E_DIR/proxy" "$@"; }
# counted N: the N-th number of `count`: bytes up (3) or down (4) that crossed the proxy.
counted() { tell count | cut -d' ' -f"$1"; }
partials() { find "$1" -name '.*.homefs-part-*'; }
# arrived FOLDER: how much of the file is there under its name or the hidden one, in MiB.
arrived() {
  local part
  part=$(partials "$1" | head -n 1)
  if [ -z "$part" ]; then echo 0; else echo $(($(stat -c %b "$part") / 2048)); fi
}
has_arrived() { [ "$(arrived "$1")" -ge "$2" ] || ! kill -0 "$pid" 2>/dev/null; }

add_user alice $((mib * 3 + 100))MiB
start_server
server_port=$E2E_PORT
python3 "$proxy" "$server_port" "$E2E_DIR/proxy" >"$E2E_DIR/proxy.port" 2>"$E2E_DIR/logs/proxy.log" &
wait_until test -s "$E2E_DIR/proxy.port"
proxy_port=$(cat "$E2E_DIR/proxy.port")
login=(-s 127.0.0.1 -P "$proxy_port" -u alice --password-file "$E2E_DIR/secrets/alice" --accept-new-server)
head -c "${mib}M" /dev/urandom >"$E2E_DIR/big"
cd "$E2E_DIR"
mkdir back

# cut_transfer FOLDER COMMAND...: brings a file to FOLDER with five interruptions, one after each sixth of
# it. A broken network and a server that was killed are waits; after a signal it is called again.
cut_transfer() {
  local folder=$1 round=0 how status
  shift
  pid=
  for how in INT network KILL server INT end; do
    if [ -z "$pid" ]; then
      "$HOMEFS_BIN" "$@" >"$E2E_DIR/logs/transfer.log" 2>&1 </dev/null &
      pid=$!
    fi
    [ "$how" != end ] || break
    round=$((round + 1))
    wait_until has_arrived "$folder" $((mib * round / 6))
    kill -0 "$pid" 2>/dev/null || fail "ended before interruption $round, $how"
    case $how in
      network) tell cut ;;
      server)
        kill_server
        start_server
        ;;
      *)
        kill "-$how" "$pid"
        status=0
        wait "$pid" 2>/dev/null || status=$?
        assert_eq "$status" "$([ "$how" = INT ] && echo 130 || echo 137)" "status after $how"
        pid=
        ;;
    esac
  done
  wait "$pid" || fail "status $? of the last call: $(cat "$E2E_DIR/logs/transfer.log")"
  assert_eq "$(partials "$folder")" ""
}

# crossed_for WAY LIMIT COMMAND...: at most LIMIT bytes cross the network that way (3: up, 4: down).
crossed_for() {
  local way=$1 limit=$2 before crossed
  shift 2
  before=$(counted "$way")
  "$@"
  crossed=$(($(counted "$way") - before))
  printf '   %s bytes crossed, %s more than the file\n' "$crossed" $((crossed - size))
  [ "$crossed" -ge "$size" ] || fail "less than the file has crossed"
  [ "$crossed" -le "$limit" ] || fail "$crossed bytes crossed, more than $limit"
}

# lost_at_most BYTES: the limit when so much is lost at each of the five. TLS, frames, requests and lists of
# MD5s take less than 1 %.
lost_at_most() { echo $((size + size / 100 + 5 * $1)); }

begin "$mib MiB are put with five interruptions, and cross the network once"
# What has reached the server is written also when the client is gone.
crossed_for 3 "$(lost_at_most $((1 << 20)))" cut_transfer "$home" put "${login[@]}" --limit "${rate}M" big /
cmp big "$home/big"
client alice verify big /big

begin "$mib MiB are got with five interruptions, and cross the network once"
# The answers that are on their way to a client that is gone are lost: 16 of 1 MiB at most.
crossed_for 4 "$(lost_at_most $((4 << 20)))" cut_transfer back get "${login[@]}" --limit "${rate}M" /big back
cmp big back/big

begin "The side log tells of each process that was ended, and progress of none, since all is done"
log=$(cat "$XDG_STATE_HOME"/homefs/*/transfers.jsonl)
for direction in up down; do
  events=$(jq -r "select(.direction == \"$direction\") | .event" <<<"$log")
  assert_eq "$(grep -c '^started' <<<"$events")" 4 "transfers begun ($direction)"
  assert_eq "$(grep -c '^done' <<<"$events")" 1 "transfers done ($direction)"
done
assert_eq "$("$HOMEFS_BIN" progress)" "Nothing is under way."

# interrupted MIB ARGUMENT...: of a put that is told to end when so many MiB have arrived: its figures.
interrupted() {
  local wanted=$1 status=0
  shift
  "$HOMEFS_BIN" put "${login[@]}" --json "$@" far /far >"$E2E_DIR/interrupted.json" &
  pid=$!
  wait_until has_arrived "$home" "$wanted"
  kill -INT "$pid"
  wait "$pid" || status=$?
  assert_eq "$status" 130 "status after INT"
}
interrupted_three_times() {
  local wanted arrived=0
  for wanted in 8 16 24; do
    interrupted "$wanted" --limit 16M
    assert_eq "$(jq .bytes_resumed "$E2E_DIR/interrupted.json")" "$arrived" "resumed at $wanted MiB"
    arrived=$((arrived + $(jq .bytes_sent "$E2E_DIR/interrupted.json")))
  done
  assert_eq "$("$HOMEFS_BIN" put "${login[@]}" --json far /far | jq .bytes_resumed)" "$arrived"
}

begin "After Ctrl-C what is under way still arrives, over a round trip of 200 ms"
size=$((32 << 20))
head -c "$size" big >far
tell delay 100
crossed_for 3 "$(lost_at_most 0)" interrupted_three_times
cmp far "$home/far"

begin "Nobody waits long for a network that is dead"
printf x | dd of=far bs=1 conv=notrunc status=none
rm "$home/far"
"$HOMEFS_BIN" put "${login[@]}" --limit 4M far /far >"$E2E_DIR/logs/dead.log" 2>&1 &
pid=$!
wait_until has_arrived "$home" 4
tell hold
kill -INT "$pid"
since=$SECONDS status=0
wait "$pid" || status=$?
assert_eq "$status" 130 "status after INT"
[ $((SECONDS - since)) -lt 8 ] || fail "it took $((SECONDS - since)) s to end"
tell release
stop_server
