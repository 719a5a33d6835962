// What the specs need beside npm packages. A row finds it, else installs it on Debian, else says what to install.
import { accessSync, constants, existsSync } from "node:fs";
import { delimiter, join } from "node:path";
import { succeeds } from "./run.mjs";

/** `env` tells the specs where it is; `names` are programs looked for on PATH; `debian` is the package that has it. */
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
];

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
  return [...onPath, ...places].find(executable);
}

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
