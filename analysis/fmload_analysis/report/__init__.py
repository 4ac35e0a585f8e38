"""From an analysis to report.html, report.md and the terminal."""
