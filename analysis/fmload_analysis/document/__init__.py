"""The parts of a document, and how values are written."""
