"""The sections of the report: one file each with `render(analysis)`, and a line in `fmload.plugins`, in order.

`render` gives None where the run holds nothing for the section. Sections of other distributions come last.
"""
