from __future__ import annotations

from typing import Any

from fmload_deploy.sagemaker.jumpstart import read_document

DOCUMENT: dict[str, Any] = {
    "HostingEcrUri": "acct.dkr.ecr/lmi:1", "HostingArtifactUri": "s3://cache/llama/artifacts/",
    "HostingArtifactS3DataType": "S3Prefix", "HostingArtifactCompressionType": "None",
    "HostingEulaUri": "s3://cache/eula.txt",
    "InferenceEnvironmentVariables": [{"Name": "A", "Default": 1}, {"Name": "NONE", "Default": None}],
    "HostingInstanceTypeVariants": {"Variants": {
        "g5": {"Properties": {"EnvironmentVariables": {"TP": "4"}, "ImageUri": "acct.dkr.ecr/lmi:g5"}},
        "ml.g5.48xlarge": {"Properties": {"EnvironmentVariables": {"TP": "8"}}}}}}


def test_an_instance_types_own_properties_go_before_its_familys() -> None:
    model = read_document(DOCUMENT, "ml.g5.48xlarge", accept_eula=False)
    assert model.environment == {"A": "1", "TP": "8"} and model.image == "acct.dkr.ecr/lmi:g5"


def test_the_familys_properties_serve_where_the_type_has_none() -> None:
    assert read_document(DOCUMENT, "ml.g5.12xlarge", accept_eula=False).environment["TP"] == "4"


def test_an_unlisted_type_gets_the_defaults() -> None:
    model = read_document(DOCUMENT, "ml.p5.48xlarge", accept_eula=False)
    assert model.image == "acct.dkr.ecr/lmi:1" and model.environment == {"A": "1"}


def test_an_accepted_licence_travels_with_the_weights() -> None:
    source = read_document(DOCUMENT, "ml.g5.12xlarge", accept_eula=True).data_source
    assert source is not None
    assert source["S3DataSource"] == {"S3Uri": "s3://cache/llama/artifacts/", "S3DataType": "S3Prefix",
                                      "CompressionType": "None", "ModelAccessConfig": {"AcceptEula": True}}


def test_a_model_without_weights_of_its_own_has_no_source() -> None:
    assert read_document({"HostingEcrUri": "i"}, "ml.g5.xlarge", accept_eula=False).data_source is None
