#!/usr/bin/env bash
# Trains on the GPUs of one machine, or on its CPU where there is none.
#
#     tools/dist_train.sh CONFIG PROCESSES [options of udass train]
#
# Several machines: the same command on each, with NNODES, NODE_RANK (0 to NNODES - 1) and MASTER_ADDR (that of machine
# 0, with a free MASTER_PORT) in the environment. PYTHON chooses the interpreter.
set -euo pipefail
if [ $# -lt 2 ]; then
    sed -n 's/^# \{0,1\}//; 2,7p' "$0" >&2
    exit 2
fi
tools=$(dirname "$(realpath "$0")")
export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
if [ "${NNODES:-1}" -gt 1 ]; then
    meeting=(--nnodes "$NNODES" --node-rank "${NODE_RANK:?}" --master-addr "${MASTER_ADDR:?}"
        --master-port "${MASTER_PORT:-29500}")
else
    # A free port of its own, so that several runs share a machine.
    meeting=(--standalone)
fi
# Seconds to save a checkpoint after an interrupt. A torchrun without the option for it would refuse to start.
export TORCH_ELASTIC_SHUTDOWN_TIMEOUT="${TORCH_ELASTIC_SHUTDOWN_TIMEOUT:-120}"
exec "${PYTHON:-python}" -m torch.distributed.run "${meeting[@]}" --nproc-per-node "$2" \
    -m udass "${UDASS_COMMAND:-train}" "$1" "${@:3}" --launcher pytorch
