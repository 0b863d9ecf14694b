#!/usr/bin/env bash
# Trains on a SLURM cluster, one task per GPU.
#
#     GPUS=8 GPUS_PER_NODE=4 tools/slurm_train.sh PARTITION JOB_NAME CONFIG [options of udass train]
#
# CPUS_PER_TASK (default 5) and SRUN_ARGS (more options of srun) may be set, too. A job that is preempted or runs out of
# time gets SIGTERM and saves: give it time for that with SRUN_ARGS="--signal=TERM@120", and start the same command with
# --resume.
set -euo pipefail
if [ $# -lt 3 ]; then
    sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2
    exit 2
fi
tools=$(dirname "$(realpath "$0")")
export PYTHONPATH="$(dirname "$tools")${PYTHONPATH:+:$PYTHONPATH}"
gpus=${GPUS:-8}
per_node=${GPUS_PER_NODE:-$((gpus < 8 ? gpus : 8))}
# Two jobs on one machine must not meet at one port.
export MASTER_PORT=${MASTER_PORT:-$((20000 + RANDOM % 20000))}
# shellcheck disable=SC2086  # SRUN_ARGS is a list of options
exec srun --partition "$1" --job-name "$2" --gres "gpu:$per_node" --ntasks "$gpus" --ntasks-per-node "$per_node" \
    --cpus-per-task "${CPUS_PER_TASK:-5}" --kill-on-bad-exit 1 ${SRUN_ARGS:-} \
    "${PYTHON:-python}" -u -m udass train "$3" "${@:4}" --launcher slurm
