#!/bin/bash
# Programs on two mounts of one home, and put and get beside them, while single connections are cut in the
# middle of what they move: nothing is lost, torn, wrong or stale, and nothing fails or stands still.
#
# By hand: as faults_restarts.sh.
set -euo pipefail
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"
# shellcheck source=../support/faults.sh
. "$(dirname "$0")/../support/faults.sh"

begin "Large files and transfers go on when the connections of their data are cut"
with_faults --seconds 14 --mounts 1 --faults cut-bulk --rate 30000000 --programs large=1,put=1 "$@"

begin "Everything else goes on under cuts, black holes and refusals"
with_faults --seconds 10 --faults cut,cut-control,cut-bulk,hold,refuse \
  --programs log=7,slot=2,register=1,replace=1,claim=1,tree=1 "$@"
