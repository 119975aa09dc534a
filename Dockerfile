# An image that runs `edgetl`; the images and the store are mounted:
#   docker build -t edgetl . && docker run --rm -v "$PWD:/work" edgetl run parts
FROM python:3.11-slim-bookworm

WORKDIR /opt/edgetl
COPY pyproject.toml hatch_build.py constraints.txt README.md LICENSE ./
COPY distributions distributions
COPY edgetl edgetl
COPY targets targets
COPY calibration calibration
RUN python -m pip install --no-cache-dir --constraint constraints.txt ./distributions/runtime ".[all]"

WORKDIR /work
ENTRYPOINT ["edgetl"]
