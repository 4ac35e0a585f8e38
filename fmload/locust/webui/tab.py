"""Routes and template arguments of the Tokens tab."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from flask import Blueprint, Response, jsonify, request

from fmload.base import neutral
from fmload.locust.webui import start
from fmload.locust.webui.guard import Guard

SCRIPTS = ("tokens.js", "settings.js", "start.js")

# key in a row: title in the table and the CSV. Latencies in ms, as Locust's own tables have them.
COLUMNS: dict[str, str] = {
    "name": "Endpoint · prompt set", "requests": "Requests", "errors": "Errors",
    "client_failures": "Failures of the client", "cancelled": "Given up",
    **{f"{metric}_{p}_ms": f"{title} {p} (ms)" for metric, title in
       (("ttft", "TTFT"), ("itl", "ITL"), ("icl", "ICL"), ("tpot", "TPOT"), ("first_text", "First text"),
        ("first_audio", "First audio"), ("e2e", "E2E"))
       for p in ("p50", "p95", "p99")},
    "output_tokens_per_s": "Tokens/s", "input_tokens": "Tokens in", "output_tokens": "Tokens out",
    "images": "Images", "images_per_minute": "Images/min", "cost_usd": "USD",
}

_OF_IMAGES = ("images",)
_OF_TEXT = ("ttft_", "itl_", "icl_", "tpot_", "output_tokens")  # beginnings of keys
_OF_SOUND = {"first_text": "first_text_", "first_audio": "first_audio_"}


def columns_of(view: TokensView) -> dict[str, str]:
    """The columns to show: of a run that generates no text, none of tokens that nobody makes; of sound only what is
    measured, of images only where some were made."""
    left_out = (*(_OF_TEXT if view.without_text else ()), *(() if view.with_images else _OF_IMAGES),
                *(begin for metric, begin in _OF_SOUND.items() if metric not in view.measured))
    return {key: title for key, title in COLUMNS.items() if not key.startswith(left_out)}


class TokensView(Protocol):
    """What the tab shows: `page()` for the charts (see tokens.js), `rows()` for the table (keys of COLUMNS).
    `without_text`: what has succeeded made no tokens; `with_images`: it made images; `measured`: the metrics of which
    there are values."""

    @property
    def without_text(self) -> bool: ...

    @property
    def measured(self) -> set[str]: ...

    @property
    def with_images(self) -> bool: ...

    def page(self) -> dict[str, Any]: ...

    def rows(self) -> list[dict[str, Any]]: ...


def install(web_ui: Any, base_path: str, view: TokensView, guard: Guard, try_it: start.Try) -> None:
    """Add the tab to `web_ui`, and have its start form try the endpoint.

    Called once, in Locust's `init` event, where a web UI exists.
    """
    prefix = f"{base_path.rstrip('/')}/fmload"
    _extend_template_args(web_ui, prefix, view)
    web_ui.app.register_blueprint(_routes(web_ui.auth_required_if_enabled, view, guard, try_it), url_prefix=prefix)
    web_ui.app.after_request(lambda response: _amend(response, prefix, base_path, view))
    guard.install(web_ui)
    start.install(web_ui, try_it)


def _extend_template_args(web_ui: Any, prefix: str, view: TokensView) -> None:
    stock = web_ui.update_template_args

    def update_template_args() -> None:
        stock()
        web_ui.template_args.update(
            extended_tabs=[{"title": "Tokens", "key": "tokens"}],
            extended_tables=[{"key": "tokens",
                              "structure": [{"key": key, "title": title} for key, title in columns_of(view).items()]}],
            extended_csv_files=[{"href": f"{prefix}/tokens.csv", "title": "Download token statistics CSV"}])

    web_ui.update_template_args = update_template_args


def _routes(protected: Callable[[Any], Any], view: TokensView, guard: Guard,
            try_it: start.Try) -> Blueprint:
    routes = Blueprint("fmload", __name__)
    routes.add_url_rule("/tokens.json", "json", protected(lambda: jsonify(view.page())))
    routes.add_url_rule("/settings.json", "settings", protected(lambda: jsonify({"settings": guard.settings()})))
    routes.add_url_rule("/try", "try", protected(lambda: start.answer(try_it)), methods=["POST"])
    for name in SCRIPTS:
        routes.add_url_rule(f"/{name}", name.replace(".", "-"), protected(partial(_script, name)))
    routes.add_url_rule("/tokens.csv", "csv", protected(lambda: Response(
        as_csv(view.rows()), mimetype="text/csv", headers={"Content-Disposition": "attachment;filename=tokens.csv"})))
    return routes


def _script(name: str) -> Response:
    return Response(Path(__file__).with_name(name).read_text(), mimetype="application/javascript")


def as_csv(rows: list[dict[str, Any]]) -> str:
    """The table as CSV under the keys of COLUMNS, numbers in full precision."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, extrasaction="ignore")
    writer.writeheader()
    writer.writerows(map(neutral.row, rows))
    return text.getvalue()


def _amend(response: Response, prefix: str, base_path: str, view: TokensView) -> Response:
    if response.status_code != 200:
        return response
    path = request.path.removeprefix(base_path.rstrip("/"))
    if path == "/" and response.mimetype == "text/html":
        page = response.get_data(as_text=True)
        scripts = "".join(f'<script src="{prefix}/{name}"></script>' for name in SCRIPTS)
        response.set_data(page.replace("</body>", f"{scripts}</body>"))
    elif path == "/stats/requests":
        # Locust keeps this response for two seconds and hands out the same object: replace, never append
        body = response.get_json()
        body["extended_stats"] = [{"key": "tokens", "data": [_rounded(row) for row in view.rows()]}]
        response.set_data(json.dumps(body))
    return response


def _rounded(row: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4 if key == "cost_usd" else 2) if isinstance(value, float) else value
            for key, value in row.items()}
