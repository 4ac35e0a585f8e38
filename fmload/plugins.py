"""Every table that a stranger may add to from outside, as strings: nothing here is imported before it is used.

A distribution adds an entry by an entry point in the group that the table names, for example
`[project.entry-points."fmload.endpoint_protocol"]`.
"""

from __future__ import annotations

from fmload.base.errors import Faults
from fmload.base.registry import Registry

ENDPOINTS = Registry("endpoint protocol", {
    "openai": "fmload.endpoints.openai:OPENAI",
    "responses": "fmload.endpoints.responses:RESPONSES",
    "anthropic": "fmload.endpoints.anthropic:ANTHROPIC",
    "sagemaker": "fmload.endpoints.sagemaker:SageMaker",
    "bedrock": "fmload.endpoints.bedrock:Bedrock",
    "embeddings": "fmload.endpoints.embeddings:EMBEDDINGS",
    "rerank": "fmload.endpoints.rerank:RERANK",
}, about="Protocols: what has `Options`, and `from_spec`, which makes a `fmload.endpoints.base.Endpoint`: one over "
         "HTTP is a `fmload.endpoints.http.HttpProtocol`, else a class.",
   needs=("from_spec",))

SOURCES = Registry("prompt source", {
    "synthetic": "fmload.prompts.synthetic:Synthetic",
    "fixed": "fmload.prompts.fixed:Fixed",
    "random": "fmload.prompts.random_tokens:RandomTokens",
    "shared_prefix": "fmload.prompts.shared_prefix:SharedPrefix",
    "conversation": "fmload.prompts.conversation:Conversation",
    "agents": "fmload.prompts.agents:Agents",
    "agent_trace": "fmload.prompts.agent_trace:AgentTrace",
    "scenario": "fmload.prompts.scenario:Scenario",
    "jsonl": "fmload.prompts.table:Table",
    "csv": "fmload.prompts.table:Table",
    "parquet": "fmload.prompts.table:Table",
    "longbench": "fmload.prompts.longbench:LongBench",
    "qmsum": "fmload.prompts.qmsum:QMSum",
    "sharegpt": "fmload.prompts.sharegpt:ShareGPT",
    "openorca": "fmload.prompts.openorca:OpenOrca",
    "azure_trace": "fmload.prompts.azure_trace:AzureTrace",
    "burstgpt": "fmload.prompts.burstgpt:BurstGPT",
    "mooncake": "fmload.prompts.mooncake:Mooncake",
    "log": "fmload.prompts.log:Log",
    "gsm8k": "fmload.prompts.gsm8k:GSM8K",
    "mmlu_pro": "fmload.prompts.mmlu_pro:MMLUPro",
    "humaneval": "fmload.prompts.humaneval:HumanEval",
}, about="Prompt sources: a class like `fmload.prompts.source.Source`.",
   needs=("from_spec", "items", "make", "fingerprint"))

SESSION_TRACES = Registry("session trace", {
    "opentelemetry": "fmload.prompts.trace_otel",
    "mooncake": "fmload.prompts.trace_mooncake",
    "sharegpt": "fmload.prompts.trace_sharegpt",
    "steps": "fmload.prompts.trace_steps",
}, about="Forms of recorded sessions that `source: agent_trace` reads: a module like "
         "`fmload.prompts.traced.TraceForm`.",
   needs=("recognises", "sessions"))

ARRIVALS = Registry("arrival process", {
    "constant": "fmload.arrivals.steady:constant",
    "poisson": "fmload.arrivals.steady:poisson",
    "gamma": "fmload.arrivals.steady:gamma",
    "ramp": "fmload.arrivals.profiles:ramp",
    "step": "fmload.arrivals.profiles:step",
    "diurnal": "fmload.arrivals.profiles:diurnal",
}, about="Arrival processes: a function declared with `fmload.arrivals.takes`.")

STRATEGIES = Registry("stack strategy", {
    "grid": "fmload.stacks.grid:Grid",
    "halving": "fmload.stacks.halving:Halving",
    "optuna": "fmload.stacks.model_based:ModelBased",
}, about="Strategies of a search over serving stacks: a class like `fmload.stacks.strategy.Strategy`.",
   needs=("next", "at_most"))

