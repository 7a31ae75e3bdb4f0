#!/bin/bash
# A file whose end moves in two mounts while another part of it changes: appends under a lock overwrite nothing,
# and a read shows all that was there when it began. The kernel forgets what it was told of the end when it hears
# of a change.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

checks=$(dirname "$0")/../support/moving_ends.py
a=$E2E_DIR/a b=$E2E_DIR/b
add_user alice 1GiB
start_server
mount_home alice "$a"
mount_home alice "$b"

begin "Appends under a lock are not lost while another part of the file changes"
python3 "$checks" appends "$a/records" "$b/records" 5

begin "A read shows all that was appended before it began"
python3 "$checks" reads "$a/log" "$b/log" 5
