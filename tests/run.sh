#!/usr/bin/env bash
# Runs the whole suite. Installs what is missing where it may (Debian's apt-get,
# as root), says what to install and fails where it may not.
set -euo pipefail
cd "$(dirname "$0")/.."

# command -> Debian package
need() {
  command -v "$1" >/dev/null && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$2"
  else
    echo "the test suite needs '$1': install the package $2" >&2
    exit 1
  fi
}

need cargo rustup
need cc gcc
need curl curl
need python3 python3
need valgrind valgrind

bash tests/install_gateways.sh

# The adversarial replay over HTTP/2 needs the Python package h2.
venv=target/venv
if ! "$venv/bin/python" -c 'import h2' 2>/dev/null; then
  python3 -m venv --help >/dev/null 2>&1 || need python3-venv-is-missing python3-venv
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'h2==4.4.1'
fi
PATH="$PWD/$venv/bin:$PATH"
export PATH

cargo test --locked --all-features
