"""What a search says in sentences: of each trial as it ends, and its answer."""

from __future__ import annotations

from fmload.base.units import format_duration
from fmload.model.stack import Figure, StackSearch, Trial
from fmload_analysis.document import formats
from fmload_analysis.stacks.machines import reused
from fmload_analysis.stacks.ranking import Ranked, Saving, default_of, ranking, saving, untried, without_figure
from fmload_analysis.stacks.suggestion import suggestion

_NAMES = {"price_per_1m_output_tokens": "per 1M output tokens", "price_per_transaction": "per transaction",
          "output_tokens_per_s": "output tokens/s", "requests_per_s": "requests/s"}


def shown(search: StackSearch, value: float) -> str:
    """A figure without what it is of: `$1.23`, `412`."""
    return formats.usd(value) if search.lower_is_better else formats.significant(value)


def unit(search: StackSearch) -> str:
    """What the figure is of."""
    return _NAMES.get(search.by, search.by)


def interval(search: StackSearch, figure: Figure) -> str:
    """`$1.23 ($1.10 to $1.40)`; `…` for an end that is not known."""
    if figure.value is None:
        return "not known yet"
    ends = " to ".join("…" if end is None else shown(search, end) for end in (figure.low, figure.high))
    return f"{shown(search, figure.value)} ({ends})"


def trial_words(search: StackSearch, trial: Trial) -> str:
    """One line for the terminal."""
    one = next(each for each in search.candidates if each.name == trial.candidate)
    which = f"trial {trial.number + 1}, {one.name} ({one.text}), {formats.percent(trial.share)} of the window"
    if not trial.over:
        return f"{which}: begins"
    if trial.status != "measured":
        return f"{which}: {trial.status}: {trial.reason}"
    load = f" at {trial.facts['load']}" if "load" in trial.facts else ""
    best = ranking(search)
    so_far = (f"; best so far: {best[0].candidate.name}, {shown(search, best[0].trial.figure.value or 0.0)}"
              if best else "")
    if trial.figure.value is None:
        return f"{which}: {trial.reason}{so_far}"
    return f"{which}: {interval(search, trial.figure)} {unit(search)}{load}{so_far}"


def answer(search: StackSearch) -> str:
    """The best so far, its ties, against the default, and what was not settled."""
    found = ranking(search)
    if not found:
        return f"{_state(search)} No candidate is shown to meet the objectives.{_rest(search)}"
    best = found[0]
    text = (f"{_state(search)} **{best.candidate.name}** ({best.candidate.text}): "
            f"{interval(search, best.trial.figure)} {unit(search)}{_at(best)}.")
    ties = [one for one in found[1:] if one.tie]
    if ties:
        text += f" A tie with {_list([one.candidate.name for one in ties])}: their intervals overlap."
    default = default_of(search, found)
    if default is not None and default is not best:
        text += f" {_against(search, best, default)}"
    elif default is best:
        text += " It is the default."
    return text + _rest(search)


def _state(search: StackSearch) -> str:
    tried = len({trial.candidate for trial in search.trials if trial.over})
    state = f"The search has ended ({search.ended})" if search.ended else "The search is not over"
    return f"{state}, {tried} of {len(search.candidates)} candidates tried."


def _at(one: Ranked) -> str:
    return f", at {one.trial.facts['load']}" if one.trial.facts.get("load") else ""


def _against(search: StackSearch, best: Ranked, default: Ranked) -> str:
    found = saving(search, best.trial.figure, default.trial.figure)
    if found is None:
        return ""
    what = "cheaper than" if search.lower_is_better else "more than"
    if default.tie:
        return f"Against the default, {default.candidate.name}, nothing is shown: they are a tie."
    return f"That is {_share(found)} {what} the default, {default.candidate.name}."


def _share(found: Saving) -> str:
    ends = " to ".join("…" if end is None else formats.percent(end) for end in (found.low, found.high))
    return f"{formats.percent(found.value)} ({ends})"


def _rest(search: StackSearch) -> str:
    parts = [f"{len(some)} {what}" for some, what in (
        (without_figure(search, "missed"), "missed the objectives at the lowest load"),
        (without_figure(search, "failed"), "failed"), (without_figure(search, "measured"), "not settled"),
        (untried(search), "not tried")) if some]
    return f" Of the others: {'; '.join(parts)}." if parts else ""


def _list(names: list[str]) -> str:
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")


def machines(search: StackSearch) -> str:
    """How many trials took over a machine, and what that saved."""
    found = reused(search)
    times = sum(len(one.again_s) for one in found)
    if not times:
        return f"No trial could take over one of {formats.several(len(found), 'machine')}."
    usd = None if any(one.saved_usd is None for one in found) else sum(one.saved_usd or 0.0 for one in found)
    cost = "" if usd is None else f" and {formats.usd(usd)}"
    return (f"{formats.several(times, 'trial')} took over the machine of the trial before; that saved "
            f"{format_duration(sum(one.saved_s for one in found))}{cost}.")


def suggested(search: StackSearch) -> str:
    """What to try next, and how; empty where nothing is to be suggested."""
    found = suggestion(search)
    if found is None:
        return ""
    move = f"`{found.key}` {found.value} in the place of {found.before}"
    why = f"The winner was short of: {found.limit}."
    if found.candidate is not None:
        return f"{why} Next to be tried is {found.candidate}, with {move}."
    return (f"{why} Next to be tried is {move}, which the search does not hold: `fmload run next.yml` lays it beside "
            "the winner.")


def spent(search: StackSearch) -> str:
    """Time and money so far."""
    usd = [trial.usd for trial in search.trials if trial.usd is not None]
    measured = format_duration(sum(trial.measured_s for trial in search.trials))
    cost = f", {formats.usd(sum(usd) + search.idle_usd)}" if usd or search.max_cost is not None else ""
    limit = f" of max_cost {formats.usd(search.max_cost)}" if search.max_cost is not None else ""
    return (f"{formats.several(len(search.trials), 'trial')}, {measured} of windows in "
            f"{format_duration(sum(trial.took_s for trial in search.trials))}{cost}{limit}")
