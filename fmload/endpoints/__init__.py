"""Endpoint protocols: prompt to request, response to chunks. One file each and one line in `fmload.plugins`."""
