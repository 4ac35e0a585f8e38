"""Deployments of what is measured: plan, up, status, down. One file a target; the table is `fmload.targets`."""
