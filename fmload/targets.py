"""The table of deploy targets. It stands here, as strings, so that the run file can name targets without `deploy`."""

from fmload.registry import Registry

TARGETS = Registry("deploy target", {
    "local": "deploy.local:Local",
    "sagemaker": "deploy.sagemaker:SageMaker",
    "ec2": "deploy.ec2:EC2",
    "eks": "deploy.eks:EKS",
    "bedrock": "deploy.bedrock:Bedrock",
})
