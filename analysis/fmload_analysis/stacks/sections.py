"""The sections of the page of a search over stacks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

from fmload.base.resources import table
from fmload.base.units import format_duration
from fmload.model.stack import Candidate, StackSearch, Trial
from fmload_analysis.document import formats
from fmload_analysis.document.document import (
    Axis,
    Block,
    Bullets,
    Callout,
    Cell,
    Chart,
    Code,
    Column,
    Paragraph,
    Point,
    Section,
    Series,
    Table,
    literal,
)
from fmload_analysis.document.formats import cell, name
from fmload_analysis.stacks import words
from fmload_analysis.stacks.effects import Effect, effects, interactions
from fmload_analysis.stacks.front import Place, front, places
from fmload_analysis.stacks.machines import reused
from fmload_analysis.stacks.quality import Quality, qualities
from fmload_analysis.stacks.ranking import Ranked, overlap, ranking, untried, without_figure

SHOWN = 40  # candidates on the chart of intervals


@dataclass(frozen=True, slots=True)
class Winner:
    """The winner ready to use: its run file, and the server's own command line or configuration. `after`: the run file
    of what to try next, where the search does not hold it."""

    run_file: str
    server: str
    after: str | None = None


def sections(search: StackSearch, winner: Winner | None) -> list[Section]:
    """The page's sections, those that have something to say."""
    found = ranking(search)
    parts = [_answer(search, found), _ranked(search, found), _quality(search, found), _winner(winner),
             _effects(search, found), _front(search), _why(search, found), _failed(search), _rest(search),
             _machines(search), _trials(search)]
    return [part for part in parts if part is not None]


def _answer(search: StackSearch, found: Sequence[Ranked]) -> Section:
    blocks: list[Block] = [Paragraph(words.answer(search)), Paragraph(f"So far: {words.spent(search)}.")]
    if search.emulated:
        imitated = formats.several(len(search.emulated), "candidate")
        blocks.append(Callout("warn", "Emulated", f"{imitated} of this search are imitated: their figures are "
                              "those of the emulator's model, not of a machine."))
    short = [one for one in found if one.tie and one.trial.share < found[0].trial.share]
    if short:
        blocks.append(Callout("note", "Short trials", "Some ties were tried for a part of the window only: the search "
                              "has not come to their longer trials."))
    return Section("stacks", "Stacks", blocks)


def _ranked(search: StackSearch, found: Sequence[Ranked]) -> Section | None:
    if not found:
        return None
    columns = [Column("Place"), Column("Candidate", numeric=False), Column("Settings", numeric=False, wide=True),
               Column(f"Figure, {words.unit(search)}", numeric=False, title="With its 95 % interval"),
               Column("Against the best", numeric=False), Column("Load", numeric=False), Column("Output", "tokens/s"),
               Column("TTFT p95", "s"), Column("One user", "tokens/s", "1 ÷ median TPOT"),
               Column("Audit", numeric=False),
               Column("Trial", "of the window", detail=True)]
    rows = [_row(search, one) for one in found]
    return Section("ranking", "Ranking", [Table(columns, rows, _CAPTION), *_intervals(search, found)])


_CAPTION = ("**Measured candidates**, best first. The interval holds the noise of the window and how far the highest "
            "load is known; where two overlap they are a tie. An end that is `…` is not known: no higher load was "
            "shown to miss the objectives, or too few requests ended")


def _row(search: StackSearch, one: Ranked) -> list[Cell]:
    facts, tpot = one.trial.facts, one.trial.facts.get("tpot_p50")
    said = "the best" if one.place == 1 else "tie" if one.tie else "worse"
    title = one.candidate.name + (" (default)" if one.candidate.is_default else "")
    return [Cell(str(one.place), one.place), name(title), name(one.candidate.text),
            Cell(words.interval(search, one.trial.figure), one.trial.figure.value),
            Cell(said, said, "good" if one.place == 1 else None), name(facts.get("load")),
            cell(facts.get("output_tokens_per_s"), formats.significant), cell(facts.get("ttft_p95"), formats.seconds),
            cell(1 / tpot if tpot else None, formats.significant),
            Cell(facts.get("audit", ""), facts.get("audit"), "warn" if facts.get("audit") == "WARN" else None),
            cell(one.trial.share, formats.percent)]


