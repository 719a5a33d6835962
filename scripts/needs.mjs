// What the specs need beside npm packages. A row finds it, else installs it on Debian, else says what to install.
import { accessSync, constants, existsSync, readdirSync } from "node:fs";
import { delimiter, join } from "node:path";
import { succeeds } from "./run.mjs";

/** `env` tells the specs where it is; `names` are programs looked for on PATH, then `places`; `debian` is the package that has it. */
const NEEDS = [
  {
    what: "Chromium",
    specs: "the demo's browser specs",
    env: "CHROMIUM",
    names: ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"],
    places: ["/usr/bin/chromium"],
    debian: "chromium",
  },
  {
    what: "redis-server",
    specs: "the specs on a real Redis",
    env: "REDIS_SERVER",
    names: ["redis-server"],
    places: ["/usr/bin/redis-server"],
    debian: "redis-server",
  },
  {
    what: "openssl",
    specs: "the specs on Redis over TLS",
    env: "OPENSSL",
    names: ["openssl"],
    places: ["/usr/bin/openssl"],
    debian: "openssl",
  },
  {
    what: "PostgreSQL",
    specs: "the specs on a real PostgreSQL",
    env: "POSTGRES",
    names: ["postgres"],
    places: debianPostgres,
    debian: "postgresql",
  },
  {
    what: "PgBouncer",
    specs: "the specs on PostgreSQL behind PgBouncer",
    env: "PGBOUNCER",
    names: ["pgbouncer"],
    places: ["/usr/sbin/pgbouncer"],
    debian: "pgbouncer",
  },
];

/** Debian keeps the server's programs off PATH, those of each version in a folder: the newest first. */
function debianPostgres() {
  const folder = "/usr/lib/postgresql";
  const versions = existsSync(folder) ? readdirSync(folder).sort((one, other) => Number(other) - Number(one)) : [];
  return versions.map((version) => join(folder, version, "bin/postgres"));
}

function executable(file) {
  try {
    accessSync(file, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function find({ env, names, places }) {
  if (process.env[env]) return executable(process.env[env]) ? process.env[env] : undefined;
  const onPath = names.flatMap((name) => (process.env.PATH ?? "").split(delimiter).map((folder) => join(folder, name)));
  return [...onPath, ...(typeof places === "function" ? places() : places)].find(executable);
}

/** The program that a variable tells the specs of, found as `findNeeds` finds it; undefined where there is none. */
export const findProgram = (variable) => find(NEEDS.find(({ env }) => env === variable));

function installOnDebian(packages) {
  if (!existsSync("/etc/debian_version") || process.getuid?.() !== 0) return;
  console.log(`Installing ${packages.join(", ")} (apt-get) …`);
  const env = { DEBIAN_FRONTEND: "noninteractive" };
  const options = ["-qq", "-o", "DPkg::Lock::Timeout=120"];
  succeeds("apt-get", [...options, "update"], env) &&
    succeeds("apt-get", [...options, "install", "-y", "--no-install-recommends", ...packages], env);
}

/** Answers the environment for the specs, and a line for each thing that they must do without. */
export function findNeeds() {
  const missing = NEEDS.filter((need) => !find(need));
  if (missing.length > 0) installOnDebian(missing.map((need) => need.debian));

  const env = {};
  const leftOut = [];
  for (const need of NEEDS) {
    const found = find(need);
    if (found) env[need.env] = found;
    else {
      leftOut.push(
        `${need.what} is missing, so ${need.specs} are left out. ` +
          `Install it (Debian: apt-get install ${need.debian}), or set ${need.env} to its program.`,
      );
    }
  }
  return { env, leftOut };
}
