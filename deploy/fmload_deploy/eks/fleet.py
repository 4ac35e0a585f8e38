"""Fleet target `kubernetes`: one Job whose pod 0 is the master, on any cluster; Kueue admits it whole or not at all."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.base.units import format_duration
from fmload.config.model import Strict
from fmload_deploy import owner
from fmload_deploy.base import Context, Plan
from fmload_deploy.create import ensure
from fmload_deploy.eks.client import kube_client, kube_explained
from fmload_deploy.eks.manifests import manifests
from fmload_deploy.eks.pods import look_at_pods
from fmload_deploy.fleet.base import Fleet
from fmload_deploy.fleet.host import Config
from fmload_deploy.fleet.mailbox import RUN
from fmload_deploy.names import name_for
from fmload_deploy.resource import Resource
from fmload_deploy.wait import wait_for

PORT = 5557
HOME, MAILBOX = "/home/fmload/fleet", "/home/fmload/mailbox"
LABEL, INDEX = "fmload/fleet", "batch.kubernetes.io/job-completion-index"
_LIMIT_S, _TRANSFER_LIMIT_S = 30.0, 3600.0
_GONE_LIMIT_S = 600.0
_NOT_FOUND = 404


class Options(Strict):
    """Flags of `--target kubernetes`."""

    image: str = Field(description="what the pods run: the image that the Dockerfile builds, in a registry of yours")
    kubeconfig: str | None = Field(None, description="default: KUBECONFIG, or ~/.kube/config")
    kube_context: str | None = Field(None, description="context of the kubeconfig; default: its current one")
    cluster: str | None = Field(None, description="in place of a kubeconfig: the name of an EKS cluster")
    namespace: str = Field("default", description="namespace of the pods, which must be there")
    queue: str | None = Field(None, description="Kueue's LocalQueue of that namespace; the pods wait for its quota")
    service_account: str | None = Field(None, description="of the pods, for AWS endpoints by its role")
    node_type: str | None = Field(None, description="run on nodes of this instance type alone")
    memory: str = Field("2Gi", description="of each pod; it has one core")
    hourly: float | None = Field(None, ge=0, description="USD an hour of one pod; else the price is n/a")


class Kubernetes:
    """A Job, a headless Service for the master's name and a Secret with the variables; both go with the Job."""

    Options = Options
    look_every_s = 2.0

    def __init__(self, fleet: Fleet, context: Context) -> None:
        self.fleet, self.context = fleet, context
        self.options = Options.model_validate(fleet.options)
        self.name = name_for(context.run_id, fleet.name, 50)
        self.namespace = self.options.namespace
        self.labels = {"app.kubernetes.io/managed-by": "fmload", LABEL: self.name}

    def plan(self) -> Plan:
        notes = (f"one Job of {self._pods} pods with one core each, the first of them the master",
                 f"image {self.options.image}; namespace {self.namespace}",
                 *((f"Kueue admits all of it or nothing: queue {self.options.queue}",) if self.options.queue else ()),
                 "run, status and results go through the API server (pods/exec)",
                 f"the pods end after {format_duration(self.fleet.lease_s)} at the latest; ten minutes later the "
                 "objects are gone, and results that nobody fetched with them",
                 *(() if self.options.hourly is not None else ("the price of the nodes is not known: --hourly",)))
        return Plan(self.fleet.name, "kubernetes", tuple(self._resources()), 60.0, notes=notes)

    def up(self, run: Path, secrets: Mapping[str, str]) -> None:
        job, secret, service = self._resources()
        made = ensure(self.context, self.fleet.name, job, lambda: self._apply("Job", suspended=True))
        told = {"secrets": dict(secrets), "uid": made.detail["uid"]}
        ensure(self.context, self.fleet.name, secret, lambda: self._apply("Secret", **told))
        ensure(self.context, self.fleet.name, service, lambda: self._apply("Service", **told))
        if self.options.queue is None:  # Kueue starts what it has room for
            self._apply("Job", suspended=False)
        mailbox = self.mailbox()
        wait_for(f"fleet {self.fleet.name}: the master's pod", self._master_runs, self.context,
                 self.fleet.start_timeout_s, self.look_every_s,
                 hint=f"kubectl -n {self.namespace} describe pods -l {LABEL}={self.name}")
        mailbox.send(RUN, run)

    def mailbox(self) -> PodFolder:
        return PodFolder(self._client, self.namespace, f"{LABEL}={self.name}", self.labels)

    def running(self) -> tuple[int, int]:
        with kube_explained(f"fleet {self.fleet.name}"), self._client() as client:
            pods = list(client.list(_kind("Pod"), namespace=self.namespace, labels=self._selector()))
        return sum(pod.status is not None and pod.status.phase == "Running" for pod in pods), self._pods

    def look(self) -> None:
        with kube_explained(f"fleet {self.fleet.name}"), self._client() as client:
            look_at_pods(client, self.namespace, self._selector())

    @property
    def _pods(self) -> int:
        return self.fleet.workers + 1

    def _selector(self) -> dict[str, str]:
        return {LABEL: self.name}

    def _where(self) -> dict[str, str]:
        if self.options.cluster:
            return {"cluster": self.options.cluster}
        named = self.options.kubeconfig or os.environ.get("KUBECONFIG", "").partition(os.pathsep)[0]
        file = named or Path.home() / ".kube" / "config"
        chosen = {"kube_context": self.options.kube_context} if self.options.kube_context else {}
        return {"kubeconfig": str(Path(file).absolute()), **chosen}

    def _resources(self) -> list[Resource]:
        detail = {**self._where(), "namespace": self.namespace}
        hourly = None if self.options.hourly is None else self.options.hourly * self._pods
        return [Resource("k8s-job", self.name, self.fleet.region, hourly, detail),
                Resource("k8s-secret", self.name, self.fleet.region, 0.0, detail),
                Resource("k8s-service", self.name, self.fleet.region, 0.0, detail)]

    def _client(self) -> Any:
        return kube_client(self._where(), self.fleet.region, self.context)

    def _master_runs(self) -> bool | None:
        self.look()
        return True if self.mailbox().pod() is not None else None

    def _apply(self, kind: str, suspended: bool = False, secrets: Mapping[str, str] | None = None,
               uid: str = "") -> dict[str, str]:
        """Server-side apply of one object; its uid."""
        from lightkube import codecs
        made = next(one for one in self._manifests(suspended, secrets or {}, uid) if one["kind"] == kind)
        with kube_explained(f"fleet {self.fleet.name}: {kind}"), self._client() as client:
            answer = client.apply(codecs.from_dict(made), field_manager="fmload", force=True)
        return {"uid": str(answer.metadata.uid)}

    def _manifests(self, suspended: bool, secrets: Mapping[str, str], uid: str) -> list[dict[str, Any]]:
        master = f"{self.name}-0.{self.name}"
        config = Config(HOME, MAILBOX, PORT, 0, master, self.fleet.workers, waits=True)
        return manifests(
            "fleet-jobs.yml.j2", name=self.name, namespace=self.namespace, run_id=self.context.run_id, pods=self._pods,
            labels=", ".join(f"{key}: {value}" for key, value in self.labels.items()), queue=self.options.queue,
            owner=re.sub(r"[^\w .:/=+@-]", "_", owner.login()), lease_s=int(self.fleet.lease_s), suspended=suspended,
            service_account=self.options.service_account, node_type=self.options.node_type, port=PORT,
            image=self.options.image, memory=self.options.memory, secrets=dict(secrets), uid=uid,
            master=config.text(), worker=Config(HOME, MAILBOX, PORT, 1, master).text())


