"""Which proxy an endpoint is asked through, by its key and the usual variables."""

from __future__ import annotations

from pathlib import Path

import pytest

from fmload.base.errors import FmloadError
from fmload.config import parse
from fmload.config.proxies import of_environment, proxy_of, told, with_proxies

TEXT = """name: t
endpoints:
  - {name: a, protocol: openai, url: "http://far.example/v1", model: m}
  - {name: b, protocol: openai, url: "http://far.example/v1", model: m, proxy: "http://me:hunter2@own:1"}
  - {name: c, protocol: openai, url: "http://far.example/v1", model: m, proxy: none}
  - {name: d, protocol: openai, url: "http://127.0.0.1:8000/v1", model: m}
prompts: [{name: p, source: synthetic, input_tokens: 5}]
load: {concurrency: [1]}
"""


@pytest.mark.parametrize(("url", "environment", "proxy"), [
    ("http://far/v1", {}, None),
    ("http://far/v1", {"http_proxy": "http://p:1"}, "http://p:1"),
    ("http://far/v1", {"HTTP_PROXY": "p:1"}, "http://p:1"),
    ("https://far/v1", {"HTTP_PROXY": "http://p:1"}, None),
    ("https://far/v1", {"HTTPS_PROXY": "http://p:1", "HTTP_PROXY": "http://q:1"}, "http://p:1"),
    ("https://far/v1", {"ALL_PROXY": "http://p:1"}, "http://p:1"),
    ("http://localhost:8000/v1", {"HTTP_PROXY": "http://p:1"}, None),
    ("http://127.0.0.2:8000/v1", {"HTTP_PROXY": "http://p:1"}, None),
    ("http://[::1]:8000/v1", {"HTTP_PROXY": "http://p:1"}, None),
    ("http+unix://%2Frun%2Fs.sock/v1", {"ALL_PROXY": "http://p:1"}, None),
    ("http://x.far/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "a, far"}, None),
    ("http://x.far/v1", {"HTTP_PROXY": "http://p:1", "no_proxy": ".far"}, None),
    ("http://x.far/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "*.far"}, None),
    ("http://xfar/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "far"}, "http://p:1"),
    ("http://far:81/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "far:80"}, "http://p:1"),
    ("http://far:80/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "far:80"}, None),
    ("http://10.1.2.3/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8"}, None),
    ("http://11.1.2.3/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.0.0.0/8,no/net"}, "http://p:1"),
    ("http://[fd00::1]/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "[fd00::1]"}, None),
    ("http://far/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "*"}, None),
    ("http://10.1.2.3:81/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3:81"}, None),
    ("http://10.1.2.3:82/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "10.1.2.3:81"}, "http://p:1"),
    ("http://[fd00::1]:81/v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "[fd00::1]:81"}, None),
    ("https://far/v1", {"HTTPS_PROXY": "http://p:1", "NO_PROXY": "far:443"}, None),
    ("http://x.far./v1", {"HTTP_PROXY": "http://p:1", "NO_PROXY": "far."}, None),
])
def test_the_usual_variables_are_obeyed_and_this_host_is_asked_directly(
        url: str, environment: dict[str, str], proxy: str | None) -> None:
    assert of_environment(url, environment) == proxy


def test_the_key_comes_before_the_variables_and_every_proxy_is_told_without_its_password() -> None:
    run = with_proxies(parse(TEXT, "t.yml", Path("/")), {"HTTP_PROXY": "http://you:secret@proxy:3128"})
    assert [proxy_of(spec) for spec in run.endpoints] == [
        "http://you:secret@proxy:3128", "http://me:hunter2@own:1", None, None]
    words = list(told(run))
    assert len(words) == 2 and "(masked)@proxy:3128" in words[0] and "(masked)@own:1" in words[1]
    assert "hunter2" not in str(words) and "secret" not in str(words)


@pytest.mark.parametrize("proxy", [
    "http://me:pa/ssw0rd@p:1", "socks4://me:ssw0rd@p:1", "http:/me:ssw0rd@p:1", "me:ssw0rd@p:x"])
def test_a_variable_that_names_no_proxy_is_told_by_its_name_and_without_its_password(proxy: str) -> None:
    with pytest.raises(FmloadError, match="the environment variable HTTP_PROXY: ") as told:
        of_environment("http://far/v1", {"HTTP_PROXY": proxy})
    assert "ssw0rd" not in str(told.value)


@pytest.mark.parametrize("proxy", ["http://p", "https://u:p@p:1", "socks5://p", "socks5h://u:p@p:1"])
def test_four_kinds_of_proxy_are_spoken(proxy: str) -> None:
    run = parse(TEXT.replace("http://me:hunter2@own:1", proxy), "t.yml", Path("/"))
    assert proxy_of(run.endpoints[1]) == proxy


@pytest.mark.parametrize("proxy", ["socks4://p:1", "socks5://u@p:1", f"socks5://u:{'x' * 256}@p:1", "p:1", "http://",
                                   "socks5://", "http://p:0", "http://p p:1"])
def test_a_proxy_that_cannot_be_spoken_to_is_refused(proxy: str) -> None:
    with pytest.raises(Exception, match=r"endpoints\[1\].proxy"):
        parse(TEXT.replace("http://me:hunter2@own:1", proxy), "t.yml", Path("/"))
