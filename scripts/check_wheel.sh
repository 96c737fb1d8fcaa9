#!/usr/bin/env bash
# Installs the wheel, not the working copy, into a fresh environment and uses it outside of the repository: version, one
# model test and one hardware test of each chip, the examples; with --demo the whole demo, too (a quarter of an hour).
# usage: check_wheel.sh [PYTHON] [--demo]
set -euo pipefail
demo=no python=
for argument; do
    case $argument in
    --demo) demo=yes ;;
    *) python=$argument ;;
    esac
done
repository=$(cd "$(dirname "$0")/.." && pwd)
chosen=$("$repository/scripts/pythons.sh" ${python:+"$python"} | sed -n 1p)
version=${chosen%% *} path=${chosen#* }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
say() { printf '\n== %s\n' "$*"; }
export PIP_DISABLE_PIP_VERSION_CHECK=1

tests='
tests/sim/hgcal_encoder/test_encoder.py tests/hw/hgcal_encoder/test_frame.py
tests/sim/lsm_crossbar/test_liquid.py tests/hw/lsm_crossbar/test_crossbar.py
tests/sim/astrocyte_liquid/test_network.py
tests/sim/network/test_model.py tests/hw/network/test_network.py
tests/test_public.py tests/test_examples.py
'

say "wheel and environment on Python $version"
"$path" -m venv "$work/venv"
"$work/venv/bin/python" -m pip wheel --quiet --no-deps --wheel-dir "$work" "$repository"
wheel=$(ls "$work"/liquidcal-*.whl)
packed() { "$work/venv/bin/python" -m zipfile --list "$wheel" | awk '$1 ~ /^(hw|sim|flows|liquidcal)\// { print $1 }' | sort; }
tracked() { git -C "$repository" ls-files hw sim flows liquidcal | sort; }
if [ -d "$repository/.git" ] || [ -f "$repository/.git" ]; then
    diff <(tracked) <(packed) || { printf 'check_wheel: the wheel does not hold what git tracks\n' >&2; exit 1; }
fi
"$work/venv/bin/python" -m pip install --quiet --retries 5 --timeout 60 \
    --constraint "$repository/constraints/$version.txt" "$wheel[test]"

# tests and examples are no part of the wheel: a copy, from which nothing of the sources can be imported
mkdir "$work/outside"
cp -r "$repository/tests" "$repository/examples" "$work/outside"
cp "$repository/pyproject.toml" "$work/outside"
cd "$work/outside"
unset PYTHONPATH
place=$("$work/venv/bin/python" -c 'import flows; print(flows.__file__)')
case $place in
"$work"/venv/*) ;;
*) printf 'check_wheel: expected flows from the wheel, got %s\n' "$place" >&2; exit 1 ;;
esac

say liquidcal --version
"$work/venv/bin/liquidcal" --version
say "tests outside of the repository"
# training and published data are not installed: what needs them is skipped, and shown
# shellcheck disable=SC2086 # a list of words
CI= LIQUIDCAL_DATA="$work/none" "$work/venv/bin/python" -m pytest -q -n 0 --durations=5 $tests
if [ "$demo" = yes ]; then
    say liquidcal demo
    "$work/venv/bin/liquidcal" demo
fi
printf '\nwheel works outside of the repository: %s\n' "$(basename "$wheel")"
