"""Possible, told and billed shares of a prefix cache: in closed form, and as the emulator's own cache has it."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fmload.base.errors import FmloadError
from fmload.config.schema import PromptSpec, RunFile
from fmload.emulator.prefix import PrefixCache
from fmload.model.prompt import Prompt
from fmload.model.record import Record
from fmload.prompts import store
from fmload.prompts.preparation import prepare
from fmload_analysis.document.document import Callout, Paragraph
from fmload_analysis.pipeline import analyse_run
from fmload_analysis.report.sections import cache
from fmload_analysis.run import open_run
from fmload_analysis.stage.cache_truth import CacheTruth
from fmload_analysis.verdict.analysis import Analysis
from tests import handmade

PRICE = {"input_per_1m": 10.0, "output_per_1m": 0.0, "cached_input_per_1m": 1.0, "cache_write_per_1m": 12.5,
         "cache_write_1h_per_1m": 20.0}


def sent(number: int, tokens: int, cached: int | None, **columns: Any) -> Record:
    at = 10 * number
    return handmade.request(f"r{number}", at, [at + 2, at + 4], input_tokens=tokens, cached_tokens=cached,
                            **{"prompt_id": f"p-{number}", **columns})


def analysed(folder: Path, requests: list[Record], prompts: list[Prompt] = [], price: Any = PRICE,  # noqa: B006
             **prompt_set: Any) -> Analysis:
    results = handmade.write(folder, [handmade.stage()], requests, spec={
        "endpoints": [{"name": "a", **({"price": price} if price else {})}],
        "prompts": [{"name": "p", "source": "jsonl", **prompt_set}]})
    if prompts:
        store.write(results.prompts / "p.jsonl", prompts)
    return analyse_run(open_run(folder))


def truth(analysis: Analysis) -> CacheTruth:
    found = analysis.results[0].summary.cache
    assert found is not None
    return found


def test_what_was_possible_is_what_the_emulators_own_cache_finds(tmp_path: Path) -> None:
    draw, server = random.Random(3), PrefixCache()
    heads = ["".join(draw.choices("abc ", k=draw.randint(50, 900))) for _ in range(4)]
    prompts, requests, hits = [], [], 0
    for number in range(90):
        text = draw.choice(heads) + "".join(draw.choices("xyz ", k=draw.randint(20, 300)))
        tokens = max(2, len(text) // 4)
        found = server.cached_tokens(text, tokens)
        hits += found
        prompts.append(Prompt(f"p-{number}", "p", text=text, input_tokens=tokens))
        requests.append(sent(number, tokens, found))
    whole = truth(analysed(tmp_path, requests, prompts)).whole
    assert hits
    assert (whole.possible, whole.known, whole.told_by) == (whole.told, 90, 90)
    assert (whole.told or 0) * whole.input_tokens == pytest.approx(hits)


def test_turns_with_served_answers_hold_the_prompt_before(tmp_path: Path) -> None:
    def turn(number: int, tokens: int, cached: int) -> Record:
        note = {"scenario": {"session": "s", "turn": number, "of": "p", "step": number}}
        return sent(number, tokens, cached, prompt_id=f"s:{number}", output_tokens=20, detail=json.dumps(note))

    found = truth(analysed(tmp_path, [turn(0, 100, 0), turn(1, 150, 96), turn(2, 200, 96)], answers="served"))
    # 100 tokens are six whole blocks of the second prompt, 150 nine of the third
    assert [one.possible for one in found.turns[1:]] == pytest.approx([96 / 150, 144 / 200])
    assert [one.told for one in found.turns] == pytest.approx([0, 96 / 150, 96 / 200])
    assert (found.whole.known, found.whole.requests) == (2, 3)


def test_where_possible_is_known_of_some_requests_alone_the_report_says_what_was_told_of_those(tmp_path: Path) -> None:
    def turn(number: int, tokens: int, cached: int) -> Record:
        note = {"scenario": {"session": "s", "turn": number, "of": "p", "step": number}}
        return sent(number, tokens, cached, prompt_id=f"s:{number}", output_tokens=20, detail=json.dumps(note))

    analysis = analysed(tmp_path, [turn(0, 900, 0), turn(1, 1000, 800)], answers="served")
    whole = truth(analysis).whole
    assert (whole.possible, whole.told, whole.told_of_known) == (0.896, pytest.approx(800 / 1900), 0.8)
    section = cache.render(analysis)
    assert section is not None
    said = " ".join(block.text for block in section.blocks if isinstance(block, Paragraph))
    assert "Of stage 0 it is known of 1 of 2 requests: 90 % of their input was possible, 80 % told." in said


def test_cached_written_and_hourly_tokens_are_each_paid_at_their_own_price(tmp_path: Path) -> None:
    requests = [sent(0, 1000, 0, cache_write_tokens=1000, cache_write_1h_tokens=1000),
                sent(1, 1000, 0, cache_write_tokens=1000, cache_write_1h_tokens=0), sent(2, 1000, 800)]
    whole = truth(analysed(tmp_path, requests)).whole
    assert whole.usd == pytest.approx((1000 * 20 + 1000 * 12.5 + 800 * 1 + 200 * 10) / 1e6)
    assert whole.usd_without == pytest.approx(3000 * 10 / 1e6)
    assert (whole.written, whole.written_1h, whole.billed) == (2000, 1000, pytest.approx(800 / 3000))


def test_writes_for_an_hour_without_a_price_of_their_own_are_told(tmp_path: Path) -> None:
    without = {key: value for key, value in PRICE.items() if key != "cache_write_1h_per_1m"}
    section = cache.render(analysed(tmp_path, [
        sent(0, 100, 0, cache_write_tokens=100, cache_write_1h_tokens=100)], price=without))
    assert section is not None
    assert [block.mark for block in section.blocks if isinstance(block, Callout)] == ["warn"]


@pytest.mark.parametrize(("price", "billed"), [
    ({"input_per_1m": 10.0, "output_per_1m": 1.0}, 0.0), ({"hourly": 1.0}, None), (None, None)])
def test_what_is_told_is_billed_only_where_cached_input_has_a_price(tmp_path: Path, price: Any,
                                                                    billed: float | None) -> None:
    whole = truth(analysed(tmp_path, [sent(0, 100, 48)], price=price)).whole
    assert (whole.told, whole.billed) == (0.48, billed)
    assert (whole.usd is None) == ("output_per_1m" not in (price or {}))


def test_a_server_that_tells_nothing_of_its_cache_has_no_share(tmp_path: Path) -> None:
    text = "the same words again and again " * 20
    prompts = [Prompt(f"p-{number}", "p", text=text) for number in range(3)]
    analysis = analysed(tmp_path, [sent(number, 100, None) for number in range(3)], prompts)
    assert analysis.results[0].summary.cache is None
    assert cache.render(analysis) is None


def test_more_cached_than_sent_is_never_more_than_all(tmp_path: Path) -> None:
    assert truth(analysed(tmp_path, [sent(0, 100, 250)])).whole.told == 1.0


def test_of_a_server_that_tells_at_times_the_share_is_of_those_requests(tmp_path: Path) -> None:
    whole = truth(analysed(tmp_path, [sent(0, 100, 50), sent(1, 900, None)])).whole
    assert (whole.told, whole.told_by, whole.requests) == (0.5, 1, 2)


@pytest.mark.parametrize(("share", "rate", "tokens"), [(1.0, 0.6, 600), (0.8, 0.6, 1200)])
def test_a_target_hit_rate_gives_prefixes_of_the_length_that_finds_it(tmp_path: Path, share: float, rate: float,
                                                                     tokens: int) -> None:
    from fmload.prompts.shared_prefix import prefix_tokens_of

    spec = PromptSpec.model_validate({"name": "p", "source": "shared_prefix", "hit_rate": rate, "share": share,
                                      "input_tokens": 400})
    assert prefix_tokens_of(spec.options) == tokens
    assert share * tokens / (tokens + 400) == pytest.approx(rate)  # the closed form


def test_generated_prompts_reach_the_target_in_a_cache_that_holds_their_prefixes(tmp_path: Path) -> None:
    run = RunFile.model_validate({
        "name": "r", "endpoints": [{"name": "e", "protocol": "openai", "url": "http://h:1/v1"}],
        "prompts": [{"name": "p", "source": "shared_prefix", "hit_rate": 0.7, "prefixes": 2, "input_tokens": 200,
                     "count": 60}], "load": {"concurrency": [1]}})
    prompts = store.read(prepare(run, tmp_path)["p"])
    for blocks, low, high in ((100_000, 0.62, 0.70), (10, 0.0, 0.01)):  # the first of each prefix is cold
        server = PrefixCache(blocks)
        found = sum(server.cached_tokens(prompt.as_text(), prompt.input_tokens or 0) for prompt in prompts)
        assert low <= found / sum(prompt.input_tokens or 0 for prompt in prompts) <= high


@pytest.mark.parametrize(("keys", "told"), [
    ({}, "give it, or hit_rate"), ({"hit_rate": 0.5, "prefix_tokens": 5}, "give it, or hit_rate"),
    ({"hit_rate": 0.5, "share": 0.4}, "must be below share")])
def test_a_target_that_cannot_be_reached_is_refused(keys: dict[str, Any], told: str) -> None:
    with pytest.raises((FmloadError, ValueError), match=told):
        PromptSpec.model_validate({"name": "p", "source": "shared_prefix", "input_tokens": 400, **keys})


def test_an_adapter_finds_nothing_that_another_model_was_sent(tmp_path: Path) -> None:
    text = "the same words again and again " * 20
    prompts = [Prompt(f"p-{number}", "p", text=text) for number in range(4)]
    requests = [sent(number, 160, 0, tenant=tenant) for number, tenant in enumerate((None, "gold", "free", "gold"))]
    results = handmade.write(tmp_path, [handmade.stage()], requests, spec={
        "endpoints": [{"name": "a"}], "prompts": [{"name": "p", "source": "jsonl"}],
        "tenants": [{"name": "gold", "model": "lora"}, {"name": "free"}]})
    store.write(results.prompts / "p.jsonl", prompts)
    whole = truth(analyse_run(open_run(tmp_path))).whole
    assert (whole.possible or 0) * 640 == pytest.approx(2 * 144)  # of free the first, of gold the second: 144 of 160


def test_of_a_conversation_that_is_held_again_it_is_not_known_what_is_found(tmp_path: Path) -> None:
    def turn(number: int, session: str, place: int) -> Record:
        note = {"scenario": {"session": session, "turn": number, "of": "p", "step": number}}
        return sent(place, 100 + 50 * number, 96, prompt_id=f"c:{number}", output_tokens=2, detail=json.dumps(note))

    requests = [turn(0, "s", 0), turn(1, "s", 1), turn(0, "s/2", 2), turn(1, "s/2", 3)]
    whole = truth(analysed(tmp_path, requests, answers="served")).whole
    assert (whole.known, whole.possible) == (1, pytest.approx(96 / 150))


def test_a_sub_agent_with_a_chat_of_its_own_holds_nothing_of_the_turn_before(tmp_path: Path) -> None:
    def step(number: int, tokens: int, goes_on: int | None) -> Record:
        note = {"scenario": {"session": "s", "turn": number, "of": "p", "step": number, "goes_on": goes_on}}
        return sent(number, tokens, 0, prompt_id=f"s:{number}", output_tokens=20, detail=json.dumps(note))

    found = truth(analysed(tmp_path, [step(0, 250, None), step(1, 160, None), step(2, 500, 0)], answers="served"))
    # the sub-agent's 160 tokens begin otherwise; the turn after it goes on from the 250 of the first: 15 blocks
    assert [one.possible for one in found.turns] == [None, None, pytest.approx(240 / 500)]


def test_a_question_that_was_lost_is_no_part_of_what_the_next_turn_holds(tmp_path: Path) -> None:
    def turn(number: int, tokens: int | None, **more: Any) -> Record:
        note = {"scenario": {"session": "s", "turn": number, "of": "p", "step": number}}
        return sent(number, tokens, 0, prompt_id=f"s:{number}", detail=json.dumps(note), **more)  # type: ignore[arg-type]

    found = truth(analysed(tmp_path, [turn(0, 100), turn(1, None, outcome="http_5xx"), turn(2, 150)], answers="served"))
    assert [one.possible for one in found.turns] == [None, pytest.approx(96 / 150)]