def _intervals(search: StackSearch, found: Sequence[Ranked]) -> Iterator[Chart]:
    shown = found[:SHOWN]
    points = [Point(place, one.trial.figure.value or 0.0, one.trial.figure.low, one.trial.figure.high,
                    tip=f"{one.candidate.text}: {words.interval(search, one.trial.figure)}")
              for place, one in enumerate(shown)]
    yield Chart("stacks_ranking", f"Candidates: {words.unit(search)}", "xy",
                Axis("Candidate", categories=[one.candidate.name for one in shown]),
                Axis("USD" if search.lower_is_better else words.unit(search), words.unit(search)
                     if search.lower_is_better else ""),
                [Series("figure with its interval", points, joined=False, bars=True)])


def _quality(search: StackSearch, found: Sequence[Ranked]) -> Section | None:
    """Whether what is cheaper is right as often."""
    known = qualities(search, found)
    if not known:
        return None
    columns = [Column("Candidate", numeric=False), Column("Prompts"), Column("Right", "share"),
               Column("95 % interval", numeric=False), Column("Against the default", numeric=False,
                                                              title="Percentage points, paired by prompt"),
               Column("Price per right answer", "USD")]
    rows = [[name(one.candidate), cell(one.n, formats.count), cell(one.share, formats.percent),
             name(_shares(one.interval.low, one.interval.high)),
             Cell(_against(one), one.difference, "warn" if one.is_worse else None),
             cell(one.usd_per_correct, formats.usd)]
            for one in known]
    return Section("quality", "Quality beside price", [Table(
        columns, rows, "Answers at the load of the ranking, judged against the ground truths of their prompts. Prompts "
        "that the default answered, too, are compared with it one by one (Newcombe's interval of paired shares)")])


def _shares(low: float | None, high: float | None) -> str:
    return " to ".join("…" if end is None else formats.percent(end) for end in (low, high))


def _against(one: Quality) -> str:
    """`−4.0 (−7.1 to −1.0) of 200 prompts`."""
    if one.difference is None or one.difference_interval is None:
        return "n/a"
    low, high = one.difference_interval.low or 0.0, one.difference_interval.high or 0.0
    points = f"{one.difference * 100:+.1f} ({low * 100:+.1f} to {high * 100:+.1f})".replace("-", "−")
    said = ": right less often" if one.is_worse else ": right more often" if low > 0 else ""
    return f"{points} of {formats.several(one.shared, 'prompt')}{said}"


def _winner(winner: Winner | None) -> Section | None:
    if winner is None:
        return None
    blocks: list[Block] = [Code(winner.server, "sh", "The server's own command line or configuration")]
    blocks.append(Code(winner.run_file, "yaml", "The run file of the winner (winner.yml in this folder)"))
    return Section("winner", "The winner, ready to use", blocks)


def _effects(search: StackSearch, found: Sequence[Ranked]) -> Section | None:
    blocks: list[Block] = []
    for base in dict.fromkeys(one.candidate.base for one in found):
        firsts = _firsts(search, base)
        rows = [(one.candidate.settings, one.trial.figure.value or 0.0) for one in found if one.candidate.base == base]
        if main := effects(rows, firsts):
            blocks.append(_effect_table(f"**{base}**: the figure with each setting, against the first value of its "
                                        "key", main, firsts))
            if pairs := interactions(rows, firsts):
                blocks.append(_effect_table(f"**{base}**: pairs of settings that do more, or less, together than each "
                                            "does by itself", pairs, firsts))
        elif len(firsts) > 0 and len(rows) > 1:
            blocks.append(Paragraph(f"**{base}**: {formats.several(len(rows), 'measured candidate')} are too few, or "
                                    "too alike, to tell the effects of its settings apart."))
    note = ("Least squares of the figure's logarithm over the measured candidates, short trials included; intervals of "
            "95 % for all effects of a table together. An interval that holds 0 % shows no effect.")
    return Section("effects", "What each setting does", [*blocks, Paragraph(note)]) if blocks else None


def _firsts(search: StackSearch, base: str) -> dict[str, str]:
    """The first value of every key of a base that has several."""
    values: dict[str, list[str]] = {}
    for one in search.candidates:
        if one.base == base:
            for key, value in one.settings.items():
                if value not in values.setdefault(key, []):
                    values[key].append(value)
    return {key: some[0] for key, some in values.items() if len(some) > 1}


