#!/usr/bin/env bash
# Writes constraints/3.X.txt, or FILE, from an environment of that Python: what was installed and tested together.
# usage: constraints.sh BIN [FILE]
set -euo pipefail
bin=$1
version=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
file=${2:-constraints/$version.txt}
{
    printf "# Versions tested together on Python %s, for pip's --constraint. Written by: make constraints\n" "$version"
    # with setuptools, which QKeras needs at run time; pip is not liquidcal's to choose
    PIP_DISABLE_PIP_VERSION_CHECK=1 "$bin/python" -m pip freeze --all --exclude-editable --exclude pip --exclude wheel
} >"$file.tmp"
if grep -n -e ' @ ' -e '://' "$file.tmp" >&2; then
    rm -f "$file.tmp"
    printf 'liquidcal constraints: these come from no registry; expected released versions only\n' >&2
    exit 1
fi
mv "$file.tmp" "$file"
printf 'wrote %s\n' "$file"
