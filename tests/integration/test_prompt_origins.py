"""Prompts and tokenizers from elsewhere: S3, the Hugging Face Hub (a stand-in on this host), tokenizer folders; and
the same prompts from several processes as from one."""

from __future__ import annotations

import io
import json
import os
import subprocess
import threading
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import pytest

from fmload.base.errors import Faults, FmloadError
from fmload.config.schema import PromptSpec
from fmload.model.prompt import Prompt
from fmload.plugins import SOURCES
from fmload.prompts import files, read, selection
from fmload.prompts.invented import Invented, Item
from fmload.prompts.tokenizer import Tokenizer
from tests import forking

ROWS = "".join(json.dumps({"prompt": f"question {number} of the set"}) + "\n" for number in range(6))


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    for name, value in {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.get_host_and_port()[1]}",
                        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE", "AWS_SECRET_ACCESS_KEY": "x",
                        "AWS_DEFAULT_REGION": "us-east-1", "AWS_CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    client = boto3.client("s3")
    client.create_bucket(Bucket="sets")
    yield client
    server.stop()
    boto3.DEFAULT_SESSION = None


def test_s3_patterns_bring_their_objects_and_a_changed_object_is_brought_anew(s3: Any) -> None:
    for key in ("qa/one.jsonl", "qa/two.jsonl", "qa/notes.txt"):
        s3.put_object(Bucket="sets", Key=key, Body=ROWS)
    found = files.find(["s3://sets/qa/*.jsonl"])
    assert [file.name for file in found] == ["s3://sets/qa/one.jsonl", "s3://sets/qa/two.jsonl"]
    assert len(list(files.rows(found, Faults()))) == 12
    before = files.fingerprint(files.find(["s3://sets/qa/one.jsonl"]))
    s3.put_object(Bucket="sets", Key="qa/one.jsonl", Body=ROWS + '{"prompt": "new"}\n')
    again = files.find(["s3://sets/qa/one.jsonl"])
    assert len(list(files.rows(again, Faults()))) == 7
    assert files.fingerprint(again) != before


@pytest.mark.parametrize(("address", "remedy"), [
    ("s3://sets/nothing.jsonl", "aws s3 ls s3://sets/nothing.jsonl"), ("s3://no-such-bucket/a.jsonl", "credentials"),
    ("s3://sets/qa/", "s3://sets/qa/*.jsonl"), ("s3://sets", "s3://sets/*.jsonl")])
def test_s3_addresses_that_find_nothing_are_named_with_the_remedy(s3: Any, address: str, remedy: str) -> None:
    s3.put_object(Bucket="sets", Key="qa/one.jsonl", Body=ROWS)
    with pytest.raises(FmloadError, match=address) as raised:
        files.find([address])
    assert remedy in (raised.value.hint or "")


def test_what_marks_a_folder_in_s3_is_no_file(s3: Any) -> None:
    for key in ("marked/", "marked/one.jsonl"):
        s3.put_object(Bucket="sets", Key=key, Body=ROWS if key.endswith("l") else "")
    assert [file.name for file in files.find(["s3://sets/marked/*"])] == ["s3://sets/marked/one.jsonl"]


class _Hub(BaseHTTPRequestHandler):
    """One file of one data set, served as the Hub serves it."""

    protocol_version = "HTTP/1.1"
    path_served = "/datasets/some/set/resolve/main/data.zip"
    content = b""

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(self.content)

    def _answer(self, body: bytes) -> None:
        known = self.path.split("?")[0] in (self.path_served, self.path_served.replace("main", "0" * 40))
        self.send_response(200 if known else 404)
        if known:
            self.send_header("ETag", '"0123456789abcdef"')
            self.send_header("X-Repo-Commit", "0" * 40)
        else:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(self.content) if known else 0))
        self.end_headers()
        self.wfile.write(body if known else b"")

    def log_message(self, format: str, *args: object) -> None:
        return


