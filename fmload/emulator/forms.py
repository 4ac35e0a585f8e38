"""The odd form in which a request is answered: that of its header, or of the whole server."""

from __future__ import annotations

from fmload.base.errors import FmloadError
from fmload.emulator.dialect import Dialect
from fmload.emulator.http import Request, Unfit
from fmload.emulator.odd import Form, Odd
from fmload.emulator.settings import Settings
from fmload.plugins import FORMS


def form_of(request: Request, settings: Settings) -> tuple[str, Form] | None:
    """The form's name, and itself; None where the answer is not odd. Raises Unfit."""
    name = request.headers.get("x-emulator-dialect", settings.dialect)
    try:
        return None if name is None else (name, FORMS.load(name))
    except FmloadError as error:
        raise Unfit(str(error)) from error


def odd_of(request: Request, settings: Settings, dialect: Dialect) -> Dialect:
    """The dialect, in the odd form that was asked for. It tells running totals only where the form does."""
    form = form_of(request, settings)
    if form is None:
        return dialect
    dialect.usage_each = False
    return Odd(dialect, form[1])
