#!/bin/bash
# Programs on two mounts of one home while the server is killed and restarted: nothing that was promised is
# lost, torn, wrong or stale, and nothing fails or stands still.
#
# By hand for as long as you like: tests/e2e/faults_restarts.sh --seconds 3600 --seed 7 --mounts 3; all options
# are in tests/support/faults.py. HOMEFS_SEED: the same as --seed.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"
# shellcheck source=../support/faults.sh
. "$(dirname "$0")/../support/faults.sh"

begin "What several mounts append outlives kills and orderly restarts of the server"
with_faults --seconds 8 --faults kill,term --programs log=1 "$@"

begin "So do slots, registers, names and trees"
with_faults --seconds 10 --faults kill,kill,term,stop --programs log=7,slot=2,register=1,replace=1,claim=1,tree=2 "$@"
