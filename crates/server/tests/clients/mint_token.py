"""Mints a token the way a frontend with the shared secret would, with PyJWT and HS256.

Standard input: the payload as JSON. Environment: BETTER_AUTH_SECRET, and TOKEN_KID for a `kid` in the header.
Standard output: the token. Exit code 0 minted, 2 wrong usage.
"""

import json
import os
import sys

import jwt

secret = os.environ.get("BETTER_AUTH_SECRET")
if not secret:
    print("BETTER_AUTH_SECRET is not set", file=sys.stderr)
    sys.exit(2)

kid = os.environ.get("TOKEN_KID")
try:
    token = jwt.encode(json.load(sys.stdin), secret, algorithm="HS256", headers={"kid": kid} if kid else None)
except (ValueError, TypeError) as malformed:
    print(f"the payload is not a JSON object: {malformed}", file=sys.stderr)
    sys.exit(2)

print(token)
