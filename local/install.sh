#!/bin/sh
# Finds a Python that is new enough and lets it make .venv. `PYTHON=/path/to/python` overrides the search.
new_enough='import sys; sys.exit(sys.version_info < (3, 11))'
for python in ${PYTHON:-python3 python3.15 python3.14 python3.13 python3.12 python3.11 python}; do
    if "$python" -c "$new_enough" >/dev/null 2>&1; then
        exec "$python" -ES "${0%/*}/install.py" "$@"
    fi
done
for python in ${PYTHON:-python3 python}; do
    version=$("$python" --version 2>&1) && found="${found:+$found, }$python is $version"
done
echo "gonogo needs Python 3.11 or newer, and ${found:-found no Python here}: install one, or point PYTHON= at it." >&2
exit 1
