# The load generator: Locust master or worker, and the fmload command. Build: docker build -t fmload .
FROM python:3.12-slim
RUN useradd --create-home fmload
WORKDIR /opt/fmload
COPY pyproject.toml constraints.txt README.md ./
COPY fmload fmload
COPY deploy deploy
COPY analysis analysis
COPY configs configs
COPY locustfiles locustfiles
RUN pip install --no-cache-dir --constraint constraints.txt .
USER fmload
WORKDIR /home/fmload
# 5557: master and workers; 8089: Locust's web UI
EXPOSE 5557 8089
ENTRYPOINT ["fmload"]
CMD ["--help"]
