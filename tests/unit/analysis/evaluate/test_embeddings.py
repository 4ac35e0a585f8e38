"""Cosine similarity by a model on this machine: a real model2vec model of six words, made here."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from model2vec import StaticModel
from pydantic import ValidationError
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace

from fmload.base.errors import FmloadError
from fmload_analysis.evaluate.embedding_models import local_model
from fmload_analysis.evaluate.embeddings import Embeddings, EmbeddingSpec
from fmload_analysis.evaluate.panel import load_judges

WORDS = {"[UNK]": (0, 0), "paris": (1, 0), "lutetia": (1, 0), "berlin": (0, 1), "near": (3, 4)}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = Whitespace()
    StaticModel(np.array(list(WORDS.values()), dtype=np.float32), tokenizer).save_pretrained(tmp_path / "words")
    return tmp_path / "words"


def test_a_local_models_vectors_give_the_cosine(model: Path) -> None:
    embeddings = Embeddings(local_model(EmbeddingSpec(model=str(model))))
    embeddings.fetch(["paris", "lutetia", "berlin", "near", "unheard", " "])
    assert embeddings.cosine("paris", "lutetia") == pytest.approx(1.0)
    assert embeddings.cosine("paris", "berlin") == pytest.approx(0.0)
    assert embeddings.cosine("near", "paris") == pytest.approx(0.6, abs=1e-6)
    assert embeddings.cosine("unheard", "paris") == 0.0  # no word of it is known
    assert embeddings.cosine(" ", "paris") == 0.0
    embeddings.fetch([" "])  # nothing to embed


def test_a_folder_without_a_model_is_told_with_its_remedy(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match=f"model2vec cannot load '{tmp_path}'") as told:
        local_model(EmbeddingSpec(model=str(tmp_path)))
    assert "`library`" in str(told.value.hint)


@pytest.mark.parametrize(("library", "extra"), [("model2vec", "embeddings"),
                                                ("sentence-transformers", "sentence-transformers")])
def test_a_library_that_is_not_installed_is_named_with_its_extra(library: str, extra: str,
                                                                 monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, library.replace("-", "_"), None)
    spec = EmbeddingSpec.model_validate({"model": "m", "library": library})
    with pytest.raises(FmloadError, match=f"{library} is not installed") as told:
        local_model(spec)
    assert f"fmload[{extra}]" in str(told.value.hint)


def test_a_models_folder_is_found_beside_the_judges_file_and_called_by_its_name(model: Path) -> None:
    path = model.parent / "judges.yml"
    path.write_text("embedding: {model: words}\n")
    spec = load_judges(path).embedding
    assert spec is not None and (spec.model, spec.label) == (str(model), "words")
    path.write_text("embedding: {model: org/other}\n")
    other = load_judges(path).embedding
    assert other is not None and (other.model, other.label) == ("org/other", "org/other")


def test_what_is_for_a_server_and_what_for_a_model_here_do_not_mix() -> None:
    with pytest.raises(ValidationError, match="leave it out, or the url"):
        EmbeddingSpec.model_validate({"url": "http://h/v1", "model": "m", "library": "model2vec"})
    with pytest.raises(ValidationError, match="there is no url"):
        EmbeddingSpec.model_validate({"model": "m", "api_key_env": "KEY"})
