"""Our own live metrics for others to watch: Prometheus text to be scraped, OTLP to be sent. Of the master only."""