TARGETS = Registry("deploy target", {
    "local": "fmload_deploy.local.target:Local",
    "sagemaker": "fmload_deploy.sagemaker.target:SageMaker",
    "ec2": "fmload_deploy.ec2.target:EC2",
    "eks": "fmload_deploy.eks.target:EKS",
    "bedrock": "fmload_deploy.bedrock.target:Bedrock",
}, about="Deploy targets: a class like `fmload_deploy.local.target.Local`.",
   needs=("plan", "up"))

KINDS = Registry("resource kind", {
    "process": "fmload_deploy.local.processes:Process",
    "iam-role": "fmload_deploy.ec2.kinds:Role",
    "iam-instance-profile": "fmload_deploy.ec2.kinds:InstanceProfile",
    "schedule-group": "fmload_deploy.scheduled_deletion:ScheduleGroup",
    "ec2-security-group": "fmload_deploy.ec2.kinds:SecurityGroup",
    "ec2-instance": "fmload_deploy.ec2.kinds:Instance",
    "eks-nodegroup": "fmload_deploy.eks.kinds:NodeGroup",
    "k8s-namespace": "fmload_deploy.eks.kinds:Namespace",
    "bedrock-provisioned-throughput": "fmload_deploy.bedrock.target:ProvisionedThroughput",
    "s3-object": "fmload_deploy.sagemaker.serving_properties:S3Object",
    "sagemaker-model": "fmload_deploy.sagemaker.kinds:Model",
    "sagemaker-endpoint-config": "fmload_deploy.sagemaker.kinds:EndpointConfig",
    "sagemaker-endpoint-update": "fmload_deploy.sagemaker.serve_anew:Update",
    "sagemaker-endpoint": "fmload_deploy.sagemaker.kinds:Endpoint",
    "sagemaker-inference-component": "fmload_deploy.sagemaker.kinds:InferenceComponent",
}, about="Kinds of resources that a deployment creates: a class like `fmload_deploy.base.Kind`; "
         "`down` needs no more.",
   needs=("find", "delete"))

COLLECTORS = Registry("telemetry collector", {
    "prometheus": "fmload.telemetry.prometheus:Prometheus",
    "prometheus_query": "fmload.telemetry.prometheus_query:PrometheusQuery",
    "nvidia_smi": "fmload.telemetry.nvidia_smi:NvidiaSmi",
    "neuron_monitor": "fmload.telemetry.neuron_monitor:NeuronMonitor",
    "docker": "fmload.telemetry.docker_stats:DockerStats",
    "cloudwatch": "fmload.telemetry.cloudwatch:CloudWatch",
}, about="Telemetry collectors: what the endpoints were doing while they were measured.",
   needs=("collect", "after", "close"))

PLANES = Registry("emulator plane", {
    "openai": "fmload.emulator.openai:PLANE",
    "responses": "fmload.emulator.responses:PLANE",
    "anthropic": "fmload.emulator.anthropic:PLANE",
    "sagemaker": "fmload.emulator.sagemaker:PLANE",
    "bedrock": "fmload.emulator.bedrock:PLANE",
    "inputs": "fmload.emulator.inputs:PLANE",
}, about="Protocols that the emulator speaks: a `fmload.emulator.plane.Plane`.",
   needs=("name", "serves", "open", "refuse"))

