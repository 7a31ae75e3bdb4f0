#!/bin/bash
# ctest: NEEDS nothing
# ctest: NOT sanitized
# ctest: TIMEOUT 300
# The user manager that other tests use is a real one: it starts a Type=notify service and waits
# until that is ready, it lets an ordinary user mount, and nothing of it is left afterwards.
set -euo pipefail

fail() { printf 'FAIL: %s\n' "$*" >&2; exit 1; }

inside() {
  [ "$(id -u)" -ne 0 ] || fail "still root"
  [ -z "$(ls -A "$HOME/.config/systemd" 2>/dev/null)" ] || fail "the home is not a new one"

  mkdir -p ~/.config/systemd/user
  # Ready only after a while: `start` returns later than that, if the manager waits for READY=1.
  cat >~/.config/systemd/user/ready@.service <<'UNIT'
[Service]
Type=notify
NotifyAccess=all
ExecStart=/bin/sh -c 'sleep 0.5; touch %h/ready-%i; systemd-notify --ready --status="at your service"; exec sleep 1000'
ExecStop=/bin/sh -c 'touch %h/stopped-%i'
[Install]
WantedBy=default.target
UNIT
  systemctl --user daemon-reload
  systemctl --user enable --now ready@one
  [ -e ~/ready-one ] || fail "start returned before READY=1"
  [ "$(systemctl --user show -P ActiveState ready@one)" = active ] || fail "the unit is not active"
  [ "$(systemctl --user show -P StatusText ready@one)" = "at your service" ] || fail "no STATUS="
  systemd-run --user --wait --quiet true || fail "systemd-run of true"
  if systemd-run --user --wait --quiet false; then fail "systemd-run of false succeeded"; fi
  systemctl --user stop ready@one
  [ -e ~/stopped-one ] || fail "ExecStop= was not run"

  # What is left here on purpose must end with the name space.
  systemctl --user start ready@left
  setsid sleep 1000 &
  touch /tmp/left-behind
  if [ -c /dev/fuse ]; then
    { : <>/dev/fuse; } || fail "an ordinary user cannot open /dev/fuse"
  fi
  [ "${HOMEFS_SELFTEST:-}" = passed-on ] || fail "HOMEFS_SELFTEST was not passed on"
  echo "inside: done"
  exit "${HOMEFS_SELFTEST_STATUS:-0}"
}

if [ -n "${HOMEFS_USER_MANAGER:-}" ]; then
  inside
fi

manager=$(dirname "$0")/../support/user_manager.sh
run() {
  HOMEFS_SELFTEST=passed-on "$manager" "$(readlink -f "$0")"
}
# What runs of other tests have left, or are using, is theirs.
traces() {
  { getent passwd | grep -o '^homefs-test-[^:]*'; compgen -G '/sys/fs/cgroup/homefs-test-*'
    compgen -G '/sys/fs/cgroup/*/homefs-test-*'; compgen -G '/var/tmp/homefs-test-*'; } | sort
}
before=$(traces || true)
nothing_left() {
  local left
  left=$(comm -13 <(echo "$before") <(traces || true))
  [ -z "$left" ] || fail "left behind: $left"
  [ ! -e /tmp/left-behind ] || fail "the user's /tmp is the machine's"
}

run
nothing_left

status=0
HOMEFS_SELFTEST_STATUS=7 run 2>/dev/null || status=$?
[ "$status" -eq 7 ] || fail "the command's exit status 7 came out as $status"
nothing_left
echo "a real user manager, and nothing left of it"
