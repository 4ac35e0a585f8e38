"""The table of deploy targets. It stands here, as strings, so that the run file can name targets without `deploy`."""

from fmload.base.registry import Registry

TARGETS = Registry("deploy target", {
    "local": "fmload_deploy.local.target:Local",
    "sagemaker": "fmload_deploy.sagemaker.target:SageMaker",
    "ec2": "fmload_deploy.ec2.target:EC2",
    "eks": "fmload_deploy.eks.target:EKS",
    "bedrock": "fmload_deploy.bedrock.target:Bedrock",
})
