#!/usr/bin/env bash
# A quick part of the tests (models, hardware, one chain) on the oldest and the newest supported Python at hand, each in an
# environment of its own without training (.venv-3.11, ...), on the oldest with the oldest numpy (constraints/quick/). The whole suite has run on the Python of BIN, which is left out.
# LIQUIDCAL_PYTHONS chooses others (names or paths, with spaces between), and empty it switches this off.
# usage: test_pythons.sh BIN
set -euo pipefail
bin=$1
fail() { printf 'liquidcal test: %s\n' "$*" >&2; exit 2; }

tests='
tests/sim/test_fixed_point.py tests/sim/hgcal_encoder/test_encoder.py tests/sim/hgcal_encoder/detector/test_geometry.py
tests/sim/hgcal_encoder/learning/test_metric.py
tests/sim/lsm_crossbar/test_liquid.py tests/sim/lsm_crossbar/macro_model/test_device.py
tests/hw/hgcal_encoder/test_front_end.py tests/hw/hgcal_encoder/test_frame.py tests/hw/common/test_register_file.py
tests/flows/simulation/test_encoder.py::test_encoder_equals_model
tests/flows/steps/test_chain.py::test_the_chain_on_a_small_encoder tests/flows/learning/test_legacy_keras.py
'

suite=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
if [ -n "${LIQUIDCAL_PYTHONS+set}" ]; then
    [ -n "$LIQUIDCAL_PYTHONS" ] || { printf 'Python %s only: LIQUIDCAL_PYTHONS is empty\n' "$suite"; exit 0; }
    found=$(for name in $LIQUIDCAL_PYTHONS; do scripts/pythons.sh "$name" | sed -n 1p || exit 2; done) ||
        fail "LIQUIDCAL_PYTHONS=$LIQUIDCAL_PYTHONS names a Python that is not supported or not there"
else
    all=$(scripts/pythons.sh)
    found=$(printf '%s\n' "$all" | sed -n -e '1p' -e '$p' | awk -v suite="$suite" '$1 != suite && !seen[$1]++')
    [ -n "$found" ] || { printf 'Python %s only: no second supported one was found\n' "$suite"; exit 0; }
fi

ran=
while read -r version path; do
    venv=.venv-$version
    printf '\n== quick part on Python %s\n' "$version"
    if ! [ -f "$venv/.quick" ] ||
        [ -n "$(find pyproject.toml constraints \( -name pyproject.toml -o -name "$version.txt" \) -newer "$venv/.quick")" ]; then
        scripts/setup.sh quick "$path" "$venv" </dev/null
    fi
    # training is not installed: what needs it is skipped, and shown
    # shellcheck disable=SC2086 # a list of words
    CI= "$venv/bin/python" -m pytest -q -n "${LIQUIDCAL_JOBS:-2}" --dist worksteal --durations=5 $tests </dev/null
    ran="$ran $version"
done <<END
$found
END
printf '\nwhole suite on Python %s, quick part on:%s\n' "$suite" "$ran"
