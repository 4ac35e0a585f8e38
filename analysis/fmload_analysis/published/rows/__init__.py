"""Rows of published tables: what one is, and how files, cells and requests become one."""
