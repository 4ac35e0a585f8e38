"""Runs on the instance: looks at every copy, takes dead ones out of the balancer, and tells it all on a port.

`GET /status` answers JSON: `state` (starting, serving, failed), `reason`, `copies` (index, state, reason), `swallowed`
(requests that a copy took and never answered, by copy). `/log/<index>` is the end of a container's output, `/console`
that of the start script. Standard library only; usage: instance_watch.py CONFIG.json
"""
from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

LOOK_EVERY_S = 2.0
STRIKES = 3  # looks in a row without an answer until a copy that served counts as dead
TAIL_BYTES = 200_000


def run(*command: str) -> tuple[int, str]:
    """Exit status and output of a command."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                          check=False)
    return done.returncode, done.stdout


class Watch:
    """The copies as last seen; `told` is the answer to `/status`."""

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self.copies: list[dict[str, Any]] = [
            {"index": one["index"], "port": one["port"], "state": "starting", "reason": "", "strikes": 0}
            for one in config["copies"]]
        self.swallowed: dict[str, int] = {}
        self.told = self._status()

    def look(self) -> None:
        """Look at every copy once; whoever died is taken out, whoever came back is put in again."""
        before = [copy["state"] for copy in self.copies]
        for copy in self.copies:
            self._look_at(copy)
        if len(self.copies) > 1 and [copy["state"] for copy in self.copies] != before:
            self._balance()
        self._count_swallowed()
        known, self.told = self.told["reason"], self._status()
        if self.told["reason"] not in ("", known):
            print(f"fmload: FAILED {self.told['reason']}", flush=True)

    def _look_at(self, copy: dict[str, Any]) -> None:
        code, text = run("docker", "inspect", "--format",
                         "{{.State.Running}} {{.State.ExitCode}} {{.State.OOMKilled}}", f"fmload-{copy['index']}")
        if code != 0:  # not started yet
            return
        running, exit_code, killed = text.split()[:3]
        if running != "true":
            copy["state"] = "dead"
            copy["reason"] = f"its container exited with {exit_code}" + (
                ", killed for want of memory" if killed == "true" else "")
        elif self._answers(copy):
            copy.update(state="serving", reason="", strikes=0)
        elif copy["state"] == "serving":
            copy["strikes"] += 1
            if copy["strikes"] >= STRIKES:
                copy.update(state="dead", reason=f"{self.config['health']} has not answered {STRIKES} times in a row")

    def _answers(self, copy: dict[str, Any]) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{copy['port']}{self.config['health']}", timeout=5) as answer:
                return bool(200 <= answer.status < 300)
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def _balance(self) -> None:
        """Mark whoever does not serve in nginx's file, and have nginx read it; requests under way are not disturbed."""
        path = Path(self.config["nginx"])
        if not path.exists():
            return
        down = {copy["port"] for copy in self.copies if copy["state"] != "serving"}
        lines = []
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] == ["server"] and words[1].startswith("127.0.0.1:"):
                port = int(words[1].rstrip(";").rpartition(":")[2])
                line = line.replace(" down;", ";")
                line = line.replace(";", " down;") if port in down and len(down) < len(self.copies) else line
            lines.append(line)
        path.write_text("\n".join(lines) + "\n")
        run("docker", "exec", "fmload-balancer", "nginx", "-s", "reload")

    def _count_swallowed(self) -> None:
        if len(self.copies) < 2:
            return
        ports = {f"127.0.0.1:{copy['port']}": str(copy["index"]) for copy in self.copies}
        counts: dict[str, int] = {}
        for line in run("docker", "logs", "fmload-balancer")[1].splitlines():
            if line.startswith("swallowed "):
                address = line.removeprefix("swallowed ").rpartition(" ")[0].split(",")[-1].strip()
                index = ports.get(address, "none left")
                counts[index] = counts.get(index, 0) + 1
        self.swallowed = counts

    def _status(self) -> dict[str, Any]:
        told = Path(self.config["state"])
        failed = told.read_text().strip() if told.exists() else ""
        dead = [copy for copy in self.copies if copy["state"] == "dead"]
        state = "serving" if all(copy["state"] == "serving" for copy in self.copies) else "starting"
        if failed or dead:
            state = "failed"
        reason = failed or "; ".join(f"copy {copy['index']}: {copy['reason']}" for copy in dead)
        return {"state": state, "reason": reason, "swallowed": self.swallowed,
                "copies": [{key: copy[key] for key in ("index", "state", "reason")} for copy in self.copies]}


def handler(watch: Watch) -> type[BaseHTTPRequestHandler]:
    """What answers for a watch."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/status":
                self._answer(json.dumps(watch.told), "application/json")
            elif self.path.startswith("/log/") and self.path[5:].isdigit():
                self._answer(run("docker", "logs", "--tail", "2000", f"fmload-{self.path[5:]}")[1], "text/plain")
            elif self.path == "/console":
                self._answer(Path(watch.config["console"]).read_text(errors="replace"), "text/plain")
            else:
                self.send_error(404)

        def _answer(self, text: str, kind: str) -> None:
            data = text.encode()[-TAIL_BYTES:]
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


def main(path: str) -> None:
    """Watch for ever."""
    watch = Watch(json.loads(Path(path).read_text()))
    server = ThreadingHTTPServer((watch.config.get("bind", "0.0.0.0"), watch.config["status_port"]), handler(watch))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while True:
        watch.look()
        time.sleep(LOOK_EVERY_S)


if __name__ == "__main__":
    main(sys.argv[1])
