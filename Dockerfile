# The environment of bin/environment in a container: the same interpreter, the same pinned packages.
#   docker build --tag regime-assets .
#   docker run --publish 127.0.0.1:3000:3000 --volume regime-assets-data:/data regime-assets
# For many machines, whose roles (code server, web server, daemon, worker) are commands of one image (docs/scaling.md):
#   docker build --tag regime-assets-cluster --build-arg EXTRAS=serve,cluster .
# pip's own torch brings CUDA's libraries, 3 GB; --build-arg PIP_EXTRA_INDEX_URL=https://download.pytorch.org/whl/cpu
# takes the one without them.
FROM python:3.11-slim

# MLflow would ask for a Git revision and say at length that there is no Git here.
ENV PIP_NO_CACHE_DIR=1 \
    PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PYTHONUNBUFFERED=1 \
    GIT_PYTHON_REFRESH=quiet \
    REGIME_ASSETS_HOME=/data

WORKDIR /app

# Packages first: a change of the code does not install them again.
ARG EXTRAS=serve
ARG PIP_EXTRA_INDEX_URL=
COPY pyproject.toml setup.py README.md requirements.lock ./
# DuckDB's extensions for shared tables are built for 1.5.5.
RUN case "$EXTRAS" in *cluster*) sed -i 's/^duckdb==.*/duckdb==1.5.5/' requirements.lock ;; esac \
    && mkdir regime_assets \
    && touch regime_assets/__init__.py \
    && python -m pip install --constraint requirements.lock --editable ".[$EXTRAS]"

COPY regime_assets ./regime_assets
RUN python -m compileall -q regime_assets

# Whoever breaks out of the web server is nobody, and can write the data only.
RUN useradd --uid 10001 --create-home --shell /usr/sbin/nologin regime \
    && mkdir /data \
    && chown regime:regime /data
COPY --chown=10001 deploy ./deploy
USER 10001
VOLUME /data
EXPOSE 3000

HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "import urllib.request; urllib.request.urlopen('http://127.0.0.1:3000/server_info', timeout=4)"]

# 0.0.0.0 is the container's own interface; without it a published port reaches nothing. The Dagster web server has no
# authentication: publish the port on the host's loopback only, and open it through a proxy that authenticates, checks
# the Host header and refuses GraphQL mutations by GET.
CMD ["regime-assets", "ui", "--host", "0.0.0.0"]
