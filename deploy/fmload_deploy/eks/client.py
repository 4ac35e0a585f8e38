"""A client of a cluster: an EKS cluster by name, with a token made here, or any cluster of a kubeconfig."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from ssl import SSLError
from typing import TYPE_CHECKING, Any

from fmload.base.errors import FmloadError
from fmload_deploy.aws import explained
from fmload_deploy.base import Context

if TYPE_CHECKING:
    from lightkube import Client

_TOKEN_S = 60  # how long the signature of a token may be used to log in; EKS then honours it for 15 minutes


def kube_client(where: Mapping[str, Any], region: str | None, context: Context) -> Client:
    """A client for `where`: `{"cluster"}` of EKS, or `{"kubeconfig", "kube_context"}`.

    Made anew for every piece of work, because tokens end, and closed after it, by `with`: Python drops a Ctrl-C that
    comes while it closes a forgotten socket. Raises FmloadError when lightkube is not installed.
    """
    try:
        from lightkube import Client, KubeConfig
        from lightkube.core.exceptions import ConfigError
    except ImportError as error:
        raise FmloadError("Kubernetes needs lightkube", hint="pip install 'fmload[eks]'") from error
    if where.get("kubeconfig"):
        try:
            return Client(KubeConfig.from_file(where["kubeconfig"]).get(where.get("kube_context")), trust_env=False)
        except (ConfigError, OSError) as error:
            raise FmloadError(f"{where['kubeconfig']}: {error}",
                              hint="kubeconfig names it, kube_context its context") from error
    config = _eks_config(context.aws.client("eks", region), context.aws.client("sts", region), where["cluster"])
    try:
        return Client(config)
    except SSLError as error:
        raise FmloadError(f"EKS cluster '{where['cluster']}': its certificate cannot be used: {error}") from error


@contextmanager
def kube_explained(doing: str) -> Iterator[None]:
    """Turns the API server's refusals and its silence into FmloadError."""
    from httpx2 import HTTPError  # lightkube's own client
    from httpx2.websockets import HTTPXWSException
    from lightkube import ApiError
    try:
        yield
    except ApiError as error:
        raise FmloadError(f"{doing}: Kubernetes: {error.status.message}",
                          hint="docs/deploy.md and docs/fleets.md list the permissions that it needs") from error
    except (HTTPError, HTTPXWSException) as error:
        raise FmloadError(f"{doing}: the cluster does not answer: {error}") from error


def _eks_config(eks: Any, sts: Any, cluster: str) -> Any:
    from lightkube.config.kubeconfig import SingleConfig
    from lightkube.config.models import Cluster, User
    from lightkube.config.models import Context as KubeContext

    with explained(f"EKS cluster '{cluster}'"):
        found = eks.describe_cluster(name=cluster)["cluster"]
    return SingleConfig(cluster, KubeContext(cluster=cluster),
                        Cluster(server=found["endpoint"], certificate_auth_data=found["certificateAuthority"]["data"]),
                        User(token=eks_token(sts, cluster)))


def eks_token(sts: Any, cluster: str) -> str:
    """What `aws eks get-token` gives: a signed GetCallerIdentity request, in base64."""
    def name_cluster(params: dict[str, Any], context: dict[str, Any], **_: Any) -> None:
        context["cluster"] = params.pop("Cluster", None)

    def put_header(request: Any, **_: Any) -> None:
        if request.context.get("cluster"):
            request.headers["x-k8s-aws-id"] = request.context["cluster"]

    events = sts.meta.events
    events.register("provide-client-params.sts.GetCallerIdentity", name_cluster, unique_id="fmload-eks-name")
    events.register("before-sign.sts.GetCallerIdentity", put_header, unique_id="fmload-eks-header")
    url = sts.generate_presigned_url("get_caller_identity", Params={"Cluster": cluster}, ExpiresIn=_TOKEN_S,
                                     HttpMethod="GET")
    return "k8s-aws-v1." + base64.urlsafe_b64encode(url.encode()).decode().rstrip("=")
