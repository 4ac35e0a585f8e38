"""Importers of other tools' files: one file each with `recognises` and `read`, and a line in `fmload.plugins`."""
