"""What another website can make a browser send to the web UI is refused, and so is what a form may not set."""

from __future__ import annotations

from argparse import Namespace
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask, jsonify
from flask.testing import FlaskClient

from fmload.config.parameters import parameters_of
from fmload.locust.webui.guard import HOSTS_VARIABLE, LOCKED, Guard

OWN = "http://127.0.0.1:8089"
FORM = {"user_count": "1", "spawn_rate": "1", "host": "http://good:8000/v1", "fmload_model": "m"}


def options(**values: Any) -> Namespace:
    plain = dict.fromkeys(LOCKED, "")
    return Namespace(**{**plain, "web_host": "127.0.0.1", "fmload_model": "", "headless": False, "csv_prefix": None,
                        **values})


def guarded(keyed: bool = False, host: str | None = "http://good:8000/v1", **values: Any) -> tuple[FlaskClient, Guard]:
    app = Flask(__name__)
    started: list[int] = []
    app.add_url_rule("/swarm", "swarm", lambda: jsonify(success=True, started=started.append(1)), methods=["POST"])
    app.add_url_rule("/stats/requests", "stats", lambda: jsonify(stats=[]))

    @app.after_request
    def allow_everybody(response: Any) -> Any:  # as Locust's CORS(app) does
        response.headers["Access-Control-Allow-Origin"] = "*"
        return response

    guard = Guard(options(**values), host, lambda: {"fmload_model": {}, "fmload_parameters": {}}, keyed)
    guard.install(SimpleNamespace(app=app, server=None))
    return app.test_client(), guard


def post(client: FlaskClient, headers: dict[str, str] | None = None, **form: str) -> tuple[int, str]:
    answer = client.post("/swarm", data={**FORM, **form}, base_url=OWN, headers=headers or {})
    return answer.status_code, str(answer.get_json().get("message", ""))


OWN_HEADERS: list[dict[str, str]] = [
    {}, {"Origin": OWN}, {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}, {"Referer": f"{OWN}/?tab=tokens"},
    {"Sec-Fetch-Site": "none"}]
