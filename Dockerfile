# One image for control and media workers; mosquitto, PostgreSQL and Redis are containers of their own.
FROM python:3.11-slim-bookworm AS build
WORKDIR /src
COPY requirements.lock pyproject.toml README.md LICENSE NOTICE ./
RUN python -m venv /opt/commhub \
 && /opt/commhub/bin/pip install --no-cache-dir uv \
 && /opt/commhub/bin/uv pip install --compile-bytecode --python /opt/commhub/bin/python --require-hashes -r requirements.lock
COPY . .
# The build hook builds the console with the Node.js wheel of build-system.requires.
RUN /opt/commhub/bin/uv pip install --compile-bytecode --python /opt/commhub/bin/python --no-deps .

FROM python:3.11-slim-bookworm
# The number is known to docker-compose.yml: the broker beside the hub reads the hub's files as the same user.
RUN useradd --system --uid 10001 --user-group --home /var/lib/commhub --create-home commhub
COPY --from=build /opt/commhub /opt/commhub
ENV PATH=/opt/commhub/bin:$PATH PYTHONUNBUFFERED=1 COMMHUB_DATA_DIR=/var/lib/commhub COMMHUB_LOG_FORMAT=json
USER commhub
WORKDIR /var/lib/commhub
VOLUME /var/lib/commhub
EXPOSE 8000/tcp 5060/udp 5060/tcp 5061/tcp 20000-20204/udp
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s \
  CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/healthz', timeout=2)"
CMD ["commhub", "up"]