FORMS = Registry("emulator dialect", {
    "float-counts": "fmload.emulator.odd_openai:float_counts",
    "text-counts": "fmload.emulator.odd_openai:text_counts",
    "input-output-names": "fmload.emulator.odd_openai:input_output_names",
    "groq": "fmload.emulator.odd_openai:groq",
    "metadata-usage": "fmload.emulator.odd_openai:metadata_usage",
    "gemini-names": "fmload.emulator.odd_openai:gemini_names",
    "cache-hit-names": "fmload.emulator.odd_openai:cache_hit_names",
    "camel-names": "fmload.emulator.odd_openai:camel_names",
    "cohere-names": "fmload.emulator.odd_openai:cohere_names",
    "usage-in-list": "fmload.emulator.odd_openai:usage_in_list",
    "ollama-counts": "fmload.emulator.odd_openai:ollama_counts",
    "total-and-prompt": "fmload.emulator.odd_openai:total_and_prompt",
    "llama-timings": "fmload.emulator.odd_openai:llama_timings",
    "usage-with-last-text": "fmload.emulator.odd_openai:usage_with_last_text",
    "usage-in-choice": "fmload.emulator.odd_openai:usage_in_choice",
    "usage-in-delta": "fmload.emulator.odd_openai:usage_in_delta",
    "continuous-usage": "fmload.emulator.odd_openai:continuous_usage",
    "usage-null-until-the-end": "fmload.emulator.odd_openai:usage_null_until_the_end",
    "zeros-until-the-end": "fmload.emulator.odd_openai:zeros_until_the_end",
    "zero-after-the-total": "fmload.emulator.odd_openai:zero_after_the_total",
    "prompt-at-the-start": "fmload.emulator.odd_openai:prompt_at_the_start",
    "one-token-told": "fmload.emulator.odd_openai:one_token_told",
    "absurd-count": "fmload.emulator.odd_openai:absurd_count",
    "negative-count": "fmload.emulator.odd_openai:negative_count",
    "no-usage": "fmload.emulator.odd_openai:no_usage",
    "thinking-outside": "fmload.emulator.odd_openai:thinking_outside",
    "hidden-then-shown": "fmload.emulator.odd_openai:hidden_then_shown",
    "two-choices": "fmload.emulator.odd_openai:two_choices",
    "hidden-reasoning": "fmload.emulator.odd_openai:hidden_reasoning",
    "content-parts": "fmload.emulator.odd_openai:content_parts",
    "thinking-parts": "fmload.emulator.odd_openai:thinking_parts",
    "reasoning-details": "fmload.emulator.odd_openai:reasoning_details",
    "reasoning-object": "fmload.emulator.odd_openai:reasoning_object",
    "thinking-blocks": "fmload.emulator.odd_openai:thinking_blocks",
    "both-channels": "fmload.emulator.odd_openai:both_channels",
    "tool-calls": "fmload.emulator.odd_openai:tool_calls",
    "bare-tool-calls": "fmload.emulator.odd_openai:bare_tool_calls",
    "text-delta": "fmload.emulator.odd_openai:text_delta",
    "output-text-parts": "fmload.emulator.odd_openai:output_text_parts",
    "function-call": "fmload.emulator.odd_openai:function_call",
    "audio-transcript": "fmload.emulator.odd_openai:audio_transcript",
    "refusal": "fmload.emulator.odd_openai:refusal",
    "encrypted-reasoning": "fmload.emulator.odd_openai:encrypted_reasoning",
    "token-ids": "fmload.emulator.odd_openai:token_ids",
    "log-probabilities": "fmload.emulator.odd_openai:log_probabilities",
    "abort": "fmload.emulator.odd_openai:abort",
    "abort-object": "fmload.emulator.odd_openai:abort_object",
    "engine-overloaded": "fmload.emulator.odd_openai:engine_overloaded",
    "content-filter": "fmload.emulator.odd_openai:content_filter",
    "guardrail-word": "fmload.emulator.odd_openai:guardrail_word",
    "word-for-none": "fmload.emulator.odd_openai:word_for_none",
    "end-mark-of-tgi": "fmload.emulator.odd_openai:end_mark_of_tgi",
    "error-in-choice": "fmload.emulator.odd_openai:error_in_choice",
    "error-in-delta": "fmload.emulator.odd_openai:error_in_delta",
    "error-code": "fmload.emulator.odd_openai:error_code",
    "error-status": "fmload.emulator.odd_openai:error_status",
    "error-text": "fmload.emulator.odd_openai:error_text",
    "error-detail": "fmload.emulator.odd_openai:error_detail",
    "error-event": "fmload.emulator.odd_openai:error_event",
    "error-line": "fmload.emulator.odd_openai:error_line",
    "error-field": "fmload.emulator.odd_openai:error_field",
    "empty-finish-reason": "fmload.emulator.odd_openai:empty_finish_reason",
    "empty-data": "fmload.emulator.odd_openai:empty_data",
    "ping-event": "fmload.emulator.odd_openai:ping_event",
    "ping-object": "fmload.emulator.odd_openai:ping_object",
    "ping-text": "fmload.emulator.odd_openai:ping_text",
    "news": "fmload.emulator.odd_openai:news",
    "null-data": "fmload.emulator.odd_openai:null_data",
    "done-with-space": "fmload.emulator.odd_openai:done_with_space",
    "no-done": "fmload.emulator.odd_openai:no_done",
    "carriage-returns": "fmload.emulator.odd_openai:carriage_returns",
    "single-newlines": "fmload.emulator.odd_openai:single_newlines",
    "no-space": "fmload.emulator.odd_openai:no_space",
    "wrapped-in-lists": "fmload.emulator.odd_openai:wrapped_in_lists",
    "byte-order-mark": "fmload.emulator.odd_openai:byte_order_mark",
    "json-lines": "fmload.emulator.odd_openai:json_lines",
    "nan": "fmload.emulator.odd_openai:nan",
    "huge-integer": "fmload.emulator.odd_openai:huge_integer",
    "deep-timings": "fmload.emulator.odd_openai:deep_timings",
    "deeper-than-parsers-go": "fmload.emulator.odd_openai:deeper_than_parsers_go",
    "half-escapes": "fmload.emulator.odd_openai:half_escapes",
    "half-bytes": "fmload.emulator.odd_openai:half_bytes",
    "whole-text-again": "fmload.emulator.odd_vendors:whole_text_again",
    "message-beside-delta": "fmload.emulator.odd_vendors:message_beside_delta",
    "filter-annotations": "fmload.emulator.odd_vendors:filter_annotations",
    "finish-details": "fmload.emulator.odd_vendors:finish_details",
    "groq-error": "fmload.emulator.odd_vendors:groq_error",
    "filter-error": "fmload.emulator.odd_vendors:filter_error",
    "inspection-error": "fmload.emulator.odd_vendors:inspection_error",
    "risk-error": "fmload.emulator.odd_vendors:risk_error",
    "signed-tool-calls": "fmload.emulator.odd_vendors:signed_tool_calls",
    "nulls-in-deltas": "fmload.emulator.odd_vendors:nulls_in_deltas",
    "going-on": "fmload.emulator.odd_vendors:going_on",
    "prompt-progress": "fmload.emulator.odd_vendors:prompt_progress",
    "reference-parts": "fmload.emulator.odd_vendors:reference_parts",
    "usage-after-the-end-mark": "fmload.emulator.odd_vendors:usage_after_the_end_mark",
    "obfuscated": "fmload.emulator.odd_vendors:obfuscated",
    "bare-text": "fmload.emulator.odd_containers:bare_text",
    "generation-error": "fmload.emulator.odd_containers:generation_error",
    "special-end-mark": "fmload.emulator.odd_containers:special_end_mark",
    "details-left-out": "fmload.emulator.odd_containers:details_left_out",
    "guardrail-intervened": "fmload.emulator.odd_bedrock:guardrail_intervened",
    "content-filtered": "fmload.emulator.odd_bedrock:content_filtered",
    "malformed-model-output": "fmload.emulator.odd_bedrock:malformed_model_output",
    "no-metadata": "fmload.emulator.odd_bedrock:no_metadata",
    "unknown-events": "fmload.emulator.odd_bedrock:unknown_events",
    "odd-latency": "fmload.emulator.odd_bedrock:odd_latency",
    "mostly-cached": "fmload.emulator.odd_bedrock:mostly_cached",
    "nulls-and-signatures": "fmload.emulator.odd_bedrock:nulls_and_signatures",
    "tool-use": "fmload.emulator.odd_bedrock:tool_use",
    "first-token-without-text": "fmload.emulator.odd_bedrock:first_token_without_text",
    "invocation-guardrail": "fmload.emulator.odd_bedrock:invocation_guardrail",
    "no-invocation-metrics": "fmload.emulator.odd_bedrock:no_invocation_metrics",
    "metrics-alone": "fmload.emulator.odd_bedrock:metrics_alone",
    "claude-refusal": "fmload.emulator.odd_bedrock:claude_refusal",
    "claude-thinking": "fmload.emulator.odd_bedrock:claude_thinking",
    "claude-tool-use": "fmload.emulator.odd_bedrock:claude_tool_use",
    "claude-counts-again": "fmload.emulator.odd_bedrock:claude_counts_again",
    "headers-that-count-nothing": "fmload.emulator.odd_bedrock:headers_that_count_nothing",
    "vector-missing": "fmload.emulator.odd_inputs:vector_missing",
    "vector-twice": "fmload.emulator.odd_inputs:vector_twice",
    "no-vectors": "fmload.emulator.odd_inputs:no_vectors",
    "short-vector": "fmload.emulator.odd_inputs:short_vector",
    "nan-vector": "fmload.emulator.odd_inputs:nan_vector",
    "null-vector": "fmload.emulator.odd_inputs:null_vector",
    "error-with-200": "fmload.emulator.odd_inputs:error_with_200",
    "inputs-uncounted": "fmload.emulator.odd_inputs:inputs_uncounted",
    "indices-backwards": "fmload.emulator.odd_inputs:indices_backwards",
    "stranger-index": "fmload.emulator.odd_inputs:stranger_index",
    "same-index": "fmload.emulator.odd_inputs:same_index",
    "nan-score": "fmload.emulator.odd_inputs:nan_score",
    "total-alone": "fmload.emulator.odd_inputs:total_alone",
}, about="Odd forms of protocols that the emulator speaks (`--dialect`): a `fmload.emulator.odd.Form`.",
   needs=("change", "outcome"))

