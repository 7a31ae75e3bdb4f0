#!/bin/bash
# Programs on two mounts of one home while the daemons of the mounts are killed and stopped: what was synced
# or closed is there, and the other mount goes on.
#
# By hand: as faults_restarts.sh.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"
# shellcheck source=../support/faults.sh
. "$(dirname "$0")/../support/faults.sh"

begin "What was promised outlives the daemon of a mount"
with_faults --seconds 12 --faults client-kill,client-kill,client-stop,program-stop \
  --programs log=3,slot=2,register=1,replace=1,claim=1,tree=1 "$@"
