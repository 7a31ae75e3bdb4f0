#!/bin/bash
# Limits that bite: open files, entries of a folder, links, depth, names, sizes, odd direct I/O.
# HOMEFS_OPEN_FILES (10000), HOMEFS_FOLDER_ENTRIES (10000), HOMEFS_LINKS (all, or how many are made
# through the mount: 50), HOMEFS_DEPTH (400), HOMEFS_ODD_IO (300); by hand 10000, 100000, all, 2000
# and 5000.
# ctest: TIMEOUT 900
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

check() { python3 "$(dirname "$0")/../support/limit_checks.py" "$@"; }

add_user alice 20TiB
start_server
home=$E2E_DIR/alice
stored=$E2E_DIR/server/homes/alice
mount_home alice "$home"
mkdir "$E2E_DIR/local"

begin "Very many files are open at once, and neither the mount nor the server is"
mkdir "$home/open"
check open_files "$home/open" "${HOMEFS_OPEN_FILES:-10000}" "$(mount_pid "$home")" "$E2E_SERVER_PID"
rmdir "$home/open"
nothing_is_stored() { [ "$(find "$E2E_DIR/server/homes" -type f | wc -l)" -eq 0 ]; }
wait_until nothing_is_stored

begin "A large folder is listed whole, also while it changes"
check large_folder "$home/large" "${HOMEFS_FOLDER_ENTRIES:-10000}" "$home/large"

begin "Names are bytes, up to 255 of them"
mkdir "$home/names"
check names "$home/names"

begin "Paths deeper than PATH_MAX"
mkdir "$home/deep"
depth=${HOMEFS_DEPTH:-400}
check deep "$home/deep" "$depth"

begin "A server that was restarted learns of such a path again"
for end in stop_server kill_server; do
  rm -f "$E2E_DIR/restart" "$E2E_DIR/restarted"
  check deep "$home/deep" "$depth" "$E2E_DIR" &
  checking=$!
  wait_until test -e "$E2E_DIR/restart"
  "$end"
  start_server
  touch "$E2E_DIR/restarted"
  wait "$checking"
done
rmdir "$home/deep"

begin "Files over 4 GiB, with holes"
check sparse "$home" "$E2E_DIR/local" 5
check sparse "$home" "$E2E_DIR/local" 3000

begin "A file is cut and grown under those who write it"
check cut_under_writers "$home" 3

begin "O_DIRECT with odd offsets and sizes"
check direct "$home" "${HOMEFS_ODD_IO:-300}"

begin "As many links as the disk below allows, and EMLINK"
# Most of them are made beneath the mount, where it is quick.
echo text >"$E2E_DIR/local/linked"
mkdir "$E2E_DIR/local/links"
most=$(python3 -c 'import os, sys
try:
    for i in range(200000): os.link(sys.argv[1] + "/linked", f"{sys.argv[1]}/links/{i}")
except OSError: print(os.stat(sys.argv[1] + "/linked").st_nlink)
' "$E2E_DIR/local")
if [ -z "$most" ]; then
  echo "note: the disk below sets no limit"
else
  links=${HOMEFS_LINKS:-50}
  [ "$links" = all ] && links=$((most - 1))
  mkdir -p "$stored/below"
  echo text >"$stored/linked"
  python3 -c 'import os, sys
for i in range(int(sys.argv[2])): os.link(sys.argv[1] + "/linked", f"{sys.argv[1]}/below/{i}")
' "$stored" $((most - 1 - links))
  unmount_home "$home"
  mount_home alice "$home"
  check links "$home/links" "$home/linked" "$most"
fi
