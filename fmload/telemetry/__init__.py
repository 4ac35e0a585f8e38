"""What the endpoints were doing while they were measured. One file a collector and one line here."""

from fmload.base.registry import Registry

COLLECTORS = Registry("telemetry collector", {
    "prometheus": "fmload.telemetry.prometheus:Prometheus",
    "prometheus_query": "fmload.telemetry.prometheus_query:PrometheusQuery",
    "nvidia_smi": "fmload.telemetry.nvidia_smi:NvidiaSmi",
    "neuron_monitor": "fmload.telemetry.neuron_monitor:NeuronMonitor",
    "docker": "fmload.telemetry.docker_stats:DockerStats",
    "cloudwatch": "fmload.telemetry.cloudwatch:CloudWatch",
})
