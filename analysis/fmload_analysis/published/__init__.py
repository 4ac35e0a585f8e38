"""Results of other tools: read, audited, shown beside ours."""
