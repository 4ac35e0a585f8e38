# The load generator: Locust master or worker, and the fmload command. Build: docker build -t fmload .
# Workers only, without pandas, matplotlib and transformers: docker build --target worker -t fmload-worker .
FROM python:3.12-slim AS base
RUN useradd --create-home fmload
WORKDIR /opt/fmload
COPY pyproject.toml hatch_build.py constraints.txt requirements-worker.txt README.md LICENSE ./
COPY fmload fmload
COPY deploy deploy
COPY analysis analysis
COPY configs configs
COPY locustfiles locustfiles

FROM base AS worker
RUN pip install --no-cache-dir --constraint constraints.txt --requirement requirements-worker.txt \
 && pip install --no-cache-dir --no-deps .
USER fmload
WORKDIR /home/fmload
ENTRYPOINT ["locust", "-f", "/opt/fmload/locustfiles/openai.py", "--worker"]

FROM base
RUN pip install --no-cache-dir --constraint constraints.txt .
USER fmload
WORKDIR /home/fmload
# 5557: master and workers; 8089: Locust's web UI
EXPOSE 5557 8089
ENTRYPOINT ["fmload"]
CMD ["--help"]
