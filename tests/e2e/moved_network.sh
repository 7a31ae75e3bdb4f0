#!/bin/bash
# The machine of a mount gets another address, or loses its network for a while: the mount goes on as
# soon as there is a way to the server, and does not wait until silence or a back-off is over.
# Client and server have network name spaces of their own, with a cable between them.
# ctest: TIMEOUT 120
set -euo pipefail
if [ -z "${HOMEFS_OWN_NETWORK:-}" ]; then
  if ! unshare --net true 2>/dev/null; then
    echo "skipped: a network of its own needs root"
    exit 77
  fi
  export HOMEFS_OWN_NETWORK=1
  exec unshare --net bash "$0" "$@"
fi
# shellcheck source=../support/e2e.sh
. "$(dirname "$0")/../support/e2e.sh"

E2E_ADDRESS=10.77.0.1
home=$E2E_DIR/alice

# The name space lives as long as this process.
unshare --net sleep infinity &
far=$!
in_far() { nsenter --target "$far" --net -- "$@"; }
has_own_network() { [ "$(readlink "/proc/$far/ns/net")" != "$(readlink /proc/self/ns/net)" ]; }
wait_until has_own_network
ip link set lo up
ip link add near type veth peer name far
ip link set far netns "$far"
in_far ip link set lo up
in_far ip link set far up
in_far ip address add 10.77.0.1/24 dev far
ip link set near up
ip address add 10.77.0.2/24 dev near
E2E_SERVER_PREFIX=(nsenter --target "$far" --net --)

add_user alice 1GiB
start_server
mount_home alice "$home"
reconnects() { "$HOMEFS_BIN" status --json | jq '.[0].link.reconnects'; }
# answers_within SECONDS: the mount answers what only the server knows.
answers_within() {
  local begin=$SECONDS
  timeout 60 touch "$home/asked"
  rm "$home/asked"
  [ $((SECONDS - begin)) -le "$1" ] || fail "took $((SECONDS - begin)) s, not $1"
}
# Silence alone is noticed after two pings, 20 s; a sanitizer build is slower.
soon=$([ -n "${HOMEFS_SANITIZE:-}" ] && echo 12 || echo 6)

begin "Addresses that come and go elsewhere break nothing"
for i in 1 2 3; do
  ip address add "10.99.0.$i/24" dev near
  sleep 0.5
  ip address del "10.99.0.$i/24" dev near
done
sleep 1.5
answers_within 1
assert_eq "$(reconnects)" 0

begin "With another address the mount goes on at once, idle or writing"
ip address del 10.77.0.2/24 dev near
ip address add 10.77.0.3/24 dev near
answers_within "$soon"
head -c 64M /dev/urandom >"$E2E_DIR/random"
cp "$E2E_DIR/random" "$home/random" &
copying=$!
wait_until test -s "$home/random"
ip address del 10.77.0.3/24 dev near
ip address add 10.77.0.4/24 dev near
wait "$copying"
answers_within "$soon"
cmp "$E2E_DIR/random" "$home/random"
[ "$(reconnects)" -ge 2 ] || fail "reconnected only $(reconnects) times"

begin "When the network is back after a while, the mount is as well, before its back-off is over"
ip link set near down
sleep 15
ip link set near up
answers_within "$soon"

unmount_home "$home"
stop_server
