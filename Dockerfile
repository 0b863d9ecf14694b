# docker build -t udass .                                                           # runs on the CPU
# docker build -t udass --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 .   # runs on GPUs of NVIDIA
# docker run --rm -it --gpus all --ipc host -v "$PWD":/work udass train streets_quadmix
#
# PyTorch's wheels bring the CUDA libraries, so that one base image serves both; the host has the driver.
ARG BASE=python:3.11-slim
FROM ${BASE}
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

WORKDIR /opt/udass
COPY requirements.txt setup.py pyproject.toml README.md ./
COPY configs configs
COPY udass udass
# opencv-python links libGL, which a machine without a display lacks: its headless build takes its place.
RUN pip install --no-cache-dir --index-url "${TORCH_INDEX}" $(grep -E '^(torch|torchvision)==' requirements.txt) \
    && pip install --no-cache-dir --constraint requirements.txt . \
    && pip uninstall --yes opencv-python \
    && pip install --no-cache-dir --no-deps $(sed -n 's/^opencv-python==/opencv-python-headless==/p' requirements.txt) \
    && udass env

WORKDIR /work
ENTRYPOINT ["udass"]
