#!/bin/bash
# Programs that handle whole trees: git in the home, rsync, tar, find, cp and mv, a build with ccache,
# npm and Python environments. See also programs.sh and large_trees.sh.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 4GiB
add_user bob 1GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"
mount_home bob "$E2E_DIR/bob"

# A tree with what tools like to lose: modes, times, links, holes, attributes, odd names.
tree=$E2E_DIR/tree
mkdir -p "$tree/sub/deeper" "$tree/empty" "$tree/sub/closed"
cp /usr/include/linux/f*.h "$tree/sub/"
for i in $(seq 200); do echo "text $i" >"$tree/sub/deeper/file $i"; done
truncate -s 3M "$tree/sub/hole"
echo data >>"$tree/sub/hole"
printf '#!/bin/sh\n' >"$tree/run"
chmod 755 "$tree/run"
chmod 400 "$tree/sub/fb.h"
chmod 1777 "$tree/empty"
ln "$tree/run" "$tree/sub/linked"
ln -s ../run "$tree/sub/relative"
ln -s /nowhere/at/all "$tree/dangling"
echo bytes >"$tree/"$'new\nline \xff\xfe'
setfattr -n user.colour -v green "$tree/sub/deeper/file 1"
setfattr -n user.raw -v 0x00ff10 "$tree/sub"
touch -h -d '2001-02-03 04:05:06.123456789' "$tree/dangling" "$tree/sub/hole" "$tree/run"
touch -d '2035-12-31 23:59:59.5' "$tree/sub/deeper/file 2"
chmod 500 "$tree/sub/closed"
touch -d '1999-01-01' "$tree/sub/closed" "$tree/sub/deeper"

# attributes_of FOLDER: the extended attributes of a tree.
attributes_of() { (cd "$1" && getfattr -R -P -d -e hex -m '^user\.' . 2>/dev/null | LC_ALL=C sort); }
# assert_same_copy A B: as assert_same_tree, and times to the nanosecond, links and attributes.
assert_same_copy() {
  assert_same_tree "$1" "$2"
  assert_eq "$(attributes_of "$2")" "$(attributes_of "$1")" "attributes"
  assert_eq "$(cd "$2" && find . -type f -printf '%P %T@ %n\n' | LC_ALL=C sort | md5sum)" \
    "$(cd "$1" && find . -type f -printf '%P %T@ %n\n' | LC_ALL=C sort | md5sum)" "times and links"
}

begin "rsync -aHAX: the second run has nothing to do, and a change is all that the third sends"
rsync -aHAX "$tree/" "$home/synced/"
assert_same_copy "$tree" "$home/synced"
assert_eq "$(rsync -aHAX --itemize-changes --delete "$tree/" "$home/synced/")" ""
assert_contains "$(rsync -aHAX --stats "$tree/" "$home/synced/")" "Number of regular files transferred: 0"
unmount_home "$home"
mount_home alice "$home"
assert_eq "$(rsync -aHAX --checksum --itemize-changes "$tree/" "$home/synced/")" "" "after a new mount"
echo more >>"$tree/sub/deeper/file 3"
rm "$tree/sub/deeper/file 4"
assert_eq "$(rsync -aHAX --itemize-changes --delete "$tree/" "$home/synced/" | awk '{ print $1 }' | sort)" \
  "$(printf '*deleting\n.d..t......\n>f.st......\n' | sort)"
for how in --inplace --append-verify --whole-file; do
  echo "$how" >>"$tree/sub/deeper/file 5"
  rsync -aHAX "$how" "$tree/" "$home/synced/"
  cmp "$tree/sub/deeper/file 5" "$home/synced/sub/deeper/file 5"
done
rsync -aHAX "$home/synced/" "$E2E_DIR/back/"
assert_same_copy "$tree" "$E2E_DIR/back"

