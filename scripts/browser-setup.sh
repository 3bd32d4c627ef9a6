#!/usr/bin/env bash
# Installs what the browser tests need: Chromium and Node with apt where it can, the rest with npm.
# Prints the one command to type where it cannot.
set -u
cd "$(dirname "$0")/.."
needed=()
command -v chromium >/dev/null || [ -n "${CHROMIUM:-}" ] || needed+=(chromium)
command -v node >/dev/null || needed+=(nodejs)
command -v npm >/dev/null || needed+=(npm)
if [ ${#needed[@]} -ne 0 ]; then
  as_root=""
  [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
  if ! command -v apt-get >/dev/null \
    || ! $as_root apt-get update -qq >/dev/null \
    || ! DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq --no-install-recommends "${needed[@]}" >/dev/null; then
    echo "The browser tests need Chromium and Node 18 or newer. Type: sudo apt-get install ${needed[*]}" >&2
    exit 1
  fi
fi
major=$(node --version | sed 's/^v\([0-9]*\).*/\1/')
if [ "$major" -lt 18 ]; then
  echo "The browser tests need Node 18 or newer; found $(node --version) at $(command -v node)." >&2
  exit 1
fi
# Exact versions stand in package.json; a lock file would name the registry.
cd tests/browser
marker=node_modules/.installed
if [ ! -e "$marker" ] || [ package.json -nt "$marker" ]; then
  npm install --no-package-lock --no-audit --no-fund --loglevel=error && touch "$marker"
fi
