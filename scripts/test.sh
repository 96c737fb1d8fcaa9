#!/usr/bin/env bash
# Everything that must hold before a change lands. usage: test.sh BIN [pytest arguments]
set -euo pipefail
bin=$1; shift
step() { printf '\n== %s\n' "$*"; "$@"; }
step "$bin/ruff" format --check .
step "$bin/ruff" check .
step "$bin/mypy"
step "$bin/lint-imports"
# the slow simulator builds start first; one worker a core
step "$bin/python" -m pytest -n "${LIQUIDCAL_JOBS:-2}" --dist worksteal "$@"
step scripts/test_pythons.sh "$bin"
