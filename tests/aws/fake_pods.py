"""Jobs and pods for fake_kube: pods of an Indexed Job are processes of this host, with what their containers are told.

A pod's paths (`/home/fmload/…`) lie in a folder of its own, the master's host name and port are this host's, and
`exec` runs its command here, by the WebSocket protocol v5.channel.k8s.io. An image whose name contains `missing` cannot
be pulled. A Job that is deleted without a propagation policy leaves its pods running, as the real API does.
"""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from wsproto import ConnectionType, WSConnection
from wsproto.events import AcceptConnection, BytesMessage, CloseConnection, Request

Object = dict[str, Any]
INDEX = "batch.kubernetes.io/job-completion-index"
HOME = "/home/fmload"


def job_problems(job: Object) -> list[str]:
    """What the API server's own validation refuses beyond the schema (pkg/apis/batch/validation)."""
    spec, problems = job["spec"], []
    indexed = spec.get("completionMode") == "Indexed"
    template = spec["template"]["spec"]
    if template.get("restartPolicy") not in ("OnFailure", "Never"):
        problems.append("spec.template.spec.restartPolicy: OnFailure or Never")
    if "backoffLimitPerIndex" in spec and (not indexed or template["restartPolicy"] != "Never"):
        problems.append("spec.backoffLimitPerIndex: needs Indexed and restartPolicy: Never")
    if spec.get("maxFailedIndexes", 0) > spec.get("completions", 0) or (
            "maxFailedIndexes" in spec and "backoffLimitPerIndex" not in spec):
        problems.append("spec.maxFailedIndexes: at most completions, and with backoffLimitPerIndex")
    if len(f"{job['metadata']['name']}-{spec.get('completions', 1) - 1}") > 63:
        problems.append("metadata.name: will not be able to create pod with invalid DNS label")
    return problems


class Pod:
    """One pod; its process runs until it ends, or the pod is deleted."""

    def __init__(self, job: Object, index: int, secret: Object, port: int) -> None:
        template = job["spec"]["template"]
        self.index, self.name = index, f"{job['metadata']['name']}-{index}-x7k2p"
        self.labels = {**template["metadata"]["labels"], INDEX: str(index)}
        self.folder = Path(tempfile.mkdtemp(prefix="fake-pod-"))
        container = template["spec"]["containers"][0]
        command = [sys.executable, *container["command"][1:4], *map(self._here(port), container["command"][4:])]
        environment = {name: value for name, value in os.environ.items() if not name.endswith(("_KEY", "_TOKEN"))}
        self.process = subprocess.Popen(
            command, env={**environment, **secret["stringData"], "JOB_COMPLETION_INDEX": str(index)},
            stdout=(self.folder / "log").open("wb"), stderr=subprocess.STDOUT)

    def _here(self, port: int) -> Any:
        def config(text: str) -> str:
            told = json.loads(text)
            return json.dumps({**told, "home": str(self.folder / "fleet"), "mailbox": str(self.folder / "mailbox"),
                               "master": "127.0.0.1", "port": port})
        return config

    def shown(self) -> Object:
        code = self.process.poll()
        phase = "Running" if code is None else "Failed" if code else "Succeeded"
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": self.name, "labels": self.labels},
                "spec": {"containers": []}, "status": {"phase": phase}}

    def end(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()


class Jobs:
    """The Jobs' controller: starts pods of what is not suspended, once its Secret is there."""

    def __init__(self) -> None:
        self.pods: dict[tuple[str, str], list[Pod]] = {}
        self.deadlines: dict[tuple[str, str], float] = {}

    def reconcile(self, namespace: str, job: Object, secrets: dict[str, Object]) -> None:
        key, wanted = (namespace, job["metadata"]["name"]), job["spec"]["template"]["spec"]["containers"][0]
        secret = secrets.get(wanted["envFrom"][0]["secretRef"]["name"])
        if key in self.pods or job["spec"].get("suspend") or secret is None or "missing" in wanted["image"]:
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.pods[key] = [Pod(job, index, secret, port) for index in range(job["spec"]["completions"])]
        self.deadlines[key] = time.monotonic() + job["spec"]["activeDeadlineSeconds"]

    def delete(self, namespace: str, name: str, policy: str | None) -> None:
        if policy in ("Foreground", "Background"):
            for pod in self.pods.pop((namespace, name), []):
                pod.end()

    def shown(self, namespace: str, job: Object | None = None) -> list[Object]:
        if job is not None and "missing" in job["spec"]["template"]["spec"]["containers"][0]["image"]:
            return [{"apiVersion": "v1", "kind": "Pod", "spec": {"containers": []},
                     "metadata": {"name": "host-0", "labels": job["spec"]["template"]["metadata"]["labels"]},
                     "status": {"phase": "Pending", "containerStatuses": [
                         {"name": "host", "ready": False, "restartCount": 0, "image": "i", "imageID": "",
                          "state": {"waiting": {"reason": "ImagePullBackOff", "message": "not found"}}}]}}]
        return [pod.shown() for (where, _), pods in self.pods.items() if where == namespace for pod in pods]

    def named(self, name: str) -> Pod | None:
        return next((pod for pods in self.pods.values() for pod in pods if pod.name == name), None)


def execute(sock: socket.socket, request: bytes, pod: Pod, command: list[str]) -> None:
    """Answer a WebSocket upgrade: run the command in the pod's folder, streams on channels, status on channel 3."""
    connection = WSConnection(ConnectionType.SERVER)
    connection.receive_data(request)
    assert isinstance(next(connection.events()), Request)
    sock.sendall(connection.send(AcceptConnection(subprotocol="v5.channel.k8s.io")))
    here = [re.sub(re.escape(HOME), str(pod.folder), part) for part in command]
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as said:
        if command[0] == "sh":  # its standard input comes first
            for message in _messages(sock, connection):
                if message[:2] == b"\xff\x00":
                    break
                given.write(message[1:])
            given.seek(0)
        done = subprocess.run(here, stdin=given, stdout=said, stderr=subprocess.PIPE, check=False)
        said.seek(0)
        while part := said.read(1 << 15):  # as kubelets do; clients refuse messages of 64 KiB
            sock.sendall(connection.send(BytesMessage(b"\x01" + part)))
    if done.stderr:
        sock.sendall(connection.send(BytesMessage(b"\x02" + done.stderr)))
    status = {"status": "Success"} if done.returncode == 0 else {
        "status": "Failure", "reason": "NonZeroExitCode", "message": "command terminated",
        "details": {"causes": [{"reason": "ExitCode", "message": str(done.returncode)}]}}
    sock.sendall(connection.send(BytesMessage(b"\x03" + json.dumps({"metadata": {}, **status}).encode())))
    sock.sendall(connection.send(CloseConnection(1000)))


def _messages(sock: socket.socket, connection: WSConnection) -> Any:
    whole = b""
    while data := sock.recv(1 << 16):
        connection.receive_data(data)
        for event in connection.events():
            if isinstance(event, BytesMessage):
                whole += bytes(event.data)
                if event.message_finished:
                    yield whole
                    whole = b""