SCORES = Registry("answer score", {
    "exact_match": "fmload_analysis.evaluate.scores:exact_match",
    "token_f1": "fmload_analysis.evaluate.scores:token_f1",
    "rouge_l": "fmload_analysis.evaluate.scores:rouge_l",
    "levenshtein": "fmload_analysis.evaluate.scores:levenshtein",
    "token_set": "fmload_analysis.evaluate.scores:token_set",
}, about="Scores of an answer: a function of answer and ground truth, 0 to 1.")

IMPORTERS = Registry("importer", {
    "aiperf": "fmload_analysis.published.importers.aiperf:AIPerf",
    "fmbench": "fmload_analysis.published.importers.fmbench:FMBench",
    "genai-bench": "fmload_analysis.published.importers.genai_bench:GenAIBench",
    "genai-perf": "fmload_analysis.published.importers.genai_perf:GenAIPerf",
    "guidellm": "fmload_analysis.published.importers.guidellm:GuideLLM",
    "inference-perf": "fmload_analysis.published.importers.inference_perf:InferencePerf",
    "inferencex": "fmload_analysis.published.importers.inferencex:InferenceX",
    "llm-d": "fmload_analysis.published.importers.llm_d:LLMD",
    "llmeter": "fmload_analysis.published.importers.llmeter:LLMeter",
    "llmperf": "fmload_analysis.published.importers.llmperf:LLMPerf",
    "mlcommons": "fmload_analysis.published.importers.mlcommons:MLCommons",
    "mlperf": "fmload_analysis.published.importers.mlperf:MLPerf",
    "sagemaker-jobs": "fmload_analysis.published.importers.sagemaker_jobs:SageMakerJobs",
    "sglang": "fmload_analysis.published.importers.sglang:SGLang",
    "vllm": "fmload_analysis.published.importers.vllm:VLLM",
}, about="Importers of other tools' results: `recognises(source)` and `read(source)`.",
   needs=("recognises", "read"))

