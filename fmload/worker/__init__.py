"""The worker: sends requests when they are due and keeps a record of each."""
