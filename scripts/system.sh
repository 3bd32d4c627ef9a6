#!/usr/bin/env bash
# Installs the system libraries that the PDF needs, with apt where it can; else prints the one command to type.
set -u
needed=()
have_library() { ldconfig -p 2>/dev/null | grep -q "$1"; }
have_library libpango-1.0.so.0 || needed+=(libpango-1.0-0)
have_library libpangoft2-1.0.so.0 || needed+=(libpangoft2-1.0-0)
have_library libharfbuzz-subset.so.0 || needed+=(libharfbuzz-subset0)
command -v pdftoppm >/dev/null || needed+=(poppler-utils)
command -v qpdf >/dev/null || needed+=(qpdf)
python3 -c 'import ensurepip' 2>/dev/null || needed+=(python3-venv)
[ ${#needed[@]} -eq 0 ] && exit 0
if command -v apt-get >/dev/null; then
  as_root=""
  [ "$(id -u)" -eq 0 ] || as_root="sudo -n"
  if $as_root apt-get update -qq >/dev/null && DEBIAN_FRONTEND=noninteractive $as_root apt-get install -y -qq "${needed[@]}" >/dev/null; then
    exit 0
  fi
  echo "xaudit needs system packages. Type: sudo apt-get install ${needed[*]}" >&2
elif command -v brew >/dev/null; then
  echo "xaudit needs system packages. Type: brew install pango harfbuzz poppler qpdf" >&2
elif command -v dnf >/dev/null; then
  echo "xaudit needs system packages. Type: sudo dnf install pango harfbuzz poppler-utils qpdf" >&2
else
  echo "xaudit needs Pango 1.44+, HarfBuzz with subsetting, poppler-utils and qpdf from your system's packages." >&2
fi
exit 0
