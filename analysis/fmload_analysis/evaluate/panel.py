"""The judges file, and the questions that its panel is asked: rubrics filled in, each with a key that names it."""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from jinja2 import StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from pydantic import Field

from fmload.base.errors import FmloadError
from fmload.config.loading import load_as
from fmload.config.model import Rule, Strict
from fmload.config.schema import EndpointSpec, TimeoutSpec
from fmload.config.values import RunPath, Seconds
from fmload_analysis.evaluate.cases import Case
from fmload_analysis.evaluate.embeddings import EmbeddingSpec
from fmload_analysis.evaluate.verdicts import Kind

_BUNDLED = Path(__file__).parent / "rubrics"


class JudgesFile(Strict):
    """A panel of judges."""

    region: str | None = Field(None, description="AWS region of judges that name none")
    judges: list[EndpointSpec] = Field(default_factory=list, description="endpoints, as in a run file")
    embedding: EmbeddingSpec | None = Field(None, description="adds cosine similarity to the scores")
    rubrics: dict[str, RunPath] = Field(
        default_factory=dict, description="a template for a prompt set, by its name; `default` for the others")
    compare: bool = Field(True, description="compare the answers of every two endpoints, too, in both orders")
    comparison: RunPath | None = Field(None, description="the template of comparisons")
    attempts: int = Field(6, ge=1, description="of a question to a judge that is throttled or fails")
    backoff_s: Seconds = Field(1.0, alias="backoff", description="before the second attempt; doubled each time")
    timeouts: TimeoutSpec = Field(default_factory=TimeoutSpec, description="limits of one request")

    @classmethod
    def rules(cls, given: Mapping[str, Any]) -> Iterator[Rule]:
        if not given.get("judges") and "embedding" not in given:
            yield "judges", "needs at least one judge, where there is no embedding"
        names = [judge.get("name") for judge in given.get("judges") or [] if isinstance(judge, Mapping)]
        for index, name in enumerate(names):
            if name in names[:index]:
                yield ("judges", index, "name"), f"'{name}' names an earlier judge, too"


def load_judges(path: Path) -> JudgesFile:
    """The judges file at `path`. Raises FmloadError with every problem in it."""
    return load_as(JudgesFile, path, "'fmload help evaluate' shows a judges file")


@dataclass(frozen=True, slots=True)
class Question:
    """What one judge is asked. Equal questions have equal keys: they are asked once."""

    key: str
    judge: str
    kind: Kind
    text: str


@dataclass(frozen=True, slots=True)
class Pair:
    """Two endpoints' answers to one question."""

    first: Case
    second: Case

    @property
    def same(self) -> bool:
        """Equal answers are a tie that no judge needs to be asked about."""
        return self.first.answer == self.second.answer


def pairs_of(cases: Sequence[Case]) -> list[Pair]:
    """Every two endpoints' answers to each question; `cases`: one answer of an endpoint to a question."""
    groups: dict[tuple[str, str], list[Case]] = defaultdict(list)
    for case in cases:
        groups[case.prompt_set, case.question].append(case)
    return [Pair(*two) for group in groups.values()
            for two in combinations(sorted(group, key=lambda case: case.endpoint), 2)]


class Panel:
    """The judges and their rubrics. Raises FmloadError for a template that cannot be read."""

    def __init__(self, spec: JudgesFile) -> None:
        self.spec = spec
        self.names = [judge.name for judge in spec.judges]
        self._judges = {judge.name: _fingerprint(judge) for judge in spec.judges}
        self._rubrics = {name: _template(Path(path)) for name, path in spec.rubrics.items()}
        self._default = self._rubrics.get("default") or _template(_BUNDLED / "correctness.j2")
        self._comparison = _template(Path(spec.comparison) if spec.comparison else _BUNDLED / "comparison.j2")

    def grade(self, judge: str, case: Case) -> Question:
        """Is this answer correct?"""
        rubric = self._rubrics.get(case.prompt_set, self._default)
        return self._question(judge, "grade", rubric, question=case.question, references=case.references,
                              answer=case.answer)

    def compare(self, judge: str, pair: Pair) -> tuple[Question, Question]:
        """Which answer is better: asked in this order, and in the other one."""
        one, two = pair.first.answer, pair.second.answer
        asked = {"question": pair.first.question, "references": pair.first.references}
        return (self._question(judge, "comparison", self._comparison, **asked, first=one, second=two),
                self._question(judge, "comparison", self._comparison, **asked, first=two, second=one))

    def _question(self, judge: str, kind: Kind, rubric: Template, **values: Any) -> Question:
        try:
            text = rubric.render(**values)
        except TemplateError as error:
            raise FmloadError(f"{rubric.filename}: {error}", hint=f"a rubric may name {', '.join(values)}") from error
        key = hashlib.sha256("\0".join((self._judges[judge], kind, text)).encode()).hexdigest()
        return Question(key, judge, kind, text)

    def questions(self, cases: Sequence[Case]) -> list[Question]:
        """All that is to be asked, each question once, answer by answer."""
        pairs = [pair for pair in pairs_of(cases) if not pair.same] if self.spec.compare else []
        asked = [self.grade(judge, case) for case in cases for judge in self.names]
        asked += [question for pair in pairs for judge in self.names for question in self.compare(judge, pair)]
        return list({question.key: question for question in asked}.values())


def _fingerprint(judge: EndpointSpec) -> str:
    """What makes a judge another one: its name, model and parameters; not where it is reached."""
    return json.dumps([judge.name, judge.protocol, judge.model, judge.parameters], sort_keys=True)


def _template(path: Path) -> Template:
    environment = SandboxedEnvironment(undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    try:
        template = environment.from_string(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, TemplateError) as error:
        raise FmloadError(f"{path}: {error}", hint="a rubric is a Jinja template; 'fmload help evaluate'") from error
    template.filename = str(path)
    return template
