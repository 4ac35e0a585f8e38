"""What SageMaker and Bedrock share: the session, the one client a process, addresses, and bearer tokens."""

from __future__ import annotations

import base64
import os
import time
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.redaction import protect
from fmload.base.version import __version__
from fmload.config.model import Strict
from fmload.config.proxies import proxy_of
from fmload.config.schema import EndpointSpec
from fmload.config.values import Region, RunPath
from fmload.wire import botocore_transport
from fmload.wire.exchange import Address
from fmload.wire.url import Way, split_url

Service = Literal["sagemaker-runtime", "bedrock-runtime", "s3"]


class AwsOptions(Strict):
    """Keys of every AWS endpoint. `url` replaces the service's own address (emulator, VPC endpoint)."""

    region: Region = Field(None, validate_default=True,
                           description="default: the run's, else AWS_REGION or the profile's region")
    profile: str | None = Field(None, description="a profile of ~/.aws; default: AWS_PROFILE or the default chain")
    ca_file: RunPath | None = Field(None, description="PEM file of the certificates to trust; default: AWS_CA_BUNDLE")
    verify_tls: bool = Field(True, description="false for tests only")


def make_session(name: str, region: str | None, profile: str | None) -> Any:
    """A boto3 session with a region. Raises FmloadError, naming the endpoint, when there is no such thing."""
    from boto3 import Session
    from botocore.exceptions import ProfileNotFound

    region = region or os.environ.get("AWS_REGION")  # botocore itself reads AWS_DEFAULT_REGION alone
    try:
        session = Session(profile_name=profile, region_name=region)
    except ProfileNotFound as error:
        raise FmloadError(f"endpoint '{name}': {error}", hint="name a profile of ~/.aws/config") from error
    if session.region_name is None:
        raise FmloadError(f"endpoint '{name}': no AWS region",
                          hint="add `region: us-east-1` to the endpoint, or set AWS_REGION")
    return session


def require_credentials(name: str, session: Any) -> Any:
    """The session's credentials, tried once. Raises FmloadError when there are none or they cannot be had."""
    from botocore.exceptions import BotoCoreError, ClientError

    hint = "set AWS_PROFILE, run `aws sso login`, or give the instance a role; 'fmload help aws'"
    try:
        credentials = session.get_credentials()
        if credentials is not None:
            credentials.get_frozen_credentials()
            return credentials
    except (BotoCoreError, ClientError) as error:
        raise FmloadError(f"endpoint '{name}': AWS credentials cannot be had: {error}", hint=hint) from error
    raise FmloadError(f"endpoint '{name}': no AWS credentials", hint=hint)


def make_client(service: Service, spec: EndpointSpec, options: AwsOptions) -> Any:
    """The endpoint's boto3 client, attached to the wire, for all greenlets of the process.

    It never retries: a second try inside a measured request would hide a failure in its latency. An emulated endpoint
    is signed for with placeholders, so that no account is needed and no real signature goes to an emulator.
    """
    client = _client(service, spec, options, spec.urls[0] if spec.urls else spec.url, {})
    if spec.headers:
        client.meta.events.register("before-sign", lambda request, **_: _set_headers(request.headers, spec.headers))
    return client


def make_s3_client(spec: EndpointSpec, options: AwsOptions, url: str | None) -> Any:
    """As `make_client`, of S3. With a `url` buckets are in the path; checksums are sent only where S3 wants them."""
    style: dict[str, Any] = {} if url is None else {"s3": {"addressing_style": "path"}}
    return _client("s3", spec, options, url, {"request_checksum_calculation": "when_required",
                                              "response_checksum_validation": "when_required", **style})


