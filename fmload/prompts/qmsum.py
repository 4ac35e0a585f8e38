"""QMSum: queries about meetings; every query of a meeting is a prompt with the whole transcript."""

from __future__ import annotations

from fmload.prompts.table import RowOptions, Rows, Values, objects

_QUERIES = ("general_query_list", "specific_query_list")


class QMSum(Rows):
    """Rows with `meeting_transcripts`, `general_query_list`, `specific_query_list`, as in the published JSONL."""

    template = "{transcript}\n\nAnswer from the meeting above: {query}"

    class Options(RowOptions):
        """Keys of `source: qmsum`."""

    columns = ("meeting_transcripts",)

    def records(self, values: Values) -> list[Values]:
        spoken = objects(values, "meeting_transcripts")
        transcript = "\n".join(f"{turn.get('speaker', '')}: {turn.get('content', '')}" for turn in spoken)
        queries = [query for name in _QUERIES for query in objects(values, name)]
        language = self.options.language_column
        kept = {language: values[language]} if language in values else {}
        return [{**kept, "transcript": transcript, "query": query.get("query"), "reference": query.get("answer")}
                for query in queries]
