# A node with NVIDIA cards. CUDA comes with pip; the host needs the driver and
# the NVIDIA Container Toolkit.
#
#   docker build -t dla-keras .
#   docker run --rm --gpus all --user $(id -u):$(id -g) -v $PWD:/data dla-keras \
#     train-seg --dataset my_pictures/ --run-dir runs/x
FROM python:3.12-slim-bookworm

# Versions first: this layer is 6 GB, and outlives changes to the code.
WORKDIR /opt/dla_keras
COPY constraints.txt ./
RUN pip install --no-cache-dir --constraint constraints.txt \
    "tensorflow[and-cuda]" tensorflow-datasets ai-edge-litert tf_keras \
    tensorflow-model-optimization

COPY setup.py pyproject.toml MANIFEST.in README.md LICENSE ./
COPY dla_keras dla_keras
RUN pip install --no-cache-dir --constraint constraints.txt \
    ".[train,export,weights,gpu]"

# Any user may run it: what is written goes to the mounted folder.
WORKDIR /data
ENV HOME=/data TFDS_DATA_DIR=/data/tensorflow_datasets
ENTRYPOINT ["dla-keras"]
CMD ["--help"]
