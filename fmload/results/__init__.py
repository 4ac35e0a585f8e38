"""The results folder: the only contract between measuring and analysing."""
