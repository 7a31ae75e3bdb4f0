# shellcheck shell=bash
# What the tests with real mounts share. A test is a bash script that sources this file, and then:
#
#   add_user alice 1GiB
#   start_server
#   mount_home alice "$E2E_DIR/alice"
#   begin "A file that was written is read back"
#   echo hello >"$E2E_DIR/alice/file"
#   assert_eq "$(cat "$E2E_DIR/alice/file")" hello
#
# The first command that fails ends the test (set -e), with the logs of the programs. Whatever the
# end, mounts are taken away, processes of this test (and only of it) are ended, and E2E_DIR goes.
#
# From the environment: HOMEFS_BIN, HOMEFSD_BIN (set by ctest); HOMEFS_KEEP=1 leaves E2E_DIR.

set -euo pipefail

: "${HOMEFS_BIN:?the path of homefs}" "${HOMEFSD_BIN:?the path of homefsd}"

E2E_DIR=$(mktemp -d "${TMPDIR:-/tmp}/homefs-e2e.XXXXXX")
# Every process that this test starts inherits this mark; that is how the cleanup knows its own.
export HOMEFS_E2E_MARK="$E2E_DIR"
# How long wait_until waits at most, in seconds. A sanitizer build is several times slower.
E2E_DEADLINE=${E2E_DEADLINE:-$([ -n "${HOMEFS_SANITIZE:-}" ] && echo 60 || echo 20)}
E2E_CASE="(start)"
E2E_FAILURE=
E2E_SERVER_PID=
# What homefsd is started through: a program that executes its arguments.
E2E_SERVER_PREFIX=()
# Where it listens.
E2E_ADDRESS=127.0.0.1
E2E_MOUNTS=()
E2E_PORT=

if [ -z "${HOMEFS_USER_MANAGER:-}" ]; then
  # Nothing of the person who runs the tests is read or changed.
  export HOME="$E2E_DIR/home" XDG_CONFIG_HOME="$E2E_DIR/config" XDG_STATE_HOME="$E2E_DIR/state"
  export XDG_CACHE_HOME="$E2E_DIR/cache" XDG_DATA_HOME="$E2E_DIR/share" XDG_RUNTIME_DIR="$E2E_DIR/run"
  mkdir -m 0700 "$XDG_RUNTIME_DIR"
else
  # The user is made for the test, and the units of its manager look at the usual places.
  export XDG_CONFIG_HOME="$HOME/.config" XDG_STATE_HOME="$HOME/.local/state"
  export XDG_CACHE_HOME="$HOME/.cache" XDG_DATA_HOME="$HOME/.local/share"
fi
unset NOTIFY_SOCKET CREDENTIALS_DIRECTORY
mkdir -p "$HOME" "$XDG_CONFIG_HOME" "$XDG_STATE_HOME" "$XDG_CACHE_HOME" "$XDG_DATA_HOME" \
  "$E2E_DIR/secrets" "$E2E_DIR/server" "$E2E_DIR/logs"

# The reports of a sanitizer go to files, as a daemon has no stderr; any such file is a failure.
for _options in ASAN_OPTIONS UBSAN_OPTIONS LSAN_OPTIONS TSAN_OPTIONS; do
  export "$_options=${!_options:+${!_options}:}log_path=$E2E_DIR/logs/sanitizer"
done
unset _options

# --- messages and assertions -----------------------------------------------------------------

# begin SENTENCE: names what the following lines show.
begin() {
  E2E_CASE=$1
  printf -- '-- %s\n' "$1"
}

# fail MESSAGE: ends the test.
fail() {
  E2E_FAILURE=$*
  printf 'FAIL: %s\n      in: %s\n' "$*" "$E2E_CASE" >&2
  exit 1
}

assert_eq() {
  [ "$1" = "$2" ] || fail "${3:-not equal}: got '$1', wanted '$2'"
}

assert_contains() {
  [[ $1 == *"$2"* ]] || fail "${3:-text is missing}: '$2' is not in '$1'"
}

assert_lacks() {
  [[ $1 != *"$2"* ]] || fail "${3:-text is there}: '$2' is in '$1'"
}

