"""An extension of fmload: a file for each table, and no file of fmload touched."""
