"""A full file of a journal, packed away: the same records under the same name, in a third of the room.

`python -m fmload.results.packing FILE`, which the master starts beside itself at the lowest priority.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from fmload.base.files import aside_of
from fmload.results import frames
from fmload.results.journal import Torn, read


def pack(path: Path) -> bool:
    """Write the file anew in compressed blocks, aside, and give it its name when it is whole. False, and the file as it
    was, where something in it is damaged, or it is packed already. Raises OSError, with the file as it was."""
    with path.open("rb") as file:
        if file.read(len(frames.PACKED_HEADER)) == frames.PACKED_HEADER:
            return False
    aside = aside_of(path)
    torn: list[Torn] = []
    try:
        with aside.open("wb") as file:
            file.write(frames.PACKED_HEADER)
            file.writelines(frames.blocks(read(path, torn)))
            file.flush()
            os.fsync(file.fileno())
        if not torn:
            aside.replace(path)
        return not torn
    finally:
        aside.unlink(missing_ok=True)


def main(argv: list[str]) -> int:
    os.nice(19)
    try:
        pack(Path(argv[0]))
    except OSError as error:
        print(f"{argv[0]} stays as it is: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
