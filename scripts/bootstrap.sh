#!/bin/sh
# Install what this checkout needs, and nothing twice.
#   venv    the project's own .venv from requirements.lock (hashes checked)
#   demo    system packages the demo needs
#   system  system packages the tests need (real peers: brokers, databases, phones, a browser)
# System packages come through apt when this runs as root; otherwise the command to run is printed.
set -eu
cd "$(dirname "$0")/.."

DEMO_PACKAGES="mosquitto"
TEST_PACKAGES="mosquitto mosquitto-clients redis-server postgresql sip-tester baresip-core baresip-ffmpeg coturn linphone-cli kamailio iproute2 nftables conntrack chromium fonts-noto-cjk python3-gi gir1.2-gst-rtsp-server-1.0 gir1.2-gst-plugins-bad-1.0 gstreamer1.0-plugins-good gstreamer1.0-plugins-ugly gstreamer1.0-plugins-bad gstreamer1.0-nice"

say() { printf '%s\n' "$*" >&2; }

need() {
  missing=""
  for package in "$@"; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
  done
  [ -z "$missing" ] && return 0
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    say "commhub: installing$missing"
    apt-get update -qq
    # shellcheck disable=SC2086
    RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
  else
    say "commhub: these packages are missing; as root, run:"
    say "    apt-get install --no-install-recommends$missing"
    exit 1
  fi
}

python_of_this_machine() {
  for python in python3.13 python3.12 python3.11 python3; do
    if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      printf '%s' "$python"
      return
    fi
  done
  say "commhub: Python 3.11 or newer is needed; on Debian 12: apt-get install python3"
  exit 1
}

make_venv() {
  python=$(python_of_this_machine)
  if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    need python3-venv
  fi
  if [ ! -x .venv/bin/python ] || ! .venv/bin/python -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    say "commhub: making .venv"
    rm -rf .venv
    "$python" -m venv .venv
  fi
  .venv/bin/python -m uv --version >/dev/null 2>&1 || .venv/bin/python -m pip install --quiet uv
  say "commhub: installing the locked Python packages (about a minute the first time)"
  .venv/bin/python -m uv pip sync --quiet --compile-bytecode --require-hashes --python .venv/bin/python requirements.lock
  COMMHUB_SKIP_CONSOLE=1 .venv/bin/python -m uv pip install --quiet --no-deps --no-build-isolation --python .venv/bin/python -e .
  # Without it every process compiles its own modules at every start where writing bytecode is switched off.
  .venv/bin/python -m compileall -q commhub bridges gateways devices rules simulators
  touch .venv/.ready
}

case "${1:-}" in
  venv) make_venv ;;
  demo)
    # shellcheck disable=SC2086
    need $DEMO_PACKAGES ;;
  system)
    # shellcheck disable=SC2086
    need $TEST_PACKAGES ;;
  *) say "usage: scripts/bootstrap.sh venv|demo|system"; exit 2 ;;
esac