def _client(service: Service, spec: EndpointSpec, options: AwsOptions, url: str | None,
            settings: Mapping[str, Any]) -> Any:
    from botocore.config import Config

    session = make_session(spec.name, options.region, options.profile)
    config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, parameter_validation=False,
                    user_agent=f"fmload/{__version__}",  # botocore's own costs 0.1 ms a request to put together
                    **settings)
    credentials: dict[str, str] = {}
    if spec.emulated is not None:
        credentials = {"aws_access_key_id": "emulated", "aws_secret_access_key": "emulated"}
        config = config.merge(Config(signature_version="s3v4" if service == "s3" else "v4"))
    elif not _has_bearer_token(service):
        require_credentials(spec.name, session)
    client = session.client(service, endpoint_url=url, config=config, **credentials)
    botocore_transport.attach(client)
    return client


def _set_headers(headers: Any, own: Mapping[str, str]) -> None:
    for name, value in own.items():
        del headers[name]  # botocore's mapping would keep both; deleting what is absent is no error
        headers[name] = value


def _has_bearer_token(service: Service) -> bool:
    return service == "bedrock-runtime" and bool(os.environ.get("AWS_BEARER_TOKEN_BEDROCK"))


def addresses(client: Any, spec: EndpointSpec, options: AwsOptions) -> list[Address]:
    """Where to connect: the URLs of the spec, or the service's own."""
    way = way_of(spec, options)
    return [split_url(url, way)[0] for url in spec.urls or [client.meta.endpoint_url]]


def way_of(spec: EndpointSpec, options: AwsOptions) -> Way:
    """How the endpoint's service is reached: trust and proxy."""
    return Way(options.ca_file or os.environ.get("AWS_CA_BUNDLE"), options.verify_tls, proxy=proxy_of(spec))


def check_arguments(name: str, client: Any, operation: str, arguments: dict[str, Any]) -> None:
    """Let botocore's model judge the arguments of a sample request. Raises FmloadError that names the keys.

    Done once, because its messages quote the values: those of a real request would put prompts into the log.
    """
    from botocore.validate import ParamValidator

    shape = client.meta.service_model.operation_model(operation).input_shape
    report = ParamValidator().validate(arguments, shape)
    if report.has_errors():
        raise FmloadError(f"endpoint '{name}': {operation} refuses the request: {report.generate_report()}",
                          hint="correct `parameters` or the endpoint's own keys")


_HOSTS = {"sagemaker": "sagemaker.amazonaws.com", "bedrock": "bedrock.amazonaws.com"}
_REFRESH_AFTER = 0.5  # of its life; the credentials that sign it may end before it does


def bearer_token(kind: Literal["sagemaker", "bedrock"], name: str, region: str | None = None,
                 profile: str | None = None, life_s: int = 3600) -> Callable[[], str]:
    """A function that returns a token for the OpenAI path of SageMaker or Bedrock, made anew half-way through its life.

    AWS_BEARER_TOKEN_BEDROCK, where set, is Bedrock's token. `name`: the endpoint, for the FmloadError when there
    is no region or are no credentials. The token is a signed URL in base64, as AWS's own generators make it.
    """
    fixed = os.environ.get("AWS_BEARER_TOKEN_BEDROCK") if kind == "bedrock" else None
    if fixed:
        protect(fixed)
        return lambda: fixed
    session = make_session(name, region, profile)
    credentials = require_credentials(name, session)
    token, due = "", 0.0

    def current() -> str:
        nonlocal token, due
        if time.monotonic() >= due:
            token = _signed_token(kind, credentials.get_frozen_credentials(), session.region_name, life_s)
            protect(token)
            due = time.monotonic() + life_s * _REFRESH_AFTER
        return token
    return current


def _signed_token(kind: str, credentials: Any, region: str, life_s: int) -> str:
    from botocore.auth import SigV4QueryAuth
    from botocore.awsrequest import AWSRequest

    host = _HOSTS[kind]
    request = AWSRequest("POST", f"https://{host}/", headers={"host": host}, params={"Action": "CallWithBearerToken"})
    SigV4QueryAuth(credentials, kind, region, expires=life_s).add_auth(request)
    url = str(request.url).removeprefix("https://") + "&Version=1"
    return f"{kind}-api-key-" + base64.b64encode(url.encode()).decode()
