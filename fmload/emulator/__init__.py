"""An LLM server in one process that knows the truth: batching, faults, and the instant of every token it wrote.

It runs without gevent and without Locust, so that it never shares a clock or a loop with what it calibrates.
"""
