#!/bin/bash
# run_fuzzer.sh PROGRAM CORPUS DICTIONARY WORK: replays CORPUS, then searches for
# HOMEFS_FUZZ_SECONDS (20) from the seed HOMEFS_SEED (1; "random": another one in each run). What it
# finds goes to WORK, never into the sources: a crash is to be named and put into CORPUS by hand,
# with its fix.
set -eu
program=$1 corpus=$2 dictionary=$3 work=$4
mkdir -p "$work/corpus" "$work/crashes"
seed=${HOMEFS_SEED:-1}
[ "$seed" = random ] && seed=0  # libFuzzer's way to say it
# Without -reload the same seed tries the same inputs, as far as the time allows.
arguments=(-seed="$seed" -reload=0 -max_total_time="${HOMEFS_FUZZ_SECONDS:-20}" -timeout=25
  -rss_limit_mb=2048 -print_final_stats=1 -verbosity=1 -artifact_prefix="$work/crashes/")
[ -f "$dictionary" ] && arguments+=(-dict="$dictionary")
folders=("$work/corpus")
[ -d "$corpus" ] && folders+=("$corpus")
exec "$program" "${arguments[@]}" "${folders[@]}"
