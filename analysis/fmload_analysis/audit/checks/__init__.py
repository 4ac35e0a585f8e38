"""The checks of the audit, by what they look at; `fmload.plugins.CHECKS` is the table."""
