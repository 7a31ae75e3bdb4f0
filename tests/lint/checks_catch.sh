#!/bin/bash
# Each check of the sources must be able to fail: it is shown one error of each kind it is for.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

failures=0
# expect CHECK TEXT: the check, run over $work, fails and says TEXT.
expect() {
  local output
  if output=$("$root/scripts/check/$1" "$work" 2>&1); then
    echo "FAIL: $1 passed a tree with: $2"
    failures=$((failures + 1))
  elif ! grep -qF -- "$2" <<<"$output"; then
    printf 'FAIL: %s did not say "%s" but:\n%s\n' "$1" "$2" "$output"
    failures=$((failures + 1))
  fi
  rm -rf "${work:?}"/*
}
file() {
  mkdir -p "$work/$(dirname "$1")"
  printf '%b' "$2" >"$work/$1"
}

file server/session.h '#pragma once\n'
file fusefs/link.cpp '#include "server/session.h"\n'
expect includes 'fusefs/ must not include from server/'

file config/config.h '#pragma once\n'
file protocol/frame.h '#pragma once\n#include "config/config.h"\n'
expect includes 'protocol/ must not include from config/'

file fusefs/file_system.cpp '#include <fuse_lowlevel.h>\n'
expect includes '<fuse_lowlevel.h> belongs only in'

file server/session.cpp '#include <openssl/ssl.h>\n'
expect includes '<openssl/ssl.h> belongs only in'

file config/accounts.cpp '#include <sqlite3.h>\n'
expect includes '<sqlite3.h> belongs only in'

file protocol/frame.cpp '#include "frame.h"\n'
expect includes 'is no file of the repository'

file protocol/frame.h 'int x;\n'
expect includes 'no #pragma once'

file protocol/frame.h '#pragma once\n'
file protocol/limits.h '#pragma once\n'
file protocol/frame.cpp '#include "protocol/limits.h"\n#include "protocol/frame.h"\n'
expect includes 'its own header comes first'

file protocol/long.cpp "$(printf '// line\\n%.0s' $(seq 601))"
expect files '601 lines, more than 600'

statements=$(printf '  f();\\n%.0s' $(seq 70))
file protocol/long.cpp "void g(const char* x = \"{\") {\n$statements}\n"
expect functions 'protocol/long.cpp:1: 71 lines, more than 70: void g('

file protocol/long.h "class A : public B<int(int)> {\n  A() noexcept\n      : b_{'{'}, c_([] { return 1; }) {\n$statements}\n};\n"
expect functions 'protocol/long.h:3: 71 lines'

file tests/long_test.cpp "namespace {\nTEST(A, B) {\n$statements  if (x) { return; }\n}\n}\n"
expect functions 'tests/long_test.cpp:2: 72 lines'

file scripts/long "#!/bin/bash\nlong() {\n$statements}\n"
expect functions 'scripts/long:2: 71 lines'

file scripts/long.py "def g():\n$(printf '  f()\\n%.0s' $(seq 71))"
expect functions 'scripts/long.py:1: 71 lines'

file protocol/short.cpp "// NOLINTNEXTLINE(readability-function-size): a table\nvoid g() {\n$statements}\nvoid h() { f(); }\n"
if ! output=$("$root/scripts/check/functions" "$work") || [ "$output" != "functions: 2 checked" ]; then
  echo "FAIL: functions did not accept a reason: $output"
  failures=$((failures + 1))
fi
rm -rf "${work:?}"/*

file protocol/blanks.cpp 'int x; \n'
expect files 'trailing blanks'

file protocol/tab.cpp '\tint x;\n'
expect files 'a tab'

file README.md 'no newline at the end'
expect files 'ends without a newline'

file scripts/tool '#!/bin/sh\n'
expect files 'not executable'

file README.md '[nowhere](docs/MISSING.md)\n'
expect docs 'leads nowhere'

file docs/PAGE.md '# One\n'
file README.md '[two](docs/PAGE.md#two)\n'
expect docs 'no such heading'

file docs/SEMANTICS.md '* Writes are kept. [no_such_test]\n'
expect docs 'there is no test [no_such_test]'

file tests/e2e/writes.sh ''
file docs/SEMANTICS.md '* Writes are kept.\n  For long. [writes]\n* So are reads.\n'
expect docs 'no test is named for: * So are reads.'

file protocol/frame.h '#pragma once\n'
# shellcheck disable=SC2016 # The backticks are the text.
file README.md 'See `protocol/fram.h`.\n'
# shellcheck disable=SC2016
expect docs '`protocol/fram.h` does not exist'

[ "$failures" -eq 0 ] || exit 1
echo "every check catches what it is for"
