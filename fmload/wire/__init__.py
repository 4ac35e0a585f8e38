"""The wire: sockets, kernel receive stamps, HTTP/1.1, SSE and AWS event streams."""
