# shellcheck shell=bash
# For a test with real mounts that an ordinary user runs under a real user manager, with the
# programs as installed: sourced in the place of e2e.sh, which it sources there. The first time it
# runs the test again as that user, and does not come back.
support=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -z "${HOMEFS_USER_MANAGER:-}" ]; then
  exec "$support/user_manager.sh" --installed "$(readlink -f "$0")"
fi
HOMEFS_BIN=/usr/bin/homefs HOMEFSD_BIN=/usr/bin/homefsd
# shellcheck source=e2e.sh
. "$support/e2e.sh"
