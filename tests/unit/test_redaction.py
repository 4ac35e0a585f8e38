"""Secrets are blanked out of any text, whole, cut, in part and in other writings; words stay."""

from __future__ import annotations

import base64
import html
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from fmload.base import redaction
from fmload.base.errors import FmloadError
from fmload.base.redaction import (
    blanked,
    masked_url,
    printable,
    protect,
    protect_environment,
    redact_logs,
    redacted,
    shortened,
    without_secrets,
)
from fmload.launch.server import base_url
from fmload.wire.url import shown as unfit_url
from fmload.wire.url import split_proxy, split_url

KEY = 'zq7/Kx+9"Lm&2pQ w8vN~tR5yUe3'


@pytest.fixture(autouse=True)
def secrets() -> Iterator[None]:
    before = dict(redaction._forms)
    redaction._forms.clear()
    protect(KEY)
    yield
    redaction._forms.clear()
    redaction._forms.update(before)


WRITINGS = {
    "as it is": KEY, "in quotes": f"'{KEY}'", "%-escaped": quote(KEY, safe=""), "of a form": quote_plus(KEY),
    "in JSON": json.dumps(KEY)[1:-1], "in HTML": html.escape(KEY), "in hexadecimal": KEY.encode().hex(),
    "in base64": base64.b64encode(KEY.encode()).decode(), "in base64 for URLs": base64.urlsafe_b64encode(
        KEY.encode()).decode(),
    "with a user in base64": base64.b64encode(f"me:{KEY}".encode()).decode(),
    "in hexadecimal of large letters": KEY.encode().hex().upper(), "in small letters": KEY.lower(),
    "in large letters": KEY.upper(), "%-escaped throughout": "".join(f"%{byte:02X}" for byte in KEY.encode()),
    "%-escaped in small letters": quote(KEY, safe="").replace("%2F", "%2f").replace("%2B", "%2b"),
    "in JSON throughout": "".join(f"\\u{ord(letter):04x}" for letter in KEY),
    "in HTML throughout": "".join(f"&#{ord(letter)};" for letter in KEY),
    "inside of base64": base64.b64encode(f"key={KEY};x".encode()).decode(),
}


def pieces(secret: str, length: int) -> list[str]:
    return [secret[at:at + length] for at in range(len(secret) - length + 1)]


@pytest.mark.parametrize("name", WRITINGS)
def test_a_secret_is_blanked_out_in_every_writing(name: str) -> None:
    text = redacted(f"invalid key {WRITINGS[name]} given")
    assert text.startswith("invalid key ") and text.endswith(" given") and "[redacted]" in text
    assert not [piece for piece in pieces(WRITINGS[name], 16) if piece in text]


@pytest.mark.parametrize("length", range(8, len(KEY)))
def test_a_prefix_of_eight_characters_or_more_is_blanked_out_anywhere(length: int) -> None:
    text = redacted(f"the key <{KEY[:length]}> is wrong")
    assert KEY[:4] not in text and text.endswith("> is wrong")


@pytest.mark.parametrize("length", range(4, len(KEY)))
@pytest.mark.parametrize("end", ["", "'", '"', "…", "..."])
def test_a_text_that_was_cut_inside_of_a_secret_ends_without_it(length: int, end: str) -> None:
    text = redacted(f"the key {KEY[:length]}{end}")
    assert KEY[:4] not in text


def test_a_run_from_the_middle_and_the_end_of_a_secret_are_blanked_out() -> None:
    assert KEY[3:20] not in redacted(f"x{KEY[3:20]}y") and "[redacted]" in redacted(f"x{KEY[3:20]}y")
    assert redacted(f"…{KEY[-9:]}.") == "…[redacted]."


def test_stars_keep_every_other_character_in_its_place() -> None:
    text = f"a {KEY} b {KEY[:12]}"
    assert blanked(text) == f"a {'*' * len(KEY)} b {'*' * 12}"


def test_what_is_cut_is_redacted_before() -> None:
    text = f"{'x' * 490}{KEY}"
    assert shortened(text, 500) == f"{'x' * 490}{'[redacted]'[:10]}"


def test_words_and_what_was_told_too_short_stay() -> None:
    protect("abc")
    protect(None)
    protect("  ")
    text = "abc zq7 the model does not exist; finish_reason stop"
    assert redacted(text) == text


@pytest.mark.parametrize("start", ["bedrock-api-key-", "sagemaker-api-key-", "sk-", "hf_"])
def test_what_all_keys_of_a_provider_begin_with_is_an_ordinary_word(start: str) -> None:
    key = f"{start}Zq7xKp9L"
    protect(key)
    words = "the protocols bedrock, sagemaker, sk-, hf_ and bedrock"
    assert redacted(words) == words
    assert "Zq7x" not in redacted(f"invalid key {key}") and "Zq7x" not in redacted(f"invalid key {key[:-2]}")


