"""The only part that imports Locust: plugin, user, shape, options, web UI."""