CHECKS = Registry("audit check", {
    "littles_law": "fmload_analysis.audit.checks.load:littles_law",
    "token_sums": "fmload_analysis.audit.checks.tokens:token_sums",
    "token_counts": "fmload_analysis.audit.checks.tokens:token_counts",
    "counted_texts": "fmload_analysis.audit.checks.tokens:counted_texts",
    "token_source": "fmload_analysis.audit.checks.tokens:token_source",
    "told_counts": "fmload_analysis.audit.checks.tokens:told_counts",
    "output_limit": "fmload_analysis.audit.checks.tokens:output_limit",
    "output_lengths": "fmload_analysis.audit.checks.tokens:output_lengths",
    "echoes": "fmload_analysis.audit.checks.tokens:echoes",
    "tokens_per_chunk": "fmload_analysis.audit.checks.tokens:tokens_per_chunk",
    "server_counters": "fmload_analysis.audit.checks.tokens:server_counters",
    "order_of_instants": "fmload_analysis.audit.checks.timing:order_of_instants",
    "buffered_streams": "fmload_analysis.audit.checks.timing:buffered_streams",
    "censored_tokens": "fmload_analysis.audit.checks.timing:censored_tokens",
    "late_first_tokens": "fmload_analysis.audit.checks.timing:late_first_tokens",
    "stalls": "fmload_analysis.audit.checks.timing:stalls",
    "server_times": "fmload_analysis.audit.checks.timing:server_times",
    "proxy": "fmload_analysis.audit.checks.way:proxy",
    "offered_load": "fmload_analysis.audit.checks.load:offered_load",
    "as_many_as_asked": "fmload_analysis.audit.checks.load:as_many_as_asked",
    "send_lateness": "fmload_analysis.audit.checks.load:send_lateness",
    "all_sent": "fmload_analysis.audit.checks.load:all_sent",
    "all_recorded": "fmload_analysis.audit.checks.load:all_recorded",
    "addresses": "fmload_analysis.audit.checks.addresses:addresses",
    "share_of_mix": "fmload_analysis.audit.checks.mixes:share_of_mix",
    "lock_step": "fmload_analysis.audit.checks.load:lock_step",
    "undisturbed": "fmload_analysis.audit.checks.load:undisturbed",
    "client_failures": "fmload_analysis.audit.checks.client:client_failures",
    "client_cpu": "fmload_analysis.audit.checks.client:client_cpu",
    "client_host": "fmload_analysis.audit.checks.client:client_host",
    "client_lag": "fmload_analysis.audit.checks.client:client_lag",
    "stamping_delay": "fmload_analysis.audit.checks.client:stamping_delay",
    "enough_samples": "fmload_analysis.audit.checks.samples:enough_samples",
    "steady": "fmload_analysis.audit.checks.samples:steady",
    "warmed_up": "fmload_analysis.audit.checks.samples:warmed_up",
    "warmup_ended": "fmload_analysis.audit.checks.samples:warmup_ended",
    "known_well_enough": "fmload_analysis.audit.checks.samples:known_well_enough",
    "cached_tokens": "fmload_analysis.audit.checks.samples:cached_tokens",
    "repeated_prompts": "fmload_analysis.audit.checks.samples:repeated_prompts",
    "prefix_cache": "fmload_analysis.audit.checks.server:prefix_cache",
    "throttles": "fmload_analysis.audit.checks.server:throttles",
    "few_errors": "fmload_analysis.audit.checks.outcomes:few_errors",
    "finish_reasons": "fmload_analysis.audit.checks.outcomes:finish_reasons",
    "every_record": "fmload_analysis.audit.checks.outcomes:every_record",
}, about="Checks of the audit, in the order in which they are told: a function of a stage's `Facts` that "
         "gives a Check or None.")

