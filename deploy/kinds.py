"""The table of resource kinds. `down` needs no more than this and a ledger."""

from fmload.registry import Registry

KINDS = Registry("resource kind", {
    "process": "deploy.processes:Process",
    "s3-object": "deploy.serving_properties:S3Object",
    "sagemaker-model": "deploy.sagemaker_kinds:Model",
    "sagemaker-endpoint-config": "deploy.sagemaker_kinds:EndpointConfig",
    "sagemaker-endpoint": "deploy.sagemaker_kinds:Endpoint",
    "sagemaker-inference-component": "deploy.sagemaker_kinds:InferenceComponent",
})