begin "tar with attributes, sparse files and times, in and out"
tar -C "$tree" --xattrs --xattrs-include='user.*' --sparse --format=posix -cf "$home/tree.tar" .
mkdir "$home/untarred"
tar -C "$home/untarred" --xattrs --xattrs-include='user.*' -xpf "$home/tree.tar"
assert_same_copy "$tree" "$home/untarred"
tar -C "$home/untarred" --compare -f "$home/tree.tar"
tar -C "$home/untarred" --xattrs --xattrs-include='user.*' -cf - . |
  (mkdir "$E2E_DIR/untarred" && tar -C "$E2E_DIR/untarred" --xattrs --xattrs-include='user.*' -xpf -)
assert_same_copy "$tree" "$E2E_DIR/untarred"

begin "cp -a --reflink=auto inside, and mv to another home, to the local disk and back"
cp -a --reflink=auto "$home/synced" "$home/copied"
assert_same_copy "$tree" "$home/copied"
mv "$home/copied" "$E2E_DIR/bob/moved"
assert_missing "$home/copied"
assert_same_copy "$tree" "$E2E_DIR/bob/moved"
mv "$E2E_DIR/bob/moved" "$E2E_DIR/moved"
mv "$E2E_DIR/moved" "$home/moved"
assert_same_copy "$tree" "$home/moved"

begin "find sees what it should, and -delete removes all of it"
assert_eq "$(find "$home/moved" -type f -name '*.h' -newermt 2000-01-01 | wc -l)" \
  "$(find "$tree" -type f -name '*.h' -newermt 2000-01-01 | wc -l)"
assert_eq "$(find "$home/moved" -samefile "$home/moved/run" | wc -l)" 2
find "$home/moved" "$home/untarred" -delete
assert_missing "$home/moved"
assert_missing "$home/untarred"

begin "git in the home: commits, branches, merge, stash, worktree, local clone, gc"
repository=$home/repository
git init -q -b main "$repository"
git -C "$repository" config user.name Test
git -C "$repository" config user.email test@localhost
in_repository() { git -C "$repository" "$@"; }
cp -r "$tree/sub/deeper" "$repository/files"
in_repository add -A
in_repository commit -q -m first
assert_eq "$(in_repository status --porcelain)" ""
in_repository checkout -q -b side
for i in $(seq 20); do
  echo "side $i" >>"$repository/files/file $((i + 10))"
  in_repository commit -q -a -m "side $i"
done
in_repository checkout -q main
echo other >"$repository/other"
in_repository add other
in_repository commit -q -m other
in_repository merge -q --no-edit side
assert_eq "$(in_repository rev-list --count HEAD)" 23
echo unfinished >>"$repository/other"
in_repository stash -q
assert_eq "$(cat "$repository/other")" other
in_repository stash pop -q
in_repository checkout -q other
in_repository worktree add -q "$home/worktree" side
assert_contains "$(cat "$home/worktree/files/file 30")" "side 20"
assert_eq "$(git -C "$home/worktree" status --porcelain)" ""
echo tree >"$home/worktree/new"
git -C "$home/worktree" add new
git -C "$home/worktree" commit -q -m "in the worktree"
in_repository worktree remove "$home/worktree"
assert_missing "$home/worktree"
git clone -q --local "$repository" "$home/clone"
in_repository gc -q --aggressive --prune=now
in_repository fsck --strict --no-progress
git -C "$home/clone" fsck --strict --no-progress
git -C "$home/clone" pull -q
assert_eq "$(git -C "$home/clone" rev-parse main)" "$(in_repository rev-parse main)"
assert_eq "$(in_repository status --porcelain)" ""