@pytest.mark.parametrize("word", ["EMPTY", "none", "token-abc123", "test"])
def test_what_is_given_where_no_key_is_needed_is_no_secret(word: str) -> None:
    protect(word)
    assert redacted(f"run {word} of latest") == f"run {word} of latest"


CREDENTIALS = ["Bearer abcdefgh12345678", "sk-proj-abcdefghijkl", "hf_abcdefghijklmnop", "AKIAABCDEFGHIJKLMNOP",
               "X-Amz-Signature=0123456789abcdef", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "user:pass"]


@pytest.mark.parametrize("credential", CREDENTIALS)
def test_what_looks_like_a_credential_is_blanked_out_untold(credential: str) -> None:
    text = f"http://{credential}@host" if credential == "user:pass" else f"error: {credential}"
    assert credential not in redacted(text)
    assert credential in without_secrets(text)  # of answers, which are data


def test_variables_that_are_named_like_secrets_are_protected() -> None:
    protect_environment({"TEAM_API_KEY": "0123456789abc", "PATH": "/usr/bin:/opt/tools", "LITTLE_TOKEN": "true"})
    assert redacted("0123456789abc /usr/bin:/opt/tools true") == "[redacted] /usr/bin:/opt/tools true"


def test_a_working_folder_and_a_path_to_a_key_are_no_secrets(tmp_path: Path) -> None:
    (key := tmp_path / "service-account.json").write_text("{}")
    protect_environment({"PWD": "/home/gone/load", "CLOUD_CREDENTIALS": str(key), "API_KEY": "/9j/4AAQSkZJRg"})
    assert redacted(f"/home/gone/load/traces.csv {key}") == f"/home/gone/load/traces.csv {key}"
    assert redacted("key /9j/4AAQSkZJRg") == "key [redacted]", "what is no path is a key"


@pytest.mark.parametrize(("url", "shown"), [
    ("http://h:1/v1", "http://h:1/v1"), ("http://me:pw@h/v1", "http://(masked)@h/v1"),
    ("http://h/v1?api-key=abc&api-version=2024-01-01", "http://h/v1?api-key=(masked)&api-version=2024-01-01"),
    ("http://h/v1?key=${NAME}", "http://h/v1?key=${NAME}"), ("http://[::1]:8/x", "http://[::1]:8/x"),
])
def test_a_url_is_shown_without_user_password_and_query_values(url: str, shown: str) -> None:
    assert masked_url(url) == shown


@pytest.mark.parametrize("url", [
    "http://me:pa/ssw0rd@h:1", "http://me:pa?ssw0rd@h:1", "http://me:pa#ssw0rd@h:1", "http://me:p[ssw0rd@h:1",
    "http://me:ssw0rd://pa/ss@h:1", "me:ssw0rd@h:1", "http:/me:ssw0rd@h:1", "http:me:ssw0rd@h:1",
    "http://me:pa/ssw0rd@[::1]:1"])
def test_a_password_that_makes_an_address_no_url_is_not_shown(url: str) -> None:
    assert "ssw0rd" not in masked_url(url) and masked_url(url).endswith(":1")
    assert "ssw0rd" not in unfit_url(url)
    for read in (split_url, split_proxy, base_url):
        with pytest.raises(FmloadError) as told:
            read(url)
        assert "ssw0rd" not in str(told.value)


@pytest.mark.parametrize(("text", "told"), [
    ("http://h:80/models/claude@2024?x=a@b", "http://h:80/models/claude@2024?x=(masked)"),
    ("http://h/claude@2024", "http://h/claude@2024"),
    ("Read https://h/x, and ask me@example.org.", "Read https://h/x, and ask me@example.org.")])
def test_an_at_sign_behind_the_host_or_in_a_sentence_stays(text: str, told: str) -> None:
    assert masked_url(text) == told


def test_control_characters_are_written_as_escapes_and_lines_stay() -> None:
    assert printable("a\x1b[31mb\x07\u202ec\nd\te") == "a\\x1b[31mb\\x07\\u202ec\nd\te"


def test_log_records_are_redacted_with_their_arguments_and_tracebacks(capsys: pytest.CaptureFixture[str]) -> None:
    factory = logging.getLogRecordFactory()
    logger, handler = logging.Logger("redaction"), logging.StreamHandler()
    logger.addHandler(handler)
    try:
        redact_logs()
        redact_logs()
        try:
            raise ValueError(f"the server said {KEY}")
        except ValueError:
            logger.exception("key %s\x07 of %d", KEY, 3)
    finally:
        logging.setLogRecordFactory(factory)
    told = capsys.readouterr().err
    assert KEY not in told and "\x07" not in told
    assert "key [redacted]\\x07 of 3" in told and "the server said [redacted]" in told
