#!/usr/bin/env bash
# Measures what README's tables of speed show, then writes the tables. usage: bench.sh PYTHON BIN
set -euo pipefail
python=$1 bin=$2
baselines=.venv-baselines
requirements=benchmarks/baselines/requirements.txt
fail() { printf 'liquidcal bench: %s\n' "$*" >&2; exit 2; }

command -v "$python" >/dev/null || python=$bin/python
# baselines are LGPL: they get an environment of their own
if ! cmp -s "$requirements" "$baselines/requirements.txt"; then
    printf 'installing da4ml and alkaid into %s\n' "$baselines"
    [ -x "$baselines/bin/python" ] || "$python" -m venv "$baselines"
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$baselines/bin/python" -m pip install --quiet --retries 5 --timeout 60 \
        --requirement "$requirements" || fail "pip could not install what $requirements names"
    cp "$requirements" "$baselines/requirements.txt"
fi

mkdir -p benchmarks/results
for name in models simulation showers frozen; do
    [ -f "benchmarks/$name.py" ] || continue
    printf '\n== benchmarks.%s\n' "$name"
    "$bin/python" -m "benchmarks.$name"
done
"$bin/python" -m benchmarks.tables
