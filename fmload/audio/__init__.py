"""Sound as bytes: file formats and how long they play, and made-up sound. No sockets, no clocks."""
