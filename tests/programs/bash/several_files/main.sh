source lib/greet.sh
. "$(dirname "$0")/lib/numbers.sh"
greet "$1"
sum "${@:2}"
echo "$0 $# ${BASH_SOURCE[0]}"