class PodFolder:
    """A mailbox in the master's pod, reached as `kubectl cp` does it: by commands through the API server."""

    def __init__(self, client: Any, namespace: str, said: str, labels: Mapping[str, str]) -> None:
        self._client, self._namespace, self._said, self._labels = client, namespace, said, labels

    def pod(self) -> str | None:
        """The name of the master's pod while it runs."""
        with kube_explained(f"the master's pod ({self._said})"), self._client() as client:
            found = client.list(_kind("Pod"), namespace=self._namespace,
                                labels={LABEL: self._labels[LABEL], INDEX: "0"})
            return next((str(pod.metadata.name) for pod in found if pod.status and pod.status.phase == "Running"), None)

    def send(self, name: str, path: Path) -> None:
        with path.open("rb") as file:
            self._put(name, file)

    def write(self, name: str, text: str) -> None:
        self._put(name, text)

    def read(self, name: str) -> str | None:
        pod = self.pod()
        if pod is None:
            return None
        done = self._run(pod, ["cat", f"{MAILBOX}/{name}"], _LIMIT_S, stdout=True, stderr=True)
        return str(done.stdout) if done.exit_code == 0 else None

    def fetch(self, name: str, path: Path) -> bool:
        pod = self.pod()
        if pod is None:
            return False
        with path.open("wb") as file:
            done = self._run(pod, ["cat", f"{MAILBOX}/{name}"], _TRANSFER_LIMIT_S, stdout=file, stderr=True)
        if done.exit_code != 0:
            path.unlink()
        return bool(done.exit_code == 0)

    def _put(self, name: str, content: Any) -> None:
        pod = self.pod()
        if pod is None:
            raise FmloadError(f"the master's pod does not run ({self._said})")
        done = self._run(pod, ["sh", "-c", f'mkdir -p {MAILBOX} && cat > "{MAILBOX}/.$0" && mv "{MAILBOX}/.$0" '
                               f'"{MAILBOX}/$0"', name], _TRANSFER_LIMIT_S, stdin=content, stdout=True, stderr=True)
        if done.exit_code != 0:
            raise FmloadError(f"{name} could not be put into pod {pod}: {done.stderr}")

    def _run(self, pod: str, command: list[str], limit_s: float, **streams: Any) -> Any:
        with kube_explained(f"pod {pod}: {command[0]}"), self._client() as client:
            return client.exec(pod, namespace=self._namespace, container="host", command=command, timeout=limit_s,
                               **streams)