Serve = Callable[[type[BaseHTTPRequestHandler]], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    servers: list[ThreadingHTTPServer] = []

    def start(handler: type[BaseHTTPRequestHandler]) -> str:
        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def fmload(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return forking.run(arguments, environment={**os.environ, **environment})


@pytest.mark.parametrize(("name", "code", "said"), [
    ("data.zip!qa.jsonl", 0, "6 prompts"), ("data.zip!other.jsonl", 2, "data.zip"),
    ("nothing.jsonl", 2, "nothing.jsonl")])
def test_a_file_of_a_hub_set_becomes_prompts(tmp_path: Path, serve: Serve, name: str, code: int, said: str) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as writer:
        writer.writestr("qa.jsonl", ROWS)
    _Hub.content = archive.getvalue()
    run_file = tmp_path / "run.yml"
    run_file.write_text(json.dumps({
        "name": "hub", "endpoints": [{"name": "one", "protocol": "openai", "url": "http://h/v1"}],
        "prompts": [{"name": "qa", "source": "jsonl", "files": [f"hf:some/set/{name}"]}],
        "load": {"concurrency": [1]}}))
    done = fmload("prompts", str(run_file), "--out", str(tmp_path / "out"), HF_ENDPOINT=serve(_Hub),
                  HF_HOME=str(tmp_path / "hf"), HF_HUB_DISABLE_XET="1", HF_HUB_DISABLE_TELEMETRY="1")
    assert done.returncode == code, done.stderr
    assert said in (done.stdout if code == 0 else done.stderr)
    assert "Traceback" not in done.stderr
    if code == 0:
        assert len(read(tmp_path / "out" / "qa.jsonl")) == 6


def make_tokenizer(folder: Path, chat_template: str | None, words: tuple[str, ...] = ()) -> str:
    """A word-level tokenizer with a beginning-of-sequence mark, saved as Hugging Face saves them."""
    from tokenizers import Tokenizer as Raw
    from tokenizers import models, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    known = ["[UNK]", "<s>", "user", ":", "assistant", "hello", "there", *words]
    raw = Raw(models.WordLevel({word: index for index, word in enumerate(known)}, unk_token="[UNK]"))
    raw.pre_tokenizer = pre_tokenizers.Whitespace()
    raw.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(tokenizer_object=raw, unk_token="[UNK]", bos_token="<s>")
    fast.chat_template = chat_template
    fast.save_pretrained(folder)
    return str(folder)


TEMPLATE = ("{% for message in messages %}{{ message['role'] }} : {{ message['content'] }} {% endfor %}"
            "{% if add_generation_prompt %}assistant :{% endif %}")


def test_a_folders_tokenizer_counts_text_without_its_marks_and_chats_by_its_template(tmp_path: Path) -> None:
    with_template = Tokenizer.load(make_tokenizer(tmp_path / "a", TEMPLATE))
    assert with_template.count("hello there") == 2
    messages = [{"role": "user", "content": "hello there"}]
    assert with_template.chat_count(messages) == len(["user", ":", "hello", "there", "assistant", ":"])
    without = Tokenizer.load(make_tokenizer(tmp_path / "b", None))
    assert without.chat_count(messages) == 2 + 4 + 3


def test_identities_tell_vocabularies_and_templates_apart(tmp_path: Path) -> None:
    folders = [make_tokenizer(tmp_path / "a", TEMPLATE), make_tokenizer(tmp_path / "b", TEMPLATE),
               make_tokenizer(tmp_path / "c", None), make_tokenizer(tmp_path / "d", TEMPLATE, ("more",))]
    one, same, template, vocabulary = (Tokenizer.load(folder).identity for folder in folders)
    assert one == same
    assert len({one, template, vocabulary}) == 3


def test_exact_lengths_hold_under_a_folders_tokenizer_and_template(tmp_path: Path) -> None:
    tokenizer = Tokenizer.load(make_tokenizer(tmp_path / "a", TEMPLATE))
    for prompt in made("synthetic", tokenizer, 10, input_tokens={"min": 20, "max": 60}, count_template=True):
        assert tokenizer.chat_count(prompt.as_messages()) == prompt.input_tokens


def test_a_folder_without_a_tokenizer_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FmloadError, match="cannot be loaded") as raised:
        Tokenizer.load(str(tmp_path))
    assert "bundled" in str(raised.value.hint)


def made(source: str, tokenizer: Tokenizer, count: int, **options: Any) -> list[Prompt]:
    spec = PromptSpec.model_validate({"name": "set", "source": source, **options})
    return selection.make_set(spec, SOURCES.load(source).from_spec(spec), tokenizer, "1", count, lambda *news: None)


class OneTooMany(Invented):
    """A source whose seventy-first prompt cannot be made."""

    def make(self, item: Item, tokenizer: Tokenizer, head: str) -> list[Prompt]:
        if item[1] == 70:
            raise FmloadError("the seventy-first cannot be made", hint="ask for fewer")
        return [Prompt(id="", prompt_set=self.name, text=f"prompt {item[1]}")]


def test_an_error_in_another_process_is_the_same_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "_POOL_PAYS_S", 0.0)
    monkeypatch.setattr(selection, "usable_cpus", lambda: 2)
    spec = PromptSpec.model_validate({"name": "set", "source": "fixed"})
    with pytest.raises(FmloadError, match="seventy-first cannot be made") as raised:
        selection.make_set(spec, OneTooMany("set", None), Tokenizer.load("bundled"), "1", 100, lambda *news: None)
    assert raised.value.hint == "ask for fewer"


def test_several_processes_make_the_same_prompts_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    bundled = Tokenizer.load("bundled")
    alone = made("conversation", bundled, 300, turns=2, input_tokens=10, answer_tokens=10)
    monkeypatch.setattr(selection, "_POOL_PAYS_S", 0.0)
    monkeypatch.setattr(selection, "usable_cpus", lambda: 2)
    assert made("conversation", bundled, 300, turns=2, input_tokens=10, answer_tokens=10) == alone
