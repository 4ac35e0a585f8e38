"""Images, sound and video: what a file is, files made by a seed, and how they stand in a request."""
