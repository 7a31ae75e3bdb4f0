#!/bin/bash
# The committed test vectors and the first inputs of the fuzzers are what the script makes from
# PROTOCOL.md as it is now. To bring them up to date: scripts/make_protocol_vectors.py
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$root/scripts/make_protocol_vectors.py" "$work"
# Only the inputs that the script makes: the fuzzers' own finds are in the same folders.
mkdir -p "$work/committed/tests/fuzz/corpus"/{codec,name}
cp -r "$root/protocol/vectors" "$work/committed/vectors"
for corpus in codec name; do
  cp "$root/tests/fuzz/corpus/$corpus"/vector-* "$work/committed/tests/fuzz/corpus/$corpus/"
done
diff -r "$work/protocol/vectors" "$work/committed/vectors"
diff -r "$work/tests/fuzz/corpus" "$work/committed/tests/fuzz/corpus"
echo "$(find "$work/protocol" "$work/tests" -type f | wc -l) files are what PROTOCOL.md says"
