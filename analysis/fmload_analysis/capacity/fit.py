"""Fits the model of one replica to what a run measured of it, and says how far it can be trusted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fmload.base.errors import EXIT_INVALID, FmloadError
from fmload_analysis.capacity.evidence import Floats, Gaps, Seen
from fmload_analysis.capacity.model import ReplicaModel
from fmload_analysis.capacity.refit import ENOUGH, Row, error_of, in_window, refit
from fmload_analysis.capacity.regression import non_negative, robust, variation

LEAST_GAPS = 200
USABLE, GOOD = 0.35, 0.10  # mean errors above which a fit is refused, and told as a warning
NEAR = 0.8  # a load that reached so much of what the model holds for the most was near the knee
GOOD_ENOUGH = 0.02  # errors that polishing does not go after: they are the noise of the run
_STEPS = (0.2, 0.1, 0.05, 0.025)
_POLISHED = ("prefill_per_token_s", "step_fixed_s", "step_per_request_s", "prefill_fixed_s")
CHUNKS = (256, 512, 1024, 2048, 8192)
_VARIES = 0.03  # of a step's logarithm: less moves no percentile
_TGI = (0.3, 20)  # its defaults


@dataclass(frozen=True, slots=True)
class Fitted:
    """The model with its error by stage, and `warnings`: what the run did not measure, and what that means."""

    endpoint: str
    model: ReplicaModel
    rows: tuple[Row, ...]
    error: float
    full: bool
    highest_per_s: float
    most_per_s: float
    input_tokens: tuple[float, float]  # least and most of what was measured
    output_tokens: tuple[float, float]
    warnings: tuple[str, ...]


def fit(endpoint: str, found: Sequence[Seen], tell: Callable[[str], None] = lambda said: None) -> Fitted:
    """The model nearest to the measured stages, of those that the gaps between chunks and the first tokens allow.

    Raises FmloadError where the run cannot tell: too few chunks, one request at a time only, or no model that comes
    near what was measured.
    """
    gaps = _joined([one.gaps for one in found])
    _refuse_too_little(endpoint, found, gaps)
    base = _base(found, gaps)
    tried: list[tuple[float, int, ReplicaModel, list[Row]]] = []
    for model in _candidates(base, found):
        tell(f"{endpoint}: fitting the model of one replica, {len(tried) + 1} tried")
        model = _delayed(model, found)
        rows = refit(model, found)
        tried.append((error_of(rows), len(tried), model, rows))
    error, _, model, rows = min(tried)
    error, model, rows = _polished(error, model, rows, found, tell)
    if error > USABLE:
        raise FmloadError(f"{endpoint}: no model of continuous batching comes near what was measured: the best is "
                          f"{error:.0%} off on average", exit_code=EXIT_INVALID,
                          hint="measure one replica with nothing beside it, in stages of a minute, from one request at "
                               "a time to beyond its knee")
    return _judged(endpoint, model, rows, error, found)


def _polished(error: float, model: ReplicaModel, rows: list[Row], found: Sequence[Seen],
              tell: Callable[[str], None]) -> tuple[float, ReplicaModel, list[Row]]:
    """Each figure of the model made larger or smaller while that brings the stages nearer: what gaps cannot tell, such
    as the cost of a prompt that rides on several steps."""
    for step in _STEPS if error > GOOD_ENOUGH else ():
        for name in _POLISHED:
            for factor in (1 + step, 1 / (1 + step)):
                tell(f"fitting {name}, the error is {error:.1%}")
                other = replace(model, **{name: getattr(model, name) * factor})
                again = refit(other, found)
                if (off := error_of(again)) < error:
                    error, model, rows = off, other, again
                    break
    return error, model, rows


def _refuse_too_little(endpoint: str, found: Sequence[Seen], gaps: Gaps) -> None:
    hint = "measure streamed requests in several stages, from one at a time to beyond the knee: load: {find: knee}"
    if not found:
        raise FmloadError(f"{endpoint}: no stage has a streamed answer that ended well", hint=hint,
                          exit_code=EXIT_INVALID)
    if not any(in_window(one).sum() >= ENOUGH for one in found):
        raise FmloadError(f"{endpoint}: no stage has {ENOUGH} requests that were sent in its window and answered, the "
                          "least that a model is held to", hint=hint, exit_code=EXIT_INVALID)
    if len(gaps.seconds) < LEAST_GAPS:
        raise FmloadError(f"{endpoint}: {len(gaps.seconds)} times between chunks are known exactly, and "
                          f"{LEAST_GAPS} are the least", hint=hint, exit_code=EXIT_INVALID)
    if gaps.batch.max() < 2:
        raise FmloadError(f"{endpoint}: never were two requests answered at the same time, so nothing tells what a "
                          "batch costs", hint=hint, exit_code=EXIT_INVALID)


def _joined(parts: Sequence[Gaps]) -> Gaps:
    return Gaps(*(np.concatenate([getattr(one, name) for one in parts]) if parts else np.array([])
                  for name in Gaps.__slots__))


def _base(found: Sequence[Seen], gaps: Gaps) -> ReplicaModel:
    """Steps and prompts from the gaps; as many slots as were ever seen taken."""
    sound = gaps.seconds > 0
    columns = np.column_stack([np.ones(len(gaps.seconds)), gaps.batch, gaps.held, gaps.prompts, gaps.prompt_tokens])
    fixed, each, token, prompt, prompt_token = map(float, robust(columns[sound], gaps.seconds[sound]))
    steps = sum(float(one.steps.sum()) for one in found)
    tokens = sum(float(one.output_tokens.sum()) for one in found)
    jitter = _jitter(gaps, columns @ np.array([fixed, each, token, prompt, prompt_token]))
    return ReplicaModel(fixed, each, token, prompt, prompt_token, max(one.largest for one in found),
                        tokens_per_step=max(tokens / steps, 1e-3), jitter=jitter)


def _jitter(gaps: Gaps, expected: Floats) -> float:
    """How far steps vary, of those with no prompt beside them where there are enough; 0 where it is hardly at all."""
    quiet = gaps.prompts == 0
    used = quiet if quiet.sum() >= LEAST_GAPS else np.ones(len(quiet), dtype=bool)
    found = variation(gaps.seconds[used], gaps.following[used], expected[used])
    return found if found >= _VARIES else 0.0


def _candidates(base: ReplicaModel, found: Sequence[Seen]) -> Iterator[ReplicaModel]:
    """The ways of batching, each with a prompt's cost by the gaps and by the first tokens of requests alone."""
    longest = max(float(one.uncached.max()) for one in found)
    chunks = [size for size in CHUNKS if size < longest] + [next((size for size in CHUNKS if size >= longest), 8192)]
    ways: list[dict[str, object]] = [{"batching": "alone"},
                                     {"batching": "alone", "admit_share": _TGI[0], "admit_steps": _TGI[1]},
                                     *({"batching": "chunked", "chunk_tokens": size} for size in chunks)]
    costs = [{}, *([by_alone] if (by_alone := _prefill_alone(base, found)) else [])]
    for way in ways:
        for cost in costs:
            yield replace(base, **way, **cost)  # type: ignore[arg-type]


