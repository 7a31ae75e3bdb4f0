#!/bin/bash
# Large trees: a copy of a folder of headers, and git with a large repository.
# HOMEFS_TEST_TREE (a part of /usr/include) and HOMEFS_TEST_OBJECTS (3000); /usr/include and 20000
# by hand.
# ctest: TIMEOUT 900
# ctest: NOT sanitized
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

tree=${HOMEFS_TEST_TREE:-/usr/include/linux}
objects=${HOMEFS_TEST_OBJECTS:-3000}

# import COMMITS: a history for git fast-import, the same each time. Each commit changes 6 files of
# 40 folders: with its folders and the commit itself about 14 objects. Half of them is tagged "old".
import() {
  awk -v commits="$1" 'BEGIN {
    for (c = 1; c <= commits; c++) {
      text = "change " c "\n"
      printf "commit refs/heads/main\nmark :%d\n", c
      printf "committer Test <test@localhost> %d +0000\n", 1700000000 + c
      printf "data %d\n%s\n", length(text), text
      if (c > 1) printf "from :%d\n", c - 1
      for (i = 0; i < 6; i++) {
        body = ""
        for (line = 0; line < 20 + (c + i) % 60; line++) body = body "line " line " of " c "." i "\n"
        file = (c * 7 + i * 11) % 400
        printf "M 100644 inline folder%d/file%d.txt\ndata %d\n%s\n", file % 40, file, length(body), body
      }
      if (c == int(commits / 2)) printf "reset refs/tags/old\nfrom :%d\n\n", c
    }
  }'
}

add_user alice 64GiB
start_server
home=$E2E_DIR/alice
mount_home alice "$home"

begin "cp -a of $tree, and diff -r finds nothing"
timed "cp -a of $(find "$tree" | wc -l) names" cp -a "$tree" "$home/copy"
timed "diff -r" diff -r --no-dereference "$tree" "$home/copy"
unmount_home "$home"
mount_home alice "$home"
timed "diff -r, cold" diff -r --no-dereference "$tree" "$home/copy"

begin "git clone, fsck, an old tag and back"
origin=$E2E_DIR/origin
git init -q -b main "$origin"
import $((objects / 14)) | git -C "$origin" fast-import --quiet
git -C "$origin" reset -q --hard main
count=$(git -C "$origin" rev-list --objects --all | wc -l)
echo "the repository has $count objects"
[ "$count" -ge $((objects * 9 / 10)) ] || fail "too few"
timed "git clone" git clone -q --no-local "$origin" "$home/clone"
timed "git fsck" git -C "$home/clone" fsck --strict --no-progress
timed "checkout of an old tag" git -C "$home/clone" checkout -q old
assert_eq "$(git -C "$home/clone" status --porcelain)" ""
assert_eq "$(git -C "$home/clone" rev-parse 'HEAD^{tree}')" "$(git -C "$origin" rev-parse 'old^{tree}')"
timed "and back" git -C "$home/clone" checkout -q main
assert_eq "$(git -C "$home/clone" status --porcelain)" ""
diff -r --exclude=.git "$origin" "$home/clone"

begin "The same with its objects as files of their own, and repacked"
objects_of() { git -C "$home/clone" rev-list --objects --all | wc -l; }
mv "$home/clone/.git/objects/pack" "$home/packs"
timed "unpack-objects" git -C "$home/clone" unpack-objects -q <"$(find "$home/packs" -name '*.pack')"
rm -rf "$home/packs"
timed "git fsck of loose objects" git -C "$home/clone" fsck --strict --no-progress
timed "git gc" git -C "$home/clone" gc -q --prune=now
assert_eq "$(objects_of)" "$count"
timed "rm -rf" rm -rf "$home/clone" "$home/copy"
assert_eq "$(find "$E2E_DIR/server/homes/alice" -mindepth 1 | wc -l)" 0
