# shellcheck shell=bash
# with_faults OPTIONS...: a run of faults.py with a server and an account of its own. To be sourced after e2e.sh.

E2E_FAULT_RUNS=0
with_faults() {
  local user folder
  E2E_FAULT_RUNS=$((E2E_FAULT_RUNS + 1))
  user=user$E2E_FAULT_RUNS
  folder=$E2E_DIR/faults$E2E_FAULT_RUNS
  change_server_config '.session.linger_seconds = 20'
  add_user "$user" 8GiB
  mkdir "$folder"
  python3 "$(dirname "${BASH_SOURCE[0]}")/faults.py" --folder "$folder" --user "$user" \
    --config "$E2E_DIR/server/homefsd.json" --seed "${HOMEFS_SEED:-1}" "$@" || fail "there are violations"
}
