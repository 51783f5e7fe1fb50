# The Label Studio backend, for a CPU or for CUDA:
#   docker build --tag sam2-labelstudio .
#   docker build --tag sam2-labelstudio --build-arg DEVICE=cuda .
ARG PYTHON=3.11
FROM python:${PYTHON}-slim-bookworm

SHELL ["/bin/bash", "-o", "pipefail", "-c"]
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1 PYTHONUNBUFFERED=1

# PyTorch first: a change of the code does not download it again. Its wheels for CUDA bring the
# libraries along; of the machine, only the driver is needed (docker run --gpus all).
ARG DEVICE=cpu
RUN case "${DEVICE}" in \
      cpu) python -m pip install "torch>=2.6" --index-url https://download.pytorch.org/whl/cpu ;; \
      cuda) python -m pip install "torch>=2.6" ;; \
      *) echo "DEVICE is cpu or cuda, not ${DEVICE}" >&2; exit 1 ;; \
    esac

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY sam2_plugins sam2_plugins
# The versions are those that pyproject.toml asks for.
# hadolint ignore=DL3013
RUN python -m pip install ".[labelstudio]"

# Nobody in particular, who owns the cache: fetched files, tracked masks, weights.
RUN useradd --system --uid 1000 --home-dir /cache --no-create-home sam2 \
    && install --directory --owner sam2 --group sam2 /cache
USER 1000
WORKDIR /cache
VOLUME /cache
ENV SAM2_PLUGINS_CACHE=/cache HOST=0.0.0.0 PORT=9090

EXPOSE 9090
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import os, urllib.request as r; r.urlopen(f\"http://127.0.0.1:{os.environ['PORT']}/health\", timeout=4)"]
ENTRYPOINT ["sam2-plugins", "labelstudio", "serve"]
