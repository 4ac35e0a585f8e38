"""What to do about a refusal, by its status and the server's own words. Pure."""

from __future__ import annotations

import re

_BY_WORDS = (
    (r"max_completion_tokens", "set max_tokens_field: max_completion_tokens for the endpoint"),
    (r"max_tokens|max_new_tokens|minimum value|at least \d+ tokens",
     "another name or size of the output limit: max_tokens_field of the endpoint, output_tokens of the prompts"),
    (r"stream_options|include_usage", "set include_usage: false for the endpoint; tokens are counted otherwise then"),
    (r"context (length|window|size)|maximum context|exceed_context|too long|max_model_len",
     "shorter prompts or answers: input_tokens, output_tokens, or filter: {tokens: [1, …]}"),
    (r"ignore_eos|min_tokens|guided", "exact_output_parameters of the endpoint say what asks for an exact length"),
    (r"temperature|unsupported (parameter|value)|unrecognized|extra (fields|inputs)|not permitted",
     "parameters of the endpoint are sent as they are: leave out what this server does not take"),
    (r"model.{0,40}(not found|not exist|does not exist|unknown)|no such model",
     "check the endpoint's model: 'fmload init --url URL' shows what the server serves"))
_BY_STATUS = {
    401: "check the key: api_key_env names the variable that holds it, such as OPENAI_API_KEY",
    403: "check the key (api_key_env) or the credentials, and what they may use",
    404: "check the endpoint's url, which ends in /v1 as a rule, and its model",
    405: "check the endpoint's url: it is the base, without /chat/completions",
    413: "a proxy or the server takes no request of this size: shorter prompts, or a higher limit there",
    **dict.fromkeys((301, 302, 303, 307, 308), "make the address that it redirects to the endpoint's url"),
}


_UNREACHED = (
    (r"certificate", "name the certificate that signed it: ca_file of the endpoint"),
    (r"TLS|SSL", "does the server speak TLS at this port? if not, its url begins with http://"),
    (r"refused", "is the server up, and is this its port?"),
    (r"resolve|name or service|no address|not known|nodename", "is the name of the host written as it should be?"),
    (r"no connection .* within|timed out|unreachable|no route",
     "is it up, and may this host reach it (firewall, security group, VPN)?"),
    (r"closed the connection|closed before|reset", "does the server speak TLS at this port? then its url begins with "
                                                   "https://"))


def remedy(status: int | None, message: str) -> str | None:
    """A sentence for what the server said, or for why it was not reached (no status); None where there is none to
    give."""
    if status is None:
        return next((told for words, told in _UNREACHED if re.search(words, message, re.IGNORECASE)), None)
    if status not in _BY_STATUS or status == 404:
        for words, told in _BY_WORDS:
            if re.search(words, message, re.IGNORECASE):
                return told
    return _BY_STATUS.get(status)
