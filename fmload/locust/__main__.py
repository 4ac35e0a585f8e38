"""`python -m fmload.locust`: Locust, with this package imported first.

Locust puts the working directory first on the path, where a file called fmload.py would be taken for this package.
"""

import signal

from locust.main import main

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # by which a run is ended: a script's `&` has it ignored
    main()  # type: ignore[no-untyped-call]