class Object:
    """An object of a namespace; deleting it waits until what belongs to it, pods above all, is gone."""

    kind: ClassVar[str]

    def find(self, resource: Resource, context: Context) -> Mapping[str, Any] | None:
        found = self._call("get", resource, context)
        return None if found is None else {"uid": str(found.metadata.uid)}

    def delete(self, resource: Resource, context: Context) -> None:
        from lightkube.types import CascadeType
        self._call("delete", resource, context, cascade=CascadeType.FOREGROUND)
        wait_for(f"{resource} to go", lambda: True if self.find(resource, context) is None else None, context,
                 _GONE_LIMIT_S, 0.5, hint=f"kubectl -n {resource.detail['namespace']} delete {self.kind.lower()} "
                                          f"{resource.name}")

    def _call(self, verb: str, resource: Resource, context: Context, **options: Any) -> Any:
        """What the call answers; None where there is no such object."""
        from lightkube import ApiError
        with kube_explained(f"{verb} {resource}"), kube_client(resource.detail, resource.region, context) as client:
            try:
                answer = getattr(client, verb)(
                    _kind(self.kind), resource.name, namespace=resource.detail["namespace"], **options)
            except ApiError as error:
                if error.status.code == _NOT_FOUND:
                    return None
                raise
        return answer


class Job(Object):
    """Its pods are the hosts."""

    kind = "Job"


class Secret(Object):
    """What the hosts may know and nobody else."""

    kind = "Secret"


class Service(Object):
    """The name by which workers find their master."""

    kind = "Service"


def _kind(name: str) -> Any:
    from lightkube.resources import batch_v1, core_v1
    return getattr(batch_v1 if name == "Job" else core_v1, name)