SECTIONS = Registry("report section", {
    "headline": "fmload_analysis.report.sections.headline:render",
    "price_performance": "fmload_analysis.report.sections.price_performance:render",
    "recommendations": "fmload_analysis.report.sections.recommendations:render",
    "search": "fmload_analysis.report.sections.search:render",
    "stages": "fmload_analysis.report.sections.stages:render",
    "token_latency": "fmload_analysis.report.sections.token_latency:render",
    "arrivals": "fmload_analysis.report.sections.arrivals:render",
    "load_latency": "fmload_analysis.report.sections.load_latency:render",
    "further_metrics": "fmload_analysis.report.sections.further_metrics:render",
    "prompt_size": "fmload_analysis.report.sections.prompt_size:render",
    "output_lengths": "fmload_analysis.report.sections.output_lengths:render",
    "throughput": "fmload_analysis.report.sections.throughput:render",
    "mix": "fmload_analysis.report.sections.mix:render",
    "sessions": "fmload_analysis.report.sections.sessions:render",
    "addresses": "fmload_analysis.report.sections.addresses:render",
    "repeats": "fmload_analysis.report.sections.repeats:render",
    "missed": "fmload_analysis.report.sections.missed:render",
    "errors": "fmload_analysis.report.sections.errors:render",
    "safe_check": "fmload_analysis.report.sections.safe_check:render",
    "cost": "fmload_analysis.report.sections.cost:render",
    "quality": "fmload_analysis.report.sections.quality:render",
    "limits": "fmload_analysis.report.sections.limits:render",
    "endpoint_metrics": "fmload_analysis.report.sections.endpoint_metrics:render",
    "audit": "fmload_analysis.report.sections.audit:render",
    "client": "fmload_analysis.report.sections.client:render",
    "timeline": "fmload_analysis.report.sections.timeline:render",
    "configuration": "fmload_analysis.report.sections.configuration:render",
    "glossary": "fmload_analysis.report.sections.glossary:render",
}, about="Sections of the report, in its order: a function of the analysis that gives a Section or None.")

