#!/usr/bin/env bash
# Runs the whole suite. Installs what is missing where it may (Debian's apt-get,
# as root), says what to install and fails where it may not.
set -euo pipefail
cd "$(dirname "$0")/.."

# need PACKAGE COMMAND...: installs the Debian package unless the command
# succeeds.
need() {
  local package=$1
  shift
  "$@" >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$package"
  else
    echo "the test suite needs the package $package" >&2
    exit 1
  fi
}

# need_server PACKAGE COMMAND...: the same for a package that would start a
# service, which no test has a use for.
need_server() (
  policy=/usr/sbin/policy-rc.d
  "${@:2}" >/dev/null 2>&1 && return
  if [ "$(id -u)" = 0 ] && [ ! -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
  fi
  need "$@"
)

need rustup command -v cargo
need gcc command -v cc
need curl command -v curl
need python3 command -v python3
need python3-venv python3 -c 'import ensurepip'
need valgrind command -v valgrind
need_server postgresql ls /usr/lib/postgresql/*/bin/postgres
need_server redis-server command -v redis-server
need openssl command -v openssl
need systemd command -v systemd-socket-activate
need chromium command -v chromium
need chromium-driver command -v chromedriver
need npm command -v npm
need_server prometheus command -v promtool

bash tests/install_gateways.sh

# The adversarial replay over HTTP/2 needs the Python package h2, the tests of
# mail a server, the package aiosmtpd, and those of webhooks the standard's own
# library.
venv=target/venv
if ! "$venv/bin/python" -c 'import aiosmtpd, h2, standardwebhooks' 2>/dev/null; then
  python3 -m venv "$venv"
  "$venv/bin/pip" install --quiet 'aiosmtpd==1.4.6' 'h2==4.4.1' 'standardwebhooks==1.0.0'
fi
# What looks at the pages for whoever cannot see them.
if [ ! -e target/axe/node_modules/axe-core/axe.min.js ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/axe axe-core@4.14.1
fi
# The provider that people sign in at, in the tests of the single sign-on.
if [ ! -e target/oidc/node_modules/oidc-provider/package.json ]; then
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix target/oidc oidc-provider@9.13.3
fi
PATH="$PWD/$venv/bin:$PATH"
export PATH

cargo test --locked --workspace --all-features

# What needs no feature must hold without any.
cargo test --locked

# Another crate of a host's build may enable it for all of them. A filter that
# matches no test would pass, too.
cargo test --locked --features portal,serde_json/arbitrary_precision --lib -- portal::api::body | tee -a /dev/stderr |
  grep '^test result: ok. [1-9]' >/dev/null