assert_exists() {
  [ -e "$1" ] || [ -L "$1" ] || fail "$1 is not there"
}

assert_missing() {
  if [ -e "$1" ] || [ -L "$1" ]; then fail "$1 is there"; fi
}

# assert_fails TEXT COMMAND...: the command fails and says TEXT (which may be empty).
assert_fails() {
  local text=$1 output
  shift
  if output=$("$@" 2>&1); then fail "succeeded: $*"; fi
  [[ $output == *"$text"* ]] || fail "'$*' said '$output', not '$text'"
}

# assert_same_tree A B: same names, kinds, modes, sizes, link targets, times (to the second) and
# contents.
assert_same_tree() {
  diff -r --no-dereference "$1" "$2" >"$E2E_DIR/logs/diff.txt" 2>&1 ||
    fail "$1 and $2 differ: $(head -n 5 "$E2E_DIR/logs/diff.txt")"
  diff <(tree_facts "$1") <(tree_facts "$2") >"$E2E_DIR/logs/diff.txt" ||
    fail "$1 and $2 differ in modes, times or links: $(head -n 5 "$E2E_DIR/logs/diff.txt")"
}

# One line for each name below a folder. The size of a folder is the file system's own affair.
tree_facts() {
  (cd "$1" && find . -mindepth 1 \( -type d -printf '%P %y %m %Ts\n' \) -o \
    \( -type l -printf '%P %y %l\n' \) -o -printf '%P %y %m %s %Ts\n' | LC_ALL=C sort)
}

# wait_until COMMAND...: polls until the command succeeds; fails after E2E_DEADLINE seconds.
wait_until() {
  local end=$((SECONDS + E2E_DEADLINE))
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$end" ] || fail "not within ${E2E_DEADLINE} s: $*"
    sleep 0.05
  done
}

# seconds COMMAND...: how long it takes, to the hundredth; what it prints is lost.
seconds() {
  local start=$EPOCHREALTIME
  "$@" >/dev/null || return
  echo "$start $EPOCHREALTIME" | awk '{ printf "%.2f", $2 - $1 }'
}

# timed WHAT COMMAND...: runs it and says how long it took.
timed() {
  local what=$1 time
  shift
  time=$(seconds "$@")
  echo "$what: $time s"
}

# --- the server ------------------------------------------------------------------------------

free_port() {
  python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

port_answers() {
  (exec 3<>"/dev/tcp/$E2E_ADDRESS/$1") 2>/dev/null
}

# Writes the server's config, unless it is there.
server_config() {
  local file="$E2E_DIR/server/homefsd.json"
  [ ! -e "$file" ] || return 0
  E2E_PORT=$(free_port)
  mkdir -p "$E2E_DIR/server/data" "$E2E_DIR/server/homes"
  jq -n --arg dir "$E2E_DIR/server" --arg address "$E2E_ADDRESS" --argjson port "$E2E_PORT" '{
    listen: {address: $address, port: $port},
    data_dir: ($dir + "/data"), homes_dir: ($dir + "/homes"),
    accounts_file: ($dir + "/accounts.ini")}' >"$file"
  (umask 077 && : >"$E2E_DIR/server/accounts.ini")
}

# change_server_config FILTER: a change of the config by jq, as in '.log.level = "debug"'. For the
# next start of the server.
change_server_config() {
  local file="$E2E_DIR/server/homefsd.json"
  server_config
  jq "$1" "$file" >"$file.new"
  mv "$file.new" "$file"
}

# homefsd COMMAND...: an administrator's command.
homefsd() {
  server_config
  "$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" "$@"
}

# add_user NAME QUOTA: an account with a random password, which is in E2E_DIR/secrets/NAME.
add_user() {
  (umask 077 && head -c 12 /dev/urandom | base64 >"$E2E_DIR/secrets/$1")
  homefsd user add "$1" --quota "$2" --password-stdin <"$E2E_DIR/secrets/$1" \
    >>"$E2E_DIR/logs/admin.log" 2>&1 || fail "user add $1"
}

