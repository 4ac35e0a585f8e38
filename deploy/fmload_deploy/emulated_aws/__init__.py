"""An AWS on this host to deploy to: moto's server, with what moto lacks for serving models laid over it.

Control planes only. It checks shapes as AWS does and lets things take their time and fail; it starts nothing. moto is
in the extra `emulated-aws`.
"""
