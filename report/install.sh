#!/usr/bin/env bash
# Installs the validator for one job: install.sh DIRECTORY [LOCK] creates a virtual environment there from a lock file
# of this repository, requirements.lock by default.
#
# pip installs the uv whose hash is in the lock, and uv installs the rest by hash. The validator's own code is the
# checkout of the action, so a ref of the action pins the code and all its dependencies.
set -euo pipefail

venv=$1
lock=${2:-requirements.lock}
root=$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)

if [[ -f $venv/installed ]]; then
  exit 0
fi
python=$(command -v python3 || command -v python || true)
if [[ -z $python ]] || ! "$python" -I -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 10))'; then
  echo "::error::keras-validator needs Python 3.10 or newer with venv: add actions/setup-python before this step"
  exit 2
fi

"$python" -I -m venv --clear "$venv"
cd -- "$venv" # no pip, uv or Python configuration of the checkout applies
awk '/^[^ ]/ { uv = /^uv==/ } uv' "$root/$lock" > uv.txt
bin/python -I -m pip install --quiet --disable-pip-version-check --no-input \
  --require-hashes --only-binary :all: --no-deps -r uv.txt
bin/uv pip sync --quiet --no-progress --require-hashes --only-binary :all: \
  --python bin/python "$root/$lock"
packages=$(bin/python -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
printf '%s\n' "$root" > "$packages/keras_upgrade_validator.pth"
touch installed
