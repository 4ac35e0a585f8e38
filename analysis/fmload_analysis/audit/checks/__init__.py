"""The checks of the audit, by what they look at; `analysis.audit.CHECKS` is the list."""
