// Whose promises are measured.
import { rows } from "../rows.mjs";

const ROWS = [
  "MemoryStore",
  "memorystore",
  "session-file-store",
  "connect-redis",
  "connect-dynamodb",
  "connect-pg-simple",
];
const OURS = ["ours, local", "ours, redis", "ours, postgres", "ours, dynamodb"];

function ofRow(name) {
  const { engine, package: peer, isOurs } = rows.find((row) => row.name === name);
  const start = async (place) => (await import("./on-express-session.mjs")).startRow(name, place);
  return { name, engine, package: peer, isOurs, start };
}

/** `with` are the packages that it was run with. */
export const contenders = [
  ...OURS.map(ofRow),
  ...ROWS.map(ofRow),
  {
    name: "better-auth",
    package: "better-auth",
    start: async (place) => (await import("./better-auth.mjs")).startBetterAuth(place),
  },
  {
    name: "AdonisJS session",
    package: "@adonisjs/session",
    with: ["@adonisjs/core", "@adonisjs/redis"],
    engine: "redis",
    start: async (place) => (await import("./adonisjs.mjs")).startAdonis(place),
  },
  {
    name: "iron-session",
    package: "iron-session",
    start: async (place) => (await import("./iron-session.mjs")).startIronSession(place),
  },
  {
    name: "@fastify/session",
    package: "@fastify/session",
    with: ["fastify", "connect-redis"],
    engine: "redis",
    start: async (place) => (await import("./fastify.mjs")).startFastify(place),
  },
];
