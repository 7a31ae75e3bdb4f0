#!/bin/bash
# homefs shell: scripts from a pipe, and a person at a terminal.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 100MiB
start_server
home=$E2E_DIR/server/homes/alice
cd "$E2E_DIR"
status=0
# sh LINES...: a script of these lines; its output, and its exit status in $status.
sh() {
  status=0
  output=$(printf '%s\n' "$@" | client alice shell "${flags[@]}" 2>&1) || status=$?
}
flags=()

begin "A script of commands is carried out in order, with folders here and there"
mkdir here
echo one >here/one.txt
echo two >"here/two words.txt"
sh 'mkdir docs' 'cd docs' 'lcd here' 'put one.txt' "put 'two words.txt' renamed\\ too" 'pwd' 'lpwd' 'ls' \
  '# a comment' '' 'cd ..' 'cp docs/one.txt copy' 're copy copied' 'mv copied docs/' 'rm docs/one.txt' 'ls -a docs'
assert_eq "$status" 0 "$output"
assert_contains "$output" "/docs"
assert_contains "$output" "$E2E_DIR/here"
assert_eq "$(cd "$home/docs" && printf '%s,' *)" "copied,renamed too,"
cmp "here/two words.txt" "$home/docs/renamed too"

begin "Patterns fit names there, and here for put"
sh 'put here/*.txt docs' 'lcd here' 'get docs/c* .' 'ls docs/*.txt'
assert_eq "$status" 0 "$output"
cmp here/one.txt "$home/docs/one.txt"
cmp here/one.txt here/copied
assert_contains "$output" "docs/two words.txt"
touch "$home/x*y" "$home/xzy"
sh "rm 'x*y'"
assert_eq "$status" 0 "$output"
assert_exists "$home/xzy"
sh 'rm nothing*'
assert_eq "$status" 2

begin "A command that fails ends the script, one with - in front does not"
sh 'rm nothing' 'mkdir not-made'
assert_eq "$status" 1
assert_missing "$home/not-made"
sh '-rm nothing' 'mkdir made' 'exit' 'mkdir not-made'
assert_eq "$status" 0 "$output"
assert_exists "$home/made"
assert_missing "$home/not-made"
sh 'nonsense'
assert_eq "$status" 2
assert_contains "$output" "no command"
sh "put 'open"
assert_eq "$status" 2

begin "In verbose mode the inherited status codes are shown"
flags=(-v)
sh 'cp docs/one.txt x' 'mv x y' '-re y docs' '-cd nowhere' '-ls nowhere' '-mkdir docs' 'df'
assert_eq "$status" 0 "$output"
codes=$(grep -oE '^7[0-9]{2}' <<<"$output" | tr '\n' ' ')
assert_eq "$codes" "740 750 751 721 711 731 700 "
flags=()

begin "verify and help work as well"
sh 'verify here/one.txt docs/one.txt' 'help' 'help put' 'lls here'
assert_eq "$status" 0 "$output"
assert_contains "$output" "equal"
assert_contains "$output" "--recursive"
assert_contains "$output" "one.txt"
sh 'help nonsense'
assert_eq "$status" 2
assert_contains "$output" "no command"

begin "At a terminal: a prompt, completion, history; Ctrl-C at the prompt, and of what is under way"
head -c 20000000 /dev/urandom >big
cat >person.py <<'PY'
import os, pty, re, select, sys, time

def found(fd, pattern, seconds):
    seen, end = b"", time.time() + seconds
    while not re.search(pattern, seen, re.DOTALL):
        if time.time() > end: return False
        if select.select([fd], [], [], 0.1)[0]:
            seen += os.read(fd, 4096)
    return True

def until(fd, pattern):
    if not found(fd, pattern, 60): sys.exit(f"no {pattern!r}")

# A Ctrl-C that comes just before the shell waits for a key is lost, as at any prompt.
def interrupt(fd, pattern):
    for _ in range(20):
        os.write(fd, b"\x03")
        if found(fd, pattern, 3): return
    sys.exit(f"no {pattern!r} after Ctrl-C")

pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
until(fd, b":/> ")
os.write(fd, b"cd do\t\n"); until(fd, b":/docs> ")
os.write(fd, b"rm ren\t\n"); until(fd, b":/docs> ")
os.write(fd, b"nonsense"); interrupt(fd, b":/docs> ")
os.write(fd, b"put --limit 1M big\n"); time.sleep(1); os.write(fd, b"\x03"); until(fd, b"goes on.*:/docs> ")
os.write(fd, b"mkdir by-hand\n"); until(fd, b":/docs> ")
os.write(fd, b"exit\n")
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
PY
python3 person.py "$HOMEFS_BIN" shell -s 127.0.0.1 -P "$E2E_PORT" -u alice --password-file secrets/alice \
  --accept-new-server || fail "the person is not content"
assert_exists "$home/docs/by-hand"
assert_missing "$home/docs/renamed too"
history=$(cat "$XDG_STATE_HOME"/homefs/*/shell_history)
assert_contains "$history" by-hand
assert_eq "$(stat -c %a "$XDG_STATE_HOME"/homefs/*/shell_history)" 600

begin "At a terminal a name may have any characters, in any locale; a line of which something is lost is not run"
cat >typist.py <<'PY'
import os, pty, select, sys, time

pid, fd = pty.fork()
if pid == 0:
    os.environ["TERM"] = "xterm"
    os.execv(sys.argv[1], sys.argv[1:])
seen = b""

def until(text):
    global seen
    end = time.time() + 60
    while text not in seen:
        if time.time() > end: sys.exit(f"no {text!r} in {seen!r}")
        if select.select([fd], [], [], 0.1)[0]: seen += os.read(fd, 4096)
    seen = seen[seen.index(text) + len(text):]

until(b":/> ")
for line in sys.stdin.buffer.read().splitlines():
    os.write(fd, line + b"\n")
    until(b"\r\n")  # the next prompt is the one after this line
    until(b":/> ")
os.write(fd, b"exit\n")
_, status = os.waitpid(pid, 0)
sys.exit(os.waitstatus_to_exitcode(status))
PY
# typed LOCALE LINES: what a person types whose terminal has this locale.
typed() {
  printf '%b\n' "$2" | env -u LC_ALL -u LC_CTYPE LANG="$1" python3 typist.py "$HOMEFS_BIN" shell -s 127.0.0.1 \
    -P "$E2E_PORT" -u alice --password-file secrets/alice --accept-new-server || fail "the typist is not content"
}
for locale in C C.UTF-8 no_SUCH; do
  mkdir -p "$home/zz"
  touch "$home/zz/a" "$home/zz/b" "$home/zz/üa" "$home/zz/€b" "$home/zz/𝄞c"
  # Lone and cut sequences, Latin-1, a control character that is a key with Meta.
  typed "$locale" "rm zz/\xff*\nrm zz/\xc3*\nrm zz/\xe2\x82*\nrm zz/\xfc*\nrm zz/\xf0\x9d\x84*\nrm zz/\xc2\x85*"
  assert_eq "$(cd "$home/zz" && echo *)" "a b üa €b 𝄞c" "with LANG=$locale"
  typed "$locale" 'rm zz/ü*\nmkdir zz/für'
  assert_eq "$(cd "$home/zz" && echo *)" "a b für €b 𝄞c" "with LANG=$locale"
  typed "$locale" 'rm zz/€*\nrm zz/𝄞\t'
  assert_eq "$(cd "$home/zz" && echo *)" "a b für" "with LANG=$locale"
  rmdir "$home/zz/für"
done

begin "Flags alone are a session at the prompt, as the older system's client had it"
assert_contains "$(echo pwd | "$HOMEFS_BIN" -s 127.0.0.1 -P "$E2E_PORT" -u alice -p "$(cat secrets/alice)" 2>/dev/null)" /

begin "The prompt survives a restart of the server"
mkfifo lines
client alice shell <lines >shell.log 2>&1 &
pid=$!
exec 9>lines
echo 'cd docs' >&9
echo 'mkdir before' >&9
wait_until test -d "$home/docs/before"
kill_server
start_server 9>&- # which would keep the pipe open
echo 'mkdir after' >&9
exec 9>&-
wait "$pid" || fail "the shell ended: $(cat shell.log)"
assert_exists "$home/docs/after"
stop_server
