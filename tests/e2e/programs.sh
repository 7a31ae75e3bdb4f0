#!/bin/bash
# Programs that people run in their home: git, a build, editors that save by rename, large copies.
# ctest: TIMEOUT 600
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

add_user alice 4GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

begin "git: init, many commits, clone, fsck, an old tag and back"
origin=$E2E_DIR/origin
git init -q "$origin"
git -C "$origin" config user.name Test
git -C "$origin" config user.email test@localhost
for i in $(seq 1 30); do
  mkdir -p "$origin/folder$((i % 7))"
  seq "$i" $((i + 500)) >"$origin/folder$((i % 7))/file$i"
  git -C "$origin" add -A
  git -C "$origin" commit -q -m "change $i"
  [ "$i" = 10 ] && git -C "$origin" tag old
done
git clone -q "$origin" "$home/clone"
git -C "$home/clone" fsck --strict
git -C "$home/clone" checkout -q old
assert_eq "$(git -C "$home/clone" status --porcelain)" ""
git -C "$home/clone" checkout -q -
assert_eq "$(git -C "$home/clone" status --porcelain)" ""
assert_same_tree "$origin/folder1" "$home/clone/folder1"

begin "A small C++ project is configured and built"
mkdir "$home/project"
printf 'cmake_minimum_required(VERSION 3.20)\nproject(p CXX)\nadd_executable(p a.cpp b.cpp)\n' \
  >"$home/project/CMakeLists.txt"
printf 'int f();\nint main() { return f(); }\n' >"$home/project/a.cpp"
printf 'int f() { return 42; }\n' >"$home/project/b.cpp"
cmake -S "$home/project" -B "$home/project/build" -G Ninja >"$E2E_DIR/logs/cmake.log"
ninja -C "$home/project/build" >>"$E2E_DIR/logs/cmake.log"
result=0
"$home/project/build/p" || result=$?
assert_eq "$result" 42
assert_contains "$(ninja -C "$home/project/build")" "no work to do"

begin "Random data in and out is the same, also after the kernel has forgotten it"
head -c 200M /dev/urandom >"$E2E_DIR/random"
cp "$E2E_DIR/random" "$home/random"
cmp "$E2E_DIR/random" "$home/random"
unmount_home "$home"
mount_home alice "$home"
cmp "$E2E_DIR/random" "$home/random"

begin "A copy inside the mount is made by the server"
cp "$home/random" "$home/copy"
cmp "$E2E_DIR/random" "$home/copy"
rm "$home/copy" "$home/random"

begin "An editor's save: a new file, fsync, renamed over the old one"
echo old >"$home/text"
echo new >"$home/.text.swp"
sync "$home/.text.swp"
mv "$home/.text.swp" "$home/text"
assert_eq "$(cat "$home/text")" new

begin "An open file lives on without its name"
echo kept >"$home/unlinked"
exec 7<"$home/unlinked"
rm "$home/unlinked"
assert_eq "$(cat <&7)" kept
exec 7<&-
assert_missing "$home/unlinked"

begin "Links, FIFOs and renames of folders"
ln "$home/text" "$home/hard"
assert_eq "$(stat -c %h "$home/text")" 2
assert_eq "$(stat -c %i "$home/text")" "$(stat -c %i "$home/hard")"
ln -s nowhere "$home/soft"
assert_eq "$(readlink "$home/soft")" nowhere
mkfifo "$home/fifo"
echo through >"$home/fifo" &
assert_eq "$(cat "$home/fifo")" through
mkdir -p "$home/a/b"
mv "$home/a" "$home/c"
assert_exists "$home/c/b"
assert_missing "$home/a"

rm -rf "${home:?}"/*
unmount_home "$home"
stop_server