# Starts homefsd and returns when it answers. Also after stop_server and kill_server, on the same
# port with the same data.
start_server() {
  server_config
  "${E2E_SERVER_PREFIX[@]}" "$HOMEFSD_BIN" --config "$E2E_DIR/server/homefsd.json" serve \
    </dev/null >>"$E2E_DIR/logs/server.log" 2>&1 &
  E2E_SERVER_PID=$!
  local end=$((SECONDS + E2E_DEADLINE))
  until port_answers "$E2E_PORT"; do
    kill -0 "$E2E_SERVER_PID" 2>/dev/null || fail "homefsd ended while starting"
    [ "$SECONDS" -lt "$end" ] || fail "homefsd does not answer within ${E2E_DEADLINE} s"
    sleep 0.05
  done
}

# Ends homefsd in good order; it must take that well.
stop_server() {
  local pid=$E2E_SERVER_PID status=0
  E2E_SERVER_PID=
  kill -TERM "$pid"
  wait "$pid" || status=$?
  assert_eq "$status" 0 "exit status of homefsd after SIGTERM"
}

# Ends homefsd as a crash would.
kill_server() {
  local pid=$E2E_SERVER_PID
  E2E_SERVER_PID=
  kill -KILL "$pid"
  wait "$pid" 2>/dev/null || true
}

# --- the client ------------------------------------------------------------------------------

# client USER COMMAND ARGUMENTS...: a command of homefs, with the login of USER.
client() {
  local user=$1 command=$2
  shift 2
  "$HOMEFS_BIN" "$command" -s "$E2E_ADDRESS" -P "$E2E_PORT" -u "$user" \
    --password-file "$E2E_DIR/secrets/$user" --accept-new-server "$@"
}

# mount_home USER FOLDER [OPTIONS...]: mounts, and returns when the mount is ready.
mount_home() {
  local user=$1 folder=$2 log
  shift 2
  mkdir -p "$folder"
  E2E_MOUNTS+=("$folder")
  log="$E2E_DIR/logs/mount-${#E2E_MOUNTS[@]}.log"
  client "$user" mount "$@" "$folder" </dev/null >"$log" 2>&1 || fail "mount of $folder"
  mountpoint -q "$folder" || fail "$folder is no mount point after homefs mount"
}

unmount_home() {
  "$HOMEFS_BIN" umount "$1" >>"$E2E_DIR/logs/umount.log" 2>&1 || fail "umount of $1"
  wait_until not_mounted "$1"
}

not_mounted() {
  ! mountpoint -q "$1"
}

# mount_pid FOLDER: the process that serves a mount, when it was started by mount_home.
mount_pid() {
  local pid
  for pid in $(marked_processes); do
    if [ "$(readlink "/proc/$pid/exe" 2>/dev/null)" = "$(readlink -f "$HOMEFS_BIN")" ] &&
      tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qxF -- "$1"; then
      echo "$pid"
      return
    fi
  done
  fail "no process serves $1"
}

# --- the end ---------------------------------------------------------------------------------

# The processes that carry this test's mark, other than the test's own shells.
marked_processes() {
  local environment pid
  # One grep for all: this is asked often. -z: the variables end with NUL.
  # Without the mark itself: it would find itself, and the end of each test wait for it.
  env -u HOMEFS_E2E_MARK grep -lsazxF "HOMEFS_E2E_MARK=$E2E_DIR" /proc/[0-9]*/environ 2>/dev/null |
    while IFS=/ read -r _ _ pid environment; do
      if [ "$pid" != "$$" ] && [ "$environment" = environ ]; then echo "$pid"; fi
    done || true
}

# Signals every process of this test. A pid that is gone meanwhile is none of our business.
signal_marked() {
  local pid
  for pid in $(marked_processes); do kill "-$1" "$pid" 2>/dev/null || true; done
}

