"""The table of resource kinds. `down` needs no more than this and a ledger."""

from fmload.registry import Registry

KINDS = Registry("resource kind", {
    "process": "deploy.processes:Process",
    "iam-role": "deploy.ec2_kinds:Role",
    "iam-instance-profile": "deploy.ec2_kinds:InstanceProfile",
    "ec2-security-group": "deploy.ec2_kinds:SecurityGroup",
    "ec2-instance": "deploy.ec2_kinds:Instance",
    "eks-nodegroup": "deploy.eks_kinds:NodeGroup",
    "k8s-namespace": "deploy.eks_kinds:Namespace",
    "bedrock-provisioned-throughput": "deploy.bedrock:ProvisionedThroughput",
    "s3-object": "deploy.serving_properties:S3Object",
    "sagemaker-model": "deploy.sagemaker_kinds:Model",
    "sagemaker-endpoint-config": "deploy.sagemaker_kinds:EndpointConfig",
    "sagemaker-endpoint": "deploy.sagemaker_kinds:Endpoint",
    "sagemaker-inference-component": "deploy.sagemaker_kinds:InferenceComponent",
})
