#!/bin/bash
# What put, get and progress draw on terminals of 20 to 200 columns, with names that are long, wide or
# not for terminals; and what they print into a pipe.
# ctest: TIMEOUT 300
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

terminal=$HOMEFS_SOURCE_DIR/tests/support/terminal.py
add_user alice 1GiB
start_server
login=(-s 127.0.0.1 -P "$E2E_PORT" -u alice --password-file "$E2E_DIR/secrets/alice" --accept-new-server)
cd "$E2E_DIR"
mkdir -p "tree/folder with a long name/日本語のとても長い名前のフォルダー" out
long=$(printf 'n%.0s' {1..255})
head -c 3000000 /dev/urandom >"tree/folder with a long name/日本語のとても長い名前のフォルダー/とても長い名前の写真.jpg"
head -c 3000000 /dev/urandom >tree/$'\033[2J\033]0;title\a\nnew\rline\ttab\b.bin'
head -c 3000000 /dev/urandom >tree/$'c1\xc2\x9b31m and \xff not UTF-8'
head -c 3000000 /dev/urandom >"tree/$long"
head -c 3000000 /dev/urandom >tree/'ümläüt é 🎉 combining é.bin'
for i in {1..20}; do echo "$i" >"tree/small$i"; done
# drawn COLUMNS COMMAND...: what terminal.py says: lines that were drawn, and how many over others.
drawn() {
  local columns=$1
  shift
  python3 "$terminal" "$columns" 24 "${seconds:-0}" out/text "$HOMEFS_BIN" "$@" || fail "columns $columns: $*"
}

for columns in 60 80 200; do
  begin "put and get draw bars within $columns columns"
  read -r lines over <<<"$(drawn "$columns" put "${login[@]}" --limit 8M -r tree "/put$columns")"
  [ "$over" -gt 4 ] || fail "of $lines lines $over were drawn over"
  grep -qa '\.jpg' out/text || fail "no bar for the picture"
  if [ "$columns" -ge 80 ]; then
    grep -qaF '[###' out/text || fail "no bars"
    grep -qaF 'x1b]0;title\x07\x0anew\x0dline\x09tab\x08.bin' out/text || [ "$columns" -lt 200 ] ||
      fail "no escaped name"
  fi
  diff -r tree "server/homes/alice/put$columns"
  read -r lines over <<<"$(drawn "$columns" get "${login[@]}" --limit 8M -r "/put$columns" "got$columns")"
  [ "$over" -gt 4 ] || fail "of $lines lines $over were drawn over"
  diff -r tree "got$columns"
done

begin "Into a pipe they print a line for each file, and nothing for terminals"
read -r lines over <<<"$(drawn 0 put "${login[@]}" -r tree /pipe)"
assert_eq "$over" 0
assert_eq "$lines" 26 "25 files and the sum"
grep -qF 'x1b[2J\x1b]0;title\x07\x0anew' out/text || fail "no escaped name: $(cat out/text)"
grep -qF 'c1\xc2\x9b31m and \xff not UTF-8' out/text || fail "no escaped name: $(cat out/text)"
grep -qF '日本語' out/text || fail "names of other scripts are to be readable: $(cat out/text)"

for columns in 40 80 200 0; do
  begin "progress --follow within $columns columns (0: a pipe)"
  "$HOMEFS_BIN" put "${login[@]}" -q --limit 5M -r tree "/progress$columns" &
  pid=$!
  sleep 0.5
  read -r lines over <<<"$(seconds=2 drawn "$columns" progress --follow)"
  wait "$pid"
  if [ "$columns" -eq 0 ]; then
    [ "$lines" -gt 2 ] || fail "only $lines lines"
    grep -q ' transfers\?: ' out/text || fail "no sums: $(cat out/text)"
  else
    [ "$over" -gt 2 ] || fail "of $lines lines $over were drawn over"
  fi
  grep -qa '%' out/text || fail "no transfer: $(cat out/text)"
done

begin "What was cut is told within the width as well"
"$HOMEFS_BIN" put "${login[@]}" -q --limit 2M -r tree /cut &
pid=$!
sleep 2
kill -KILL "$pid"
wait "$pid" 2>/dev/null || true
for columns in 20 80; do
  drawn "$columns" progress >/dev/null
  grep -qa cut out/text || fail "nothing was cut: $(cat out/text)"
done
drawn 0 progress >/dev/null
grep -q 'cut at .* of 2.9MiB' out/text || fail "nothing was cut: $(cat out/text)"
stop_server