begin "A build with ninja and ccache, whose cache is in the home as well"
export CCACHE_DIR=$home/ccache
unset CCACHE_BASEDIR CCACHE_NOHASHDIR
mkdir "$home/project"
{
  printf 'cmake_minimum_required(VERSION 3.20)\nproject(p CXX)\nset(sources main.cpp)\n'
  for i in $(seq 8); do printf 'list(APPEND sources part%s.cpp)\n' "$i"; done
  # shellcheck disable=SC2016 # A variable of cmake.
  printf 'add_executable(p ${sources})\n'
} >"$home/project/CMakeLists.txt"
{
  for i in $(seq 8); do printf 'int part%s();\n' "$i"; done
  printf 'int main() { return 0'
  for i in $(seq 8); do printf ' + part%s()' "$i"; done
  printf '; }\n'
} >"$home/project/main.cpp"
for i in $(seq 8); do printf '#include <cstdio>\nint part%s() { return %s; }\n' "$i" "$i" >"$home/project/part$i.cpp"; done
build() {
  cmake -S "$home/project" -B "$home/project/build" -G Ninja -DCMAKE_CXX_COMPILER_LAUNCHER=ccache \
    >>"$E2E_DIR/logs/build.log" && ninja -C "$home/project/build" >>"$E2E_DIR/logs/build.log"
}
build
result=0
"$home/project/build/p" || result=$?
assert_eq "$result" 36
rm -r "$home/project/build"
ccache --zero-stats >/dev/null
build
misses=$(ccache --print-stats | awk '$1 == "cache_miss" { print $2 }')
assert_eq "${misses:-0}" 0 "compilations that the cache did not know"
assert_contains "$(ninja -C "$home/project/build")" "no work to do"

begin "npm install of a package"
# What is installed anyway is packed and installed again, so that no registry is asked.
package=
for folder in "$(npm root -g 2>/dev/null || true)/npm" /usr/share/nodejs/semver; do
  if [ -z "$package" ] && [ -f "$folder/package.json" ]; then package=$folder; fi
done
if [ -z "$package" ]; then
  echo "SKIPPED: npm, or a package that it could install, is not there"
else
  quiet=(--offline --no-audit --no-fund --loglevel=error --cache "$home/npm-cache")
  mkdir "$home/app" "$E2E_DIR/packed"
  (cd "$E2E_DIR/packed" && npm pack --ignore-scripts "${quiet[@]}" "$package") >>"$E2E_DIR/logs/npm.log" 2>&1
  echo '{"name": "app", "version": "1.0.0"}' >"$home/app/package.json"
  (cd "$home/app" && npm install --ignore-scripts "${quiet[@]}" "$E2E_DIR"/packed/*.tgz) >>"$E2E_DIR/logs/npm.log" 2>&1
  name=$(jq -r .name "$package/package.json")
  echo "$name: $(find "$home/app/node_modules" -type f | wc -l) files"
  mkdir "$E2E_DIR/unpacked"
  tar -C "$E2E_DIR/unpacked" -xzf "$(echo "$E2E_DIR"/packed/*.tgz)"
  diff -r --exclude=.bin "$E2E_DIR/unpacked/package" "$home/app/node_modules/$name"
  (cd "$home/app" && npm ls "${quiet[@]}" "$name") >>"$E2E_DIR/logs/npm.log" 2>&1
  rm -r "$home/app" "$home/npm-cache"
fi

begin "A Python environment"
pip=--without-pip
if python3 -c 'import ensurepip' 2>/dev/null; then pip=; fi
# shellcheck disable=SC2086 # An option or nothing.
python3 -m venv $pip "$home/venv"
assert_eq "$("$home/venv/bin/python" -c 'import sys; print(sys.prefix)')" "$home/venv"
if [ -z "$pip" ]; then assert_contains "$("$home/venv/bin/pip" --version)" "$home/venv"; fi
python3 -m compileall -q "$home/venv" >/dev/null || true
rm -rf "$home/venv"

begin "A search through small files that have several names each"
mkdir "$home/names"
for i in {1..60}; do
  echo "text $i" >"$home/names/$i"
  ln "$home/names/$i" "$home/names/again$i"
done
unmount_home "$home"
mount_home alice "$home"
assert_eq "$(grep -r text "$home/names" | wc -l)" 120

begin "Nothing is left when all is removed"
chmod -R u+w "$home"
rm -rf "${home:?}"/* "$home"/.[!.]*
assert_eq "$(ls -A "$home")" ""
nothing_is_stored() { [ "$(find "$E2E_DIR/server/homes" -path '*/alice/*' | wc -l)" -eq 0 ]; }
wait_until nothing_is_stored