VIEWS = Registry("view", {
    "aiperf": "fmload_analysis.published.views:aiperf",
    "fmbench": "fmload_analysis.published.views:fmbench",
    "genai-perf": "fmload_analysis.published.views:genai_perf",
    "guidellm": "fmload_analysis.published.views:guidellm",
    "inference-perf": "fmload_analysis.published.views:inference_perf",
    "llmperf": "fmload_analysis.published.views:llmperf",
    "mlperf": "fmload_analysis.published.views:mlperf",
    "sglang": "fmload_analysis.published.views:sglang",
    "vllm": "fmload_analysis.published.views:vllm",
}, about="Views `--as` another tool: a function of a stage's facts that gives that tool's figures.")

METRICS = Registry("metric", {}, about="Metrics beside those of `fmload.metrics.definitions`: a `Metric`. Each gets "
         "its columns in summary.csv, a row in the report and the glossary, and can be an objective.",
   needs=("name", "unit", "function"))

EXPORTERS = Registry("exporter", {
    "prometheus": "fmload.exposition.prometheus",
    "opentelemetry": "fmload.exposition.opentelemetry",
}, about="Exporters of live metrics: a module with `add_arguments`, `to_master` and `start`.",
   needs=("add_arguments", "to_master", "start"))

COMMANDS = Registry("command", {
    "run": "fmload.cli.run",
    "init": "fmload.cli.init",
    "validate": "fmload.cli.validate",
    "prompts": "fmload.cli.prompts",
    "emulate": "fmload.cli.emulate",
    "report": "fmload.cli.report",
    "audit": "fmload.cli.audit",
    "compare": "fmload.cli.compare",
    "import": "fmload.cli.import_",
    "prices": "fmload.cli.prices",
    "deploy": "fmload.cli.deploy",
    "evaluate": "fmload.cli.evaluate",
    "selftest": "fmload.cli.selftest",
    "help": "fmload.cli.help",
}, about="Commands of `fmload`: a module with `add_arguments(parser)` and `run(args) -> exit code`.",
   needs=("add_arguments", "run"))

EXPORTS = Registry("export", {
    "aiperf": "fmload_analysis.published.export:aiperf",
    "br0.2": "fmload_analysis.published.export:benchmark_report",
    "inference-perf": "fmload_analysis.published.export:inference_perf",
    "sglang": "fmload_analysis.published.export:sglang",
    "vllm": "fmload_analysis.published.export:vllm",
}, about="Files `--export` in another tool's form: a function of a stage's facts that gives its content.")


def is_steady(process: str) -> bool:
    """Whether the rate of a process stays the same. True for a name that is not known, which is told of elsewhere."""
    return process not in ARRIVALS.names() or getattr(ARRIVALS.load(process), "steady", True)


def refuse_broken() -> None:
    """Raises FmloadError, for all in one pass, where an entry of another distribution that every run comes to cannot
    be used: said before the load, and not after it."""
    faults = Faults()
    for table in (METRICS, CHECKS, SECTIONS):
        for error in table.problems():
            faults.add(error)
    faults.check()
