// Better Auth with e-mail and password on PostgreSQL, tokens in the Authorization header, one Node process.
import { createServer } from "node:http";
import { betterAuth } from "better-auth";
import { getMigrations } from "better-auth/db/migration";
import { toNodeHandler } from "better-auth/node";
import { bearer } from "better-auth/plugins";
import pg from "pg";

const port = Number(process.env.SERVICE_PORT);
const options = {
  baseURL: `http://127.0.0.1:${port}`,
  secret: process.env.SERVICE_SECRET,
  database: new pg.Pool({ connectionString: process.env.SERVICE_DATABASE_URL }),
  emailAndPassword: { enabled: true },
  plugins: [bearer()],
  rateLimit: { enabled: false },
  telemetry: { enabled: false },
};

if (process.argv[2] === "migrate") {
  const { runMigrations } = await getMigrations(options);
  await runMigrations();
  await options.database.end();
} else {
  createServer(toNodeHandler(betterAuth(options))).listen(port, "127.0.0.1");
}
