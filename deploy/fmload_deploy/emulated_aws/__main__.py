"""`python -m fmload_deploy.emulated_aws --ready-file F`: serves; F gets `{"url": …, "pid": …}` once it listens."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Serve on a free loopback port; returns when the process is told to end."""
    parser = argparse.ArgumentParser(prog="fmload_deploy.emulated_aws", description="An emulated AWS control plane.")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--ready-file", type=Path, required=True)
    parser.add_argument("--scenario", type=Path, help="a file of what this AWS does wrong")
    args = parser.parse_args(argv)
    os.environ.setdefault("MOTO_IAM_LOAD_MANAGED_POLICIES", "true")  # read by moto when it is imported
    from werkzeug.serving import make_server

    from fmload_deploy.emulated_aws.scenario import read
    from fmload_deploy.emulated_aws.server import application
    if args.scenario:
        read(args.scenario)
    server = make_server("127.0.0.1", args.port, application(), threaded=True)
    partial = args.ready_file.with_suffix(".partial")
    partial.write_text(json.dumps({"url": f"http://127.0.0.1:{server.server_port}", "pid": os.getpid()}))
    partial.replace(args.ready_file)
    server.serve_forever()
    return 0


if __name__ == "__main__":
    sys.exit(main())
