#!/usr/bin/env bash
# Make the README's image, docs/street.webp: the shipped model on a frame of the rendered street. Needs scripts/setup.sh.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"

"$root/.venv/bin/hyperseg-street" street.mp4 --size 480x640 --seed "${SEED:-4}" --frames 40
"$root/.venv/bin/hyperseg-run" street.mp4 --start 2 --max-frames 1 --style side-by-side \
  --palette distinct --legend top-right -o image.mp4
"$root/.venv/bin/python" - "$root/docs/street.webp" <<'PYTHON'
import sys

import cv2

_, frame = cv2.VideoCapture("image.mp4").read()
cv2.imwrite(sys.argv[1], frame, [cv2.IMWRITE_WEBP_QUALITY, 88])
print(sys.argv[1], frame.shape)
PYTHON