def _effect_table(caption: str, found: Sequence[Effect], firsts: Mapping[str, str]) -> Table:
    columns = [Column("Setting", numeric=False, wide=True), Column("Against", numeric=False),
               Column("Figure", "change"), Column("95 % interval", numeric=False), Column("Candidates"),
               Column("Clear", numeric=False)]
    rows = [[name(" and ".join(f"{key}={value}" for key, value in one.term)),
             name(" and ".join(f"{key}={firsts.get(key, '')}" for key, _ in one.term)),
             Cell(_change(one.ratio), one.ratio), name(f"{_change(one.low)} to {_change(one.high)}"),
             cell(one.n, formats.count), name("yes" if one.is_clear else "no")] for one in found]
    return Table(columns, rows, caption)


def _change(ratio: float) -> str:
    return f"{(ratio - 1) * 100:+.1f} %"


def _front(search: StackSearch) -> Section | None:
    points = places(search)
    if not points:
        return None
    best = front(points)
    columns = [Column("Candidate", numeric=False), Column("Load", numeric=False),
               Column("Price", "USD per 1M output tokens"), Column("One user", "tokens/s"),
               Column("Objectives", numeric=False)]
    rows = [[name(one.candidate), name(one.load), cell(one.price, formats.usd),
             cell(one.tokens_per_s_user, formats.significant), name("met" if one.meets else "not met")] for one in best]
    return Section("front", "Price against speed for one user", [
        Paragraph("Every stage of every candidate's longest trial. On the front stand those that no other beats in "
                  "both: what a faster answer costs."),
        _front_chart(points, best), Table(columns, rows, "**The front**")])


def _front_chart(points: Sequence[Place], best: Sequence[Place]) -> Chart:
    def drawn(some: Sequence[Place]) -> list[Point]:
        return [Point(one.tokens_per_s_user, one.price, tip=f"{one.candidate} at {one.load}") for one in some]

    ordered = sorted(best, key=lambda one: one.tokens_per_s_user)
    meets, rest = [one for one in points if one.meets], [one for one in points if not one.meets]
    series = [Series("front", drawn(ordered), 1), Series("meets the objectives", drawn(meets), 0, joined=False),
              Series("does not", drawn(rest), 6, 1, joined=False)]
    return Chart("stacks_front", "Price against speed", "xy", Axis("One user", "tokens/s"),
                 Axis("Price", "USD per 1M output tokens", log=True), [one for one in series if one.points])


def _why(search: StackSearch, found: Sequence[Ranked]) -> Section | None:
    known = [one for one in found if one.trial.facts.get("limit")]
    if not known:
        return None
    columns = [Column("Candidate", numeric=False), Column("Limit", numeric=False),
               Column("Evidence", numeric=False, wide=True), Column("Try next", numeric=False, wide=True)]
    rows = [[name(one.candidate.name), name(one.trial.facts["limit"]), name(one.trial.facts.get("evidence", "")),
             name(one.trial.facts.get("next", ""))] for one in known]
    blocks: list[Block] = [Paragraph(text)] if (text := words.suggested(search)) else []
    blocks.append(Table(columns, rows, "At the first load that missed the objectives, else at the highest that was "
                                       "tried"))
    return Section("why", "Why, and what next", [*blocks, *_used(known)])


def _used(known: Sequence[Ranked]) -> Iterator[Block]:
    """How much of the accelerators each used, and what the server tells of guesses and cache."""
    columns = [Column("Candidate", numeric=False), Column("Accelerators", numeric=False), Column("Batch", "requests"),
               Column("Decode MBU", "of the bandwidth"), Column("Decode MFU", "of the operations"),
               Column("Prefill MFU", "of the operations"), Column("Ridge", "batch"),
               Column("Prefix cache", "of input"), Column("Guesses accepted", "share")]
    rows = [[name(one.candidate.name), name(line.get("accelerators") or "not known"),
             cell(line.get("batch"), formats.significant), cell(line.get("decode_mbu"), formats.percent),
             cell(line.get("decode_mfu"), formats.percent), cell(line.get("prefill_mfu"), formats.percent),
             cell(line.get("ridge_batch"), formats.significant),
             cell(one.trial.facts.get("cached_share"), formats.percent),
             cell(one.trial.facts.get("accepted_share"), formats.percent)]
            for one in known for line in [one.trial.facts.get("roofline") or {}]]
    told = [one for one in known if any(one.trial.facts.get(key) is not None for key in (
        "roofline", "cached_share", "accepted_share"))]
    if told:
        yield Table(columns, rows, "**Estimates** at the highest load that meets, by the peaks of configs/peaks.yml "
                    f"({table('peaks.yml')['date']}): bytes of weights, keys and values a decoding step, two "
                    "operations a parameter and token, one copy over all accelerators, weights in the form that the "
                    "model's name says. Below the ridge the bandwidth bounds decoding, beyond it the operations do")


