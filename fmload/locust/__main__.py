"""`python -m fmload.locust`: Locust, with this package imported first.

Locust puts the working directory first on the path, where a file called fmload.py would be taken for this package.
"""

from locust.main import main

if __name__ == "__main__":
    main()  # type: ignore[no-untyped-call]