FOREIGN_HEADERS: list[dict[str, str]] = [
    {"Origin": "https://attacker.example"}, {"Origin": "null"}, {"Origin": "http://127.0.0.1:9000"},
    {"Origin": "http://127.0.0.1:8089.attacker.example"}, {"Origin": "file://"}, {"Origin": "http://[::1"},
    {"Referer": "https://attacker.example/127.0.0.1:8089"}, {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"}, {"Host": "attacker.example"}, {"Host": "attacker.example:8089"},
    {"Host": "127.0.0.1.attacker.example:8089"}, {"Host": "10.0.0.1:8089"}, {"Host": "[::1"},
    {"Host": "attacker.example:8089", "Origin": "http://attacker.example:8089"}]


@pytest.mark.parametrize("headers", OWN_HEADERS)
def test_the_uis_own_pages_and_tools_may_start_a_run(headers: dict[str, str]) -> None:
    assert post(guarded()[0], headers) == (200, "")


@pytest.mark.parametrize("headers", FOREIGN_HEADERS)
def test_what_comes_from_elsewhere_starts_nothing(headers: dict[str, str]) -> None:
    status, why = post(guarded()[0], headers)
    assert status == 403 and why


@pytest.mark.parametrize("headers", [
    {"Host": "attacker.example"}, {"Origin": "https://attacker.example"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Dest": "script"}])
def test_nothing_can_be_read_from_elsewhere(headers: dict[str, str]) -> None:
    client, _ = guarded()
    assert client.get("/stats/requests", base_url=OWN, headers=headers).status_code == 403


@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
def test_a_body_beyond_a_megabyte_is_not_taken(kind: str) -> None:
    part = "--x\r\nContent-Disposition: form-data; name=a; filename=f\r\n\r\n" if "multipart" in kind else "a="
    body = part + "x" * (1 << 20) + "\r\n--x--\r\n"
    assert guarded()[0].post("/swarm", data=body, content_type=kind, base_url=OWN).status_code == 413


def test_no_answer_permits_other_sites_to_read_or_frame_it() -> None:
    headers = guarded()[0].get("/stats/requests", base_url=OWN).headers
    assert "Access-Control-Allow-Origin" not in headers
    assert headers["X-Frame-Options"] == "DENY" and "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_where_it_listens_to_other_hosts_addresses_are_names_and_strangers_are_not(
        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS_VARIABLE, "load.example, other.example")
    _, guard = guarded(web_host="0.0.0.0")
    known = ["10.0.0.5", "::1", "localhost", "load.example", "other.example"]
    assert [name for name in known if not guard.names.know(name)] == []
    assert not guard.names.know("attacker.example") and not guard.names.know(None) and not guard.names.know("")


def test_a_proxy_may_give_it_another_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(HOSTS_VARIABLE, "load.example")
    client, _ = guarded()
    assert post(client, {"Origin": "https://load.example"})[0] == 200
    assert post(client, {"Origin": "https://load.example.attacker.example"})[0] == 403


@pytest.mark.parametrize("name", [*LOCKED, "headless", "csv_prefix"])
def test_a_form_sets_no_path_no_variable_and_no_option_that_it_does_not_show(name: str) -> None:
    status, why = post(guarded()[0], **{name: "/any/path"})
    assert status == 403 and name in why
    assert post(guarded(**{name: "kept"})[0], **{name: "kept"})[0] == 200  # what is set already changes nothing


def test_the_uis_own_page_gets_the_reason_in_the_form_that_it_shows_and_nobody_starts_anything() -> None:
    own = {"Origin": OWN, "Sec-Fetch-Site": "same-origin"}
    answer = guarded()[0].post("/swarm", data={**FORM, "fmload_out": "/any"}, base_url=OWN, headers=own)
    assert (answer.status_code, answer.get_json()["success"]) == (200, False)
    assert "fmload_out" in answer.get_json()["message"]


def test_a_trial_of_the_endpoint_is_refused_what_a_start_is_refused() -> None:
    client, _ = guarded(keyed=True)
    for form in ({"host": "http://evil/v1"}, {"fmload_prompts": "/etc/passwd"}, {"fmload_model": "${VICTIM_TOKEN}"}):
        assert client.post("/fmload/try", data={**FORM, **form}, base_url=OWN).status_code == 403
    foreign = {"Origin": "https://attacker.example"}
    assert client.post("/fmload/try", data=FORM, base_url=OWN, headers=foreign).status_code == 403


def test_without_a_key_the_form_says_how_one_is_given() -> None:
    assert "--fmload-api-key-env" in guarded(False)[1].settings()[0]["value"]


@pytest.mark.parametrize("name", ["fmload_parameters", "host", "fmload_model"])
def test_a_form_names_no_variable(name: str) -> None:
    assert post(guarded()[0], **{name: "${VICTIM_TOKEN}"})[0] == 403


@pytest.mark.parametrize("escaped", [
    '{"user": "\\u0024{VICTIM_TOKEN}"}', '{"user": "$\\u007bVICTIM_TOKEN}"}', '{"user": "\\x24{VICTIM_TOKEN}"}',
    '{"user": "$\\\n{VICTIM_TOKEN}"}', '{"\\u0024{VICTIM_TOKEN}": 1}', '{"a": [{"b": "\\u0024{VICTIM_TOKEN}"}]}'])
def test_a_variable_behind_escapes_of_the_parameters_is_refused(escaped: str) -> None:
    assert "VICTIM_TOKEN" in str(parameters_of(escaped))
    status, why = post(guarded()[0], fmload_parameters=escaped)
    assert status == 403 and "fmload_parameters names a variable" in why


@pytest.mark.parametrize("text", ['{"a": "', "- 1", "&a [*a]", '{"a": !!python/name:os.system }',
                                  "{" + "a: {" * 3000 + "}" * 3001])
def test_parameters_that_cannot_be_read_are_refused_with_the_reason(text: str) -> None:
    status, why = post(guarded()[0], fmload_parameters=text)
    assert status == 403 and "fmload-parameters" in why


def test_parameters_whose_aliases_make_millions_of_values_are_refused() -> None:
    bomb = "{a0: &a0 [1, 1], " + ", ".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 40)) + "}"
    assert post(guarded()[0], fmload_parameters=bomb)[0] == 403
    assert post(guarded()[0], fmload_parameters='{"temperature": 0.5, "stop": ["$"]}')[0] == 200


@pytest.mark.parametrize("host", ["http://evil/v1", "http://good:9000/v1", "https://good:8000/v1",
                                  "http://good:8000@evil/v1", "http://[::1"])
def test_a_key_is_sent_to_no_host_but_the_one_that_it_was_given_for(host: str) -> None:
    status, why = post(guarded(keyed=True)[0], host=host)
    assert status == 403 and "only sent to the host" in why
    assert post(guarded(keyed=False)[0], host=host)[0] == 200


def test_a_key_without_a_host_on_the_command_line_is_sent_nowhere() -> None:
    status, why = post(guarded(keyed=True, host=None)[0])
    assert status == 403 and "--host" in why
    assert post(guarded(keyed=True)[0], host="http://good:8000/v1/")[0] == 200


def test_a_password_of_the_command_line_is_used_and_not_shown() -> None:
    _, guard = guarded(True, "http://me:pw@good:8000/v1", fmload_urls="http://me:pw@other/v1", fmload_api_key_env="KEY")
    assert guard.host("http://(masked)@good:8000/v1") == "http://me:pw@good:8000/v1"
    assert guard.host("http://else/v1") == "http://else/v1"
    assert guard.settings() == [{"name": "--fmload-urls", "value": "http://(masked)@other/v1"},
                                {"name": "--fmload-api-key-env", "value": "KEY"}]
