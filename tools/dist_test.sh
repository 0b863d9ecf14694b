#!/usr/bin/env bash
# Tests a checkpoint with several processes: the scores are those of one.
#
#     tools/dist_test.sh CONFIG CHECKPOINT PROCESSES [options of udass test]
#
# Several machines: see tools/dist_train.sh.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n 's/^# \{0,1\}//; 2,6p' "$0" >&2
    exit 2
fi
UDASS_COMMAND=test exec "$(dirname "$0")/dist_train.sh" "$1" "$3" "$2" "${@:4}"
