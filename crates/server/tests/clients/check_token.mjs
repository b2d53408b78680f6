// Checks an access token the way a Node back end would, with jose.
//
// Standard input: the token. Environment: BETTER_AUTH_SECRET, and GATEWRIGHT_TEST_JOSE, the directory whose
// node_modules holds jose. Standard output: the payload as JSON.
// Exit code 0 accepted, 1 refused (the reason on standard error), 2 wrong usage.

import { webcrypto } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const { BETTER_AUTH_SECRET: secret, GATEWRIGHT_TEST_JOSE: directory } = process.env;
if (!secret || !directory) {
  console.error('BETTER_AUTH_SECRET or GATEWRIGHT_TEST_JOSE is not set');
  process.exit(2);
}

// Node 18, still in Debian 12, has Web Crypto but does not offer it as a global.
globalThis.crypto ??= webcrypto;
const { resolve } = createRequire(join(directory, 'package.json'));
const { jwtVerify } = await import(pathToFileURL(resolve('jose')));

const token = readFileSync(process.stdin.fd, 'utf8').trim();
try {
  const { payload } = await jwtVerify(token, new TextEncoder().encode(secret), {
    algorithms: ['HS256'],
    requiredClaims: ['sub', 'email', 'iat', 'exp', 'jti', 'sid'],
  });
  console.log(JSON.stringify(payload));
} catch (refusal) {
  console.error(`${refusal.code ?? refusal.name}: ${refusal.message}`);
  process.exit(1);
}