def _alone(found: Sequence[Seen]) -> tuple[Floats, Floats]:
    """Uncached prompt tokens and TTFT of the requests that were sent with nothing else in flight."""
    tokens = np.concatenate([one.uncached[one.alone] for one in found])
    ttft = np.concatenate([(one.first_s - one.send_s)[one.alone] for one in found])
    return tokens, ttft


def _prefill_alone(base: ReplicaModel, found: Sequence[Seen]) -> dict[str, float]:
    tokens, ttft = _alone(found)
    if len(ttft) < 5:
        return {}
    fixed, each = robust(np.column_stack([np.ones(len(tokens)), tokens]), ttft)
    return {"prefill_fixed_s": max(float(fixed) - base.step_s(1, 0), 0.0), "prefill_per_token_s": float(each)}


def _delayed(model: ReplicaModel, found: Sequence[Seen]) -> ReplicaModel:
    """The model with what first tokens took beyond the engine's own time, where nothing else was in flight."""
    tokens, ttft = _alone(found)
    if len(ttft) < 5:
        return model
    chunked = model.batching == "chunked"
    steps = np.maximum(np.ceil(tokens / model.chunk_tokens), 1) if chunked else np.zeros(len(tokens))
    rest = ttft - model.prefill_fixed_s - model.prefill_per_token_s * tokens - steps * model.step_s(1, 0)
    scale = np.ones(len(tokens))
    if np.median(rest) <= 0:
        return model
    fixed, each = non_negative(np.column_stack([scale, tokens]) / ttft[:, None], rest / ttft)
    return replace(model, delay_fixed_s=float(fixed), delay_per_token_s=float(each))


def _judged(endpoint: str, model: ReplicaModel, rows: Sequence[Row], error: float, found: Sequence[Seen]) -> Fitted:
    inputs, outputs, uncached = (np.concatenate([getattr(one, name) for one in found])
                                 for name in ("input_tokens", "output_tokens", "uncached"))
    full = any(one.full for one in found)
    highest = max((row.measured for row in rows if row.figure == "requests_per_s"), default=0.0)
    most = model.most_requests_per_s(*(float(one.mean()) for one in (inputs, outputs, uncached)))
    fitted = Fitted(endpoint, model, tuple(rows), error, full, highest, most, _span(inputs), _span(outputs), ())
    return replace(fitted, warnings=tuple(_warnings(fitted, found)))


def _span(values: Floats) -> tuple[float, float]:
    return float(values.min()), float(values.max())


def _warnings(fitted: Fitted, found: Sequence[Seen]) -> Iterator[str]:
    slots = fitted.model.slots
    if fitted.error > GOOD:
        yield (f"the model is {fitted.error:.0%} off what was measured, on average over stages and figures: take the "
               "plan as a rough one")
    if not fitted.full:
        yield (f"no request was seen waiting for a full batch: a replica is taken to hold {slots} requests at most, "
               "the most that were answered at the same time; it may hold more. Measure at higher loads to know")
    if fitted.highest_per_s < NEAR * fitted.most_per_s:
        share = fitted.highest_per_s / fitted.most_per_s
        yield (f"the run reached {fitted.highest_per_s:.3g} requests/s, {share:.0%} of the "
               f"{fitted.most_per_s:.3g} that the model holds for the most: loads above are extrapolated. Measure "
               "near the knee (load: {find: knee})")
    if sum(int(one.alone.sum()) for one in found) < 5:
        yield ("no request was answered with nothing else in flight: what a first token takes beside the engine's work "
               "is taken as nothing. Add a stage with one user")
    if uncounted := sum(one.uncounted for one in found):
        yield (f"the prompts of {uncounted} requests were not counted, by the server nor by a tokenizer: they are "
               "taken as of 0 tokens, so that what a prompt costs by its length is not known. Name a tokenizer: and "
               "measure again")
    unanswered, answered = sum(one.unanswered for one in found), sum(len(one.send_s) for one in found)
    if unanswered > 0.01 * answered:
        yield (f"{unanswered} requests were not answered, or not as one stream ({answered} were): the model does not "
               "know of them, nor of failures under load")
