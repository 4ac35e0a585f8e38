"""What one row's columns must satisfy together, one file a subject."""
