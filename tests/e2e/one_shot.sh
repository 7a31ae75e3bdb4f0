#!/bin/bash
# The commands that work without a mount: ls, cp, mv, re, mkdir, rm, df.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 100MiB
start_server
home=$E2E_DIR/server/homes/alice
a() { client alice "$@"; }
# What a command ends with, when it fails.
status_of() { local status=0; "$@" >/dev/null 2>&1 || status=$?; echo "$status"; }

begin "A new home is empty, and df knows the quota"
assert_eq "$(a ls)" ""
assert_eq "$(a df --json | jq .quota_bytes)" $((100 * 1024 * 1024))
assert_contains "$(a df -h)" 100.0MiB

begin "Folders are made, with parents only when asked for"
a mkdir docs
assert_fails "docs" a mkdir docs
assert_fails "no/where" a mkdir no/where
a mkdir -p no/where/else docs
assert_exists "$home/no/where/else"

begin "A server may be named in the argument, as scp and rsync have it, or by flags"
target=alice@127.0.0.1:$E2E_PORT
short=("$HOMEFS_BIN")
login=(--password-file "$E2E_DIR/secrets/alice")
assert_eq "$("${short[@]}" ls "${login[@]}" "$target" | tr '\n' ' ')" "docs no "
assert_eq "$("${short[@]}" ls "${login[@]}" "$target/no/where")" else
"${short[@]}" mkdir "${login[@]}" -p "$target/x/y" :x/z
assert_eq "$("${short[@]}" ls "${login[@]}" "$target/x" | tr '\n' ' ')" "y z "
assert_fails "one server" "${short[@]}" mv "${login[@]}" "$target/x" other:y
assert_eq "$(status_of "${short[@]}" ls)" 2
"${short[@]}" -s 127.0.0.1 -P "$E2E_PORT" -u alice -p "$(cat "$E2E_DIR/secrets/alice")" mkdir -p x/y/w
assert_exists "$home/x/y/w"

begin "ls tells modes, sizes, times and link targets, also as JSON"
head -c 70000 /dev/urandom >"$home/docs/data"
chmod 640 "$home/docs/data"
touch -d '2001-02-03 04:05:06.123456789' "$home/docs/data"
ln -s data "$home/docs/link"
touch "$home/docs/.hidden"
assert_contains "$(a ls -l docs)" "-rw-r-----"
assert_contains "$(a ls -l docs)" "link -> data"
assert_eq "$(a ls docs | tr '\n' ' ')" "data link "
assert_eq "$(a ls -a docs | tr '\n' ' ')" ".hidden data link "
assert_eq "$(a ls --json docs | jq -r '.[0] | "\(.path) \(.type) \(.mode) \(.size) \(.mtime) \(.mtime_ns)"')" \
  "docs/data file 0640 70000 $(date -d '2001-02-03 04:05:06' +%s) 123456789"
assert_eq "$(a ls -R --json -a | jq -r '.[].path' | LC_ALL=C sort)" \
  "$(cd "$home" && find . -mindepth 1 -printf '%P\n' | LC_ALL=C sort)"

begin "Names of any bytes work, and do not disturb"
a mkdir $'new\nline' "umläut 日本" $'esc\033[31m'
assert_exists "$home/"$'new\nline'
assert_contains "$(a ls)" "umläut 日本"
assert_eq "$(a ls --json | jq -r '.[].path' | grep -c 'esc')" 1
a rm -r $'new\nline' "umläut 日本" $'esc\033[31m'
assert_eq "$(status_of a mkdir "$(printf 'n%.0s' {1..256})")" 1

begin "cp copies on the server: files, modes, links, trees"
a cp docs/data docs/copy
cmp "$home/docs/data" "$home/docs/copy"
assert_eq "$(stat -c %a "$home/docs/copy")" 640
echo old >"$home/docs/target"
a cp docs/data docs/target
cmp "$home/docs/data" "$home/docs/target"
assert_fails "-r" a cp docs elsewhere
a cp -r docs elsewhere
diff -r --no-dereference "$home/docs" "$home/elsewhere"
a cp -r docs docs/data no
diff -r --no-dereference "$home/docs" "$home/no/docs"
assert_fails "into itself" a cp -r no no/where/no
assert_eq "$(find "$home" -name '*.homefs-part-*')" ""

begin "mv moves and replaces, re renames within a folder and replaces nothing"
a mv docs/copy elsewhere/moved
assert_missing "$home/docs/copy"
cmp "$home/docs/data" "$home/elsewhere/moved"
a mv elsewhere/moved docs/target no
assert_exists "$home/no/target"
a re no/target renamed
assert_exists "$home/no/renamed"
assert_fails "data" a re no/renamed data
assert_fails "/" a re no/renamed x/y
a re -f no/renamed data
assert_missing "$home/no/renamed"

begin "rm removes; folders with -r, and -f takes what is absent"
assert_fails "-r" a rm no
a rm -r no elsewhere
assert_missing "$home/no"
assert_fails "nothing" a rm nothing
a rm -f nothing
mkdir -p "$home"/many/{a,b,c}/{d,e,f}
for i in {1..300}; do : >"$home/many/a/d/$i"; done
a rm -r many
assert_missing "$home/many"
assert_fails "home itself" a rm -r /

begin "A copy that does not fit the quota is refused, and leaves nothing"
head -c $((60 * 1024 * 1024)) /dev/zero >"$home/big"
kill_server # so that it counts what it has not seen being written
start_server
assert_fails "quota" a cp big big2
assert_eq "$(cd "$home" && find . -name '*big*')" ./big

begin "Exit statuses say what is wrong"
assert_eq "$(status_of a ls nothing)" 1
assert_eq "$(status_of a ls --nonsense)" 2
assert_eq "$(status_of "$HOMEFS_BIN" ls -s 127.0.0.1 -P "$E2E_PORT" -u nobody -p x --accept-new-server)" 3
assert_eq "$(status_of "$HOMEFS_BIN" ls -s 127.0.0.1 -P 1 -u alice -p x --accept-new-server)" 5
stop_server
