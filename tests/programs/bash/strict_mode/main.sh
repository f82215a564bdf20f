set -euo pipefail
trap 'echo "line $LINENO failed" >&2' ERR
echo before
grep -q needle /dev/null
echo never
