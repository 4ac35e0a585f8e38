"""Makes data/tokenizer.json, the bundled tokenizer: `python -m fmload.prompts.train`.

Byte-level BPE, trained on sentences of `words` and on the project's own documents, so that no one else's text is in
it. Its pieces are split by PIECES, which Python's `re` and the tokenizers library read alike: that makes a cached
count by piece exact.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

from fmload.prompts import words
from fmload.prompts.tokenizer import PIECES

VOCABULARY = 6000
_DATA = Path(__file__).parent / "data"


def _texts() -> Iterator[str]:
    root = Path(__file__).resolve().parents[2]
    for path in sorted([*root.glob("*.md"), *root.glob("docs/**/*.md")]):
        yield path.read_text(encoding="utf-8")
    draw = random.Random(0)
    stream = words.stream(draw)
    for _ in range(4000):
        yield " ".join(itertools.islice(stream, 60))
    for kind in words.classes().values():
        yield from (" " + word.capitalize() for word in kind)
    yield from (f" {number}" for number in range(1000))


def main() -> None:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(PIECES), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
                                  show_progress=False)
    tokenizer.train_from_iterator(_texts(), trainer)
    (_DATA / "tokenizer.json").write_text(tokenizer.to_str(pretty=False), encoding="utf-8")


if __name__ == "__main__":
    main()
