"""A locustfile with a login of its own, as Locust's documentation has it; `POST enter` lets anybody in."""

from __future__ import annotations

from typing import Any

from flask import redirect
from flask_login import UserMixin, login_user
from locust import events

from fmload.locust.plugin import PromptUser, StageShape  # noqa: F401


class OpenAI(PromptUser):
    protocol = "openai"


class Someone(UserMixin):  # type: ignore[misc]
    id = "someone"


@events.init.add_listener
def _with_login(environment: Any, web_ui: Any = None, **_: Any) -> None:
    if not web_ui:
        return
    web_ui.app.secret_key = "only for the test"
    web_ui.login_manager.user_loader(lambda _user: Someone())
    web_ui.auth_args = {"username_password_callback": "/enter"}

    @web_ui.app.route("/enter", methods=["POST"])
    def enter() -> Any:
        login_user(Someone())
        return redirect("/")
