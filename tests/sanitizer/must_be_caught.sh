#!/bin/bash
# must_be_caught.sh PROGRAM REPORT: passes when PROGRAM fails and says REPORT.
set -u
output=$("$1" 2>&1)
status=$?
if [ "$status" -eq 0 ]; then
  echo "FAIL: $1 ended well; the sanitizer did not stop it" >&2
  exit 1
fi
if ! grep -qF -- "$2" <<<"$output"; then
  printf 'FAIL: %s did not report "%s" but:\n%s\n' "$1" "$2" "$output" >&2
  exit 1
fi
echo "caught: $2 (exit status $status)"