# Mount points below E2E_DIR, the deepest first, without those of support/disks.sh (the folder disks).
# mountinfo writes a blank as \040.
mounts_left() {
  local point
  while read -r _ _ _ _ point _; do
    point=$(printf '%b' "$point")
    case $point in
      "$E2E_DIR"/disks/*) ;;
      "$E2E_DIR"/*) printf '%s\n' "$point" ;;
    esac
  done </proc/self/mountinfo | LC_ALL=C sort -r
}

# Unmounts what is left. A daemon that hangs would hang fusermount3 as well: it has seconds, then
# the daemon is killed and the mount point detached.
take_mounts_away() {
  local point
  mounts_left | while read -r point; do
    timeout 10 fusermount3 -u -q -- "$point" 2>/dev/null || true
  done
  mounts_left | while read -r point; do
    echo "note: $point had to be detached" >&2
    signal_marked KILL
    timeout 10 fusermount3 -u -z -q -- "$point" 2>/dev/null || umount -l -- "$point" 2>/dev/null || true
  done
}

end_processes() {
  local end=$((SECONDS + 10))
  [ -z "$E2E_SERVER_PID" ] || kill -TERM "$E2E_SERVER_PID" 2>/dev/null || true
  while [ -n "$(marked_processes)" ] && [ "$SECONDS" -lt "$end" ]; do sleep 0.05; done
  signal_marked KILL
}

show_logs() {
  local log
  for log in "$E2E_DIR"/logs/* "$XDG_STATE_HOME"/homefs/*/*.log; do
    [ -s "$log" ] || continue
    printf '\n--- %s (last 100 lines)\n' "${log#"$E2E_DIR"/}" >&2
    tail -n 100 "$log" >&2
  done
}

e2e_end() {
  local status=$?
  trap '' INT TERM
  set +e
  [ -z "${E2E_WATCHDOG_PID:-}" ] || kill -KILL "$E2E_WATCHDOG_PID" 2>/dev/null
  take_mounts_away
  # Of support/disks.sh; what the server has open is on them.
  if declare -F take_disks_away >/dev/null; then take_disks_away; fi
  end_processes
  if compgen -G "$E2E_DIR/logs/sanitizer.*" >/dev/null; then
    echo "FAIL: a sanitizer has something to say" >&2
    [ "$status" -ne 0 ] || status=1
  fi
  if [ "$status" -ne 0 ] && [ "$status" -ne 77 ]; then # 77: skipped
    printf 'FAILED (status %s) in: %s\n' "$status" "$E2E_CASE" >&2
    show_logs
    printf '\nFAILED: %s\n    in: %s\n' "${E2E_FAILURE:-status $status}" "$E2E_CASE" >&2
  fi
  if [ -n "${HOMEFS_KEEP:-}" ]; then
    echo "kept: $E2E_DIR" >&2
  elif [ -z "$(mounts_left)" ] && ! grep -qF " $E2E_DIR/" /proc/self/mountinfo; then
    chmod -R u+rwX "$E2E_DIR" 2>/dev/null
    rm -rf --one-file-system "$E2E_DIR"
  fi
  exit "$status"
}

# ctest kills a test at its time limit, and a killed test cleans nothing up. So this ends it before:
# the processes first, as the shell takes a signal only when its foreground command has ended.
e2e_watchdog() {
  local seconds=$1 never
  exec {never}<> <(:)
  # read waits without a child process, which would be one more to clean up.
  while [ "$seconds" -gt 0 ] && kill -0 "$$" 2>/dev/null; do
    read -r -t 1 -u "$never" || true
    seconds=$((seconds - 1))
  done
  kill -0 "$$" 2>/dev/null || exit 0
  echo "FAIL: the test takes longer than $1 s" >&2
  kill -TERM "$$"
  signal_marked KILL
}

trap e2e_end EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
if [ -n "${HOMEFS_TEST_TIMEOUT:-}" ]; then
  e2e_watchdog $((HOMEFS_TEST_TIMEOUT - 20)) </dev/null &
  E2E_WATCHDOG_PID=$!
  disown "$E2E_WATCHDOG_PID"
fi

[ -c /dev/fuse ] || fail "there is no /dev/fuse: 'modprobe fuse', or '--device /dev/fuse' for a container"
