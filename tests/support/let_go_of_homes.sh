#!/bin/bash
# For a mount name space that was just made: gives up its copies of the homes that are mounted outside
# it, whose daemons would wait for that.
set -euo pipefail
# findmnt fails where there is none.
{ findmnt -rn -t fuse.homefs -o TARGET || true; } |
  while read -r mount; do umount -l "$mount"; done