def _failed(search: StackSearch) -> Section | None:
    rows = [[name(one.name), name(one.text), name(trial.status), name(trial.reason)]
            for status in ("failed", "missed") for one, trial in without_figure(search, status)]
    if not rows:
        return None
    columns = [Column("Candidate", numeric=False), Column("Settings", numeric=False, wide=True),
               Column("Became", numeric=False), Column("Reason", numeric=False, wide=True)]
    said = [Code(trial.words, "", f"The last words of {one.name}") for one, trial in without_figure(search, "failed")
            if trial.words]
    return Section("failed", "Trials that failed", [Table(columns, rows, "A trial that fails is a result, too"), *said])


def _rest(search: StackSearch) -> Section | None:
    """What was not tried, not settled, or dropped before its whole trial."""
    blocks: list[Block] = []
    if never := untried(search):
        why = f" ({search.ended})" if search.ended else ""
        blocks += [Paragraph(f"Not tried{why}:"), Bullets([f"{one.name}: {literal(one.text)}" for one in never])]
    if unsettled := without_figure(search, "measured"):
        blocks += [Paragraph("Not settled:"),
                   Bullets([f"{one.name}: {literal(trial.reason)}" for one, trial in unsettled])]
    if dropped := _dropped(search):
        blocks += [Paragraph("Tried for a part of the window, as their intervals lie apart from the winner's:"),
                   Bullets([f"{one.name}: {words.interval(search, trial.figure)}" for one, trial in dropped])]
    return Section("rest", "What was not tried", blocks) if blocks else None


def _dropped(search: StackSearch) -> list[tuple[Candidate, Trial]]:
    found = ranking(search)
    return [(one.candidate, one.trial) for one in found[1:] if one.trial.share < found[0].trial.share
            and not overlap(one.trial.figure, found[0].trial.figure)]


def _machines(search: StackSearch) -> Section | None:
    """What was saved where only the server was started anew."""
    found = reused(search)
    if not found:
        return None
    columns = [Column("Machine"), Column("Trials"), Column("First start", "s"), Column("Taken over", "times"),
               Column("Until it served again", "s, median"), Column("Saved", numeric=False), Column("Saved", "USD")]
    rows = [[name(one.machine), cell(one.trials, formats.count), cell(one.first_s, formats.significant),
             cell(len(one.again_s), formats.count),
             cell(median(one.again_s) if one.again_s else None, formats.significant),
             name(format_duration(one.saved_s)), cell(one.saved_usd, formats.usd)] for one in found]
    return Section("machines", "Machines", [
        Paragraph(words.machines(search)),
        Table(columns, rows, "A trial that takes over the machine of the trial before starts other containers on it "
                             "or updates its endpoint: saved is what the machine's first start took longer")])


def _trials(search: StackSearch) -> Section | None:
    if not search.trials:
        return None
    columns = [Column("Trial"), Column("Candidate", numeric=False), Column("Window", "share"),
               Column("Became", numeric=False), Column("Figure", numeric=False), Column("Stages"),
               Column("Windows", numeric=False), Column("Took", numeric=False), Column("Cost", "USD"),
               Column("Folder", numeric=False, wide=True)]
    rows = [[Cell(str(one.number + 1), one.number), name(one.candidate), cell(one.share, formats.percent),
             name(one.status),
             Cell(words.interval(search, one.figure) if one.status == "measured" else "", one.figure.value),
             cell(one.facts.get("stages"), formats.count), name(format_duration(one.measured_s)),
             name(format_duration(one.took_s)), cell(one.usd, formats.usd), name(one.folder)]
            for one in search.trials]
    return Section("trials", "Trials", [Paragraph("Each is an ordinary results folder, with a report of its own."),
                                        Table(columns, rows, "In the order of their start", folded=len(rows) > 12)])
