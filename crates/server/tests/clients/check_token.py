"""Checks an access token the way a Python back end would, with PyJWT.

Standard input: the token. Environment: BETTER_AUTH_SECRET.
Standard output: the payload as JSON. Exit code 0 accepted, 1 refused (the reason on standard error), 2 wrong usage.
"""

import json
import os
import sys

import jwt

secret = os.environ.get("BETTER_AUTH_SECRET")
if not secret:
    print("BETTER_AUTH_SECRET is not set", file=sys.stderr)
    sys.exit(2)

try:
    payload = jwt.decode(
        sys.stdin.read().strip(),
        secret,
        algorithms=["HS256"],
        options={"require": ["sub", "email", "iat", "exp", "jti", "sid"]},
    )
except jwt.InvalidTokenError as refusal:
    print(f"{type(refusal).__name__}: {refusal}", file=sys.stderr)
    sys.exit(1)

print(json.dumps(payload))
