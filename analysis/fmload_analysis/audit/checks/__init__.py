"""The checks of the audit, by what they look at; `fmload_analysis.audit.audit.CHECKS` is the list."""
