"""The table of resource kinds. `down` needs no more than this and a ledger."""

from fmload.base.registry import Registry

KINDS = Registry("resource kind", {
    "process": "fmload_deploy.local.processes:Process",
    "iam-role": "fmload_deploy.ec2.kinds:Role",
    "iam-instance-profile": "fmload_deploy.ec2.kinds:InstanceProfile",
    "ec2-security-group": "fmload_deploy.ec2.kinds:SecurityGroup",
    "ec2-instance": "fmload_deploy.ec2.kinds:Instance",
    "eks-nodegroup": "fmload_deploy.eks.kinds:NodeGroup",
    "k8s-namespace": "fmload_deploy.eks.kinds:Namespace",
    "bedrock-provisioned-throughput": "fmload_deploy.bedrock.target:ProvisionedThroughput",
    "s3-object": "fmload_deploy.sagemaker.serving_properties:S3Object",
    "sagemaker-model": "fmload_deploy.sagemaker.kinds:Model",
    "sagemaker-endpoint-config": "fmload_deploy.sagemaker.kinds:EndpointConfig",
    "sagemaker-endpoint": "fmload_deploy.sagemaker.kinds:Endpoint",
    "sagemaker-inference-component": "fmload_deploy.sagemaker.kinds:InferenceComponent",
})
