"""The version, in one place: the wheel, `fmload --version`, results and messages take it from here."""

__version__ = "0.2.0"
