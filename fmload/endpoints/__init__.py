"""Endpoint protocols: prompt to request, response to chunks. One file each and one line here."""

from fmload.base.registry import Registry

ENDPOINTS = Registry("endpoint protocol", {
    "openai": "fmload.endpoints.openai:OpenAI",
    "sagemaker": "fmload.endpoints.sagemaker:SageMaker",
    "bedrock": "fmload.endpoints.bedrock:Bedrock",
})
