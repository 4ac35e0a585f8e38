"""From records to the report: load, summarize, cost, objectives, audit, recommend, compare, plot, render."""
