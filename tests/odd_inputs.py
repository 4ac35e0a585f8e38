"""Which odd forms of the emulator are of embeddings and rankings, and of which protocol each makes sense."""

OF_VECTORS = ("vector-missing", "vector-twice", "no-vectors", "short-vector", "nan-vector", "null-vector",
              "malformed-number", "error-with-200", "inputs-uncounted", "total-alone")
OF_RANKINGS = ("vector-missing", "vector-twice", "no-vectors", "error-with-200", "inputs-uncounted", "total-alone",
               "indices-backwards", "stranger-index", "same-index", "nan-score")
OF_INPUTS = tuple(dict.fromkeys((*OF_VECTORS, *OF_RANKINGS)))
