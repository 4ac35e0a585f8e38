from __future__ import annotations

from dataclasses import replace

import pytest

from fmload.base.errors import FmloadError
from fmload_analysis.evaluate.budget import Budget, Expectation, budget_of
from fmload_analysis.evaluate.ledger import Entry
from fmload_analysis.evaluate.panel import JudgesFile, Panel, Question
from fmload_analysis.verdict.cost import Pricing

DEAR = Pricing("test", input_per_1m=1000, output_per_1m=10_000)  # a token in costs 0.001, a token out 0.01


def question(number: int = 0, judge: str = "j", size: int = 400) -> Question:
    return Question(f"{judge}{number}", judge, "grade", "x" * size)


def reply(asked: Question, tokens_in: int | None = 200, tokens_out: int | None = 10, outcome: str = "ok") -> Entry:
    return Entry(asked.key, asked.judge, asked.kind, outcome, input_tokens=tokens_in, output_tokens=tokens_out)


def test_a_question_is_expected_to_cost_what_the_judges_replies_so_far_cost() -> None:
    judge = Expectation(DEAR)
    assert judge.usd(question()) == pytest.approx(100 * 0.001 + 100 * 0.01)  # a rule of thumb
    judge.learn(question(), reply(question()))
    assert judge.tokens(question(1, size=800)) == (400, 10)
    assert judge.usd(question(1, size=800)) == pytest.approx(400 * 0.001 + 10 * 0.01)
    assert judge.spent_usd == pytest.approx(200 * 0.001 + 10 * 0.01)


def test_no_reply_is_expected_to_be_longer_than_the_judge_may_answer() -> None:
    assert Expectation(DEAR, limit_tokens=20).tokens(question()) == (100, 20)


def test_a_failed_question_costs_nothing_and_garbage_costs_what_it_took() -> None:
    judge = Expectation(DEAR)
    judge.learn(question(), reply(question(), None, None, "http_5xx"))
    assert judge.spent_usd == 0
    judge.learn(question(), reply(question(), outcome="garbage"))
    assert judge.spent_usd == pytest.approx(0.3)


def test_a_reply_without_counts_costs_what_was_expected() -> None:
    judge = Expectation(DEAR)
    judge.learn(question(), reply(question(), None, None))
    assert judge.spent_usd == pytest.approx(100 * 0.001 + 100 * 0.01)


def test_questions_under_way_count_with_what_they_are_expected_to_cost() -> None:
    judge = Expectation(DEAR)
    judge.learn(question(99), reply(question(99)))  # 0.3 each
    budget = Budget({"j": judge}, limit_usd=1.0)
    assert [budget.take(question(number)) for number in range(3)] == [True, True, False]
    budget.settle(question(0), reply(question(0)))
    assert budget.exhausted and not budget.take(question(3))  # once it may not, none may
    assert budget.spent_usd == pytest.approx(0.6)


def test_nobody_is_asked_for_a_limit_of_nothing() -> None:
    budget = Budget({"j": Expectation(DEAR)}, limit_usd=0.0)
    assert not budget.take(question())


def test_without_a_limit_everything_is_asked_and_without_prices_nothing_is_counted() -> None:
    budget = Budget({"j": Expectation(None)})
    assert all(budget.take(question(number)) for number in range(1000))
    assert budget.estimates([question()])[0].usd is None


def test_the_estimate_is_by_judge() -> None:
    budget = Budget({"j": Expectation(DEAR), "idle": Expectation(DEAR)})
    mine, idle = budget.estimates([question(0), question(1)])
    assert (mine.judge, mine.questions, mine.input_tokens, mine.output_tokens) == ("j", 2, 200, 200)
    assert mine.usd == pytest.approx(2.2)
    assert (idle.questions, idle.usd) == (0, 0)


def panel(*names: str) -> Panel:
    judges = [{"name": name, "protocol": "openai", "url": "http://127.0.0.1:1", "parameters": {"max_tokens": 5}}
              for name in names]
    return Panel(JudgesFile.model_validate({"judges": judges}))


def test_what_earlier_calls_paid_counts() -> None:
    asked = [question(number) for number in range(3)]
    entries = {each.key: reply(each) for each in asked[:2]}
    budget = budget_of(panel("j"), asked, entries, {"j": DEAR}, limit_usd=0.9)
    assert budget.spent_usd == pytest.approx(0.6)
    assert budget.take(asked[2]) and not budget.take(question(3))
    assert budget_of(panel("j"), asked, {}, {"j": DEAR}).estimates(asked)[0].output_tokens == 15  # max_tokens


def test_a_limit_needs_the_token_prices_of_all_judges() -> None:
    hourly = replace(DEAR, input_per_1m=None, output_per_1m=None, usd_per_hour=3.6)
    with pytest.raises(FmloadError, match="no token prices are known of k, l"):
        budget_of(panel("j", "k", "l"), [], {}, {"j": DEAR, "k": None, "l": hourly}, limit_usd=1)
    free = Pricing("test", input_per_1m=0, output_per_1m=0)
    assert budget_of(panel("j"), [], {}, {"j": free}, limit_usd=0).take(question())
