"""
Ask this container's own web server whether it lives; exits with 1 if it does not answer.
"""

import os
import sys
import urllib.error
import urllib.request


def main() -> None:
    # The application answers to its own names only; `.example.com` stands for all below it.
    host = os.environ.get("ALLOWED_HOSTS", "localhost").split(",")[0].strip().lstrip(".")
    request = urllib.request.Request(f"http://127.0.0.1:{os.environ.get('PORT') or '8000'}/health", headers={"Host": host})
    # A proxy that the environment names leads elsewhere.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        opener.open(request, timeout=4).close()
    except (urllib.error.URLError, OSError) as exc:
        sys.exit(f"The web server does not answer: {exc}")


if __name__ == "__main__":
    main()
