/** docs/deploying.md: its application runs with what its manifests say, and they say what exists. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeEach, describe, expect, test } from "@jest/globals";
import { load } from "js-yaml";
import { readEnvironment } from "../../lib/settings/environment.js";
import { freePort } from "../support/free-port.mjs";
import { type RedisServer, startRedis, until, withRedis } from "../support/redis-server.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TEXT = readFileSync(join(ROOT, "docs/deploying.md"), "utf8");
const SYSTEMD = "/usr/bin/systemd-analyze";
const PASSWORD = "x".repeat(32);

interface Compose {
  services: Record<"app" | "redis", { environment: Record<string, string>; command: string; secrets: string[] }>;
  secrets: Record<string, { file: string }>;
}

interface Probe {
  httpGet: { path: string; port: string };
  timeoutSeconds: number;
}

interface Container {
  env: { name: string; value: string }[];
  ports: { name: string; containerPort: number }[];
  volumeMounts: { name: string; mountPath: string }[];
  readinessProbe: Probe;
  livenessProbe: Probe;
}

interface Deployment {
  spec: {
    selector: { matchLabels: object };
    template: {
      metadata: { labels: object };
      spec: {
        containers: [Container];
        volumes: { name: string; secret: { secretName: string; defaultMode: number } }[];
      };
    };
  };
}

const application = blockOf("js", "// app.js");
const settings = blockOf("yaml", "# settings.yml");
const compose = load(blockOf("yaml", "# compose.yml")) as Compose;
const deployment = load(blockOf("yaml", "# deployment.yaml")) as Deployment;
const unit = blockOf("ini", "my-app.service");
const docker = blockOf("sh", "docker run");
const [container] = deployment.spec.template.spec.containers;

/** Inside of the project, where the package's own name means the built package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const parent = mkdtempSync(join(ROOT, ".cache", "deploying-"));
afterAll(() => rmSync(parent, { recursive: true, force: true }));

/** For each test: what the image has in it, and what is mounted. */
let folder: string;
let child: ChildProcess | undefined;

beforeEach(() => {
  folder = mkdtempSync(join(parent, "app-"));
  writeFileSync(join(folder, "app.js"), application);
  writeFileSync(join(folder, "settings.yml"), settings);
});

afterEach(() => {
  child?.kill("SIGKILL");
});

function blockOf(language: string, part: string): string {
  const all = [...TEXT.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language);
  const [, , text] = all.find(([, , text]) => text?.includes(part)) ?? [];
  if (text === undefined) throw new Error(`There is no ${language} with ${part}`);
  return text;
}

/** Puts a secret where it is to be mounted, below the test's folder; answers the environment with that place. */
function mounted(env: Readonly<Record<string, string>>, secrets: Readonly<Record<string, string>>) {
  return Object.fromEntries(
    Object.entries(env).map(([name, value]) => {
      if (!name.endsWith("_FILE")) return [name, value];
      const file = join(folder, value.replaceAll("/", "_"));
      writeFileSync(file, `${secrets[name] ?? PASSWORD}\n`, { mode: 0o440 });
      return [name, file];
    }),
  );
}

/** The application in a process of its own, with these variables and no others of ours. */
async function start(env: Readonly<Record<string, string>>) {
  const port = await freePort();
  const own = { PATH: process.env.PATH ?? "", NODE_ENV: "production", PORT: String(port) };
  const flags = ["--disable-warning=ExperimentalWarning"];
  const started = spawn(process.execPath, [...flags, "app.js"], {
    cwd: folder,
    env: { ...own, ...env },
    stdio: "pipe",
  });
  child = started;
  let told = "";
  for (const stream of [started.stdout, started.stderr]) stream.on("data", (chunk) => (told += chunk));
  const url = `http://127.0.0.1:${port}`;
  const status = async (path: string) => (await fetch(url + path)).status;
  await until("the application listens", async () => {
    if (started.exitCode !== null) throw new Error(`The application ended: ${told}`);
    return (await status("/live").catch(() => 0)) === 200;
  });
  return {
    status,
    told: () => told,
    async visit(cookie?: string) {
      const answer = await fetch(url, { headers: cookie ? { cookie } : {} });
      return { body: await answer.json(), cookie: answer.headers.get("set-cookie")?.split(";")[0] };
    },
    async end() {
      const exit = once(started, "exit");
      started.kill("SIGTERM");
      return exit;
    },
  };
}

const envOfContainer = Object.fromEntries(container.env.map(({ name, value }) => [name, value]));
const envOfUnit = Object.fromEntries(
  [...unit.matchAll(/^Environment=(\w+)=(.*)$/gm)].map(([, name = "", value = ""]) => [name, value]),
);
const envOfDocker = Object.fromEntries(
  [...docker.matchAll(/-e (\w+)=(\S+)/g)].map(([, name = "", value]) => [name, value ?? ""]),
);

describe("what the manifests name exists", () => {
  test("each variable is one of ours", () => {
    const table = [...TEXT.matchAll(/^\| (`TOKENIZER_.*?) \|/gm)].flatMap(([, cell = ""]) => cell.match(/\w+/g) ?? []);
    const used = [envOfContainer, envOfUnit, envOfDocker, compose.services.app.environment].flatMap(Object.keys);
    const names = new Set([...table, ...used].filter((name) => name.startsWith("TOKENIZER_")));
    expect(names.size).toBeGreaterThan(9);
    names.delete("TOKENIZER_SETTINGS");
    const readings = [...names].filter((name) => readEnvironment({ [name]: "1" }).length === 1);
    expect(readings).toEqual([...names]);
    expect(readEnvironment({ TOKENIZER_SAVE_PASSWORD_FILE: "1" })).toEqual([]);
  });

  test("compose: each secret is one that is defined, and given to the service that reads it", () => {
    const { app, redis } = compose.services;
    expect(Object.keys(compose.secrets).sort()).toEqual([...app.secrets].sort());
    const filesOf = (text: string) => [...text.matchAll(/\/run\/secrets\/(\w+)/g)].map(([, name]) => name);
    expect(filesOf(Object.values(app.environment).join(" ")).sort()).toEqual([...app.secrets].sort());
    expect(filesOf(redis.command)).toEqual(redis.secrets);
  });

  test("Kubernetes: labels, volumes and ports are each other's, and a probe outlasts the store's deadline", () => {
    const { selector, template } = deployment.spec;
    expect(template.metadata.labels).toEqual(selector.matchLabels);
    expect(container.volumeMounts.map(({ name }) => name)).toEqual(template.spec.volumes.map(({ name }) => name));
    const [volume] = template.spec.volumes;
    expect(TEXT).toContain(`kubectl create secret generic ${volume?.secret.secretName} --from-literal=safe_password=`);
    expect(envOfContainer.TOKENIZER_SAFE_PASSWORD_FILE).toBe(`${container.volumeMounts[0]?.mountPath}/safe_password`);
    // YAML 1.2 would read 0440 as four hundred and forty, which Kubernetes, reading YAML 1.1, does not.
    expect(blockOf("yaml", "# deployment.yaml")).toContain("defaultMode: 0440");
    for (const probe of [container.readinessProbe, container.livenessProbe]) {
      expect(container.ports.map(({ name }) => name)).toContain(probe.httpGet.port);
      expect(probe.timeoutSeconds).toBeGreaterThan(2);
    }
  });

  const hasSystemd = existsSync(SYSTEMD);
  if (!hasSystemd) console.info(`There is no ${SYSTEMD}: whether the unit is one to systemd is left out.`);
  const verify = hasSystemd ? test : test.skip;
  verify(`the unit is one to systemd (${SYSTEMD})`, () => {
    const file = join(folder, "my-app.service");
    const told = (text: string) => {
      writeFileSync(file, text.replace("/usr/bin/node", process.execPath));
      return spawnSync(SYSTEMD, ["verify", "--man=no", file], { encoding: "utf8" }).stderr;
    };
    expect(told(unit)).not.toContain("my-app.service:");
    expect(told(unit.replace("StateDirectory=", "StateDir="))).toContain("Unknown key");
  });
});

describe("type: local", () => {
  test.each([
    ["docker run", envOfDocker],
    ["the unit", envOfUnit],
  ])("%s: the sessions outlive the process, and SIGTERM ends it with code 0", async (_, env) => {
    const path = join(folder, "volume", "tokens");
    const variables = { ...mounted(env, {}), TOKENIZER_PATH: path };
    const first = await start(variables);
    expect(await first.status(container.readinessProbe.httpGet.path)).toBe(200);
    const { cookie } = await first.visit();
    expect(await first.end()).toEqual([0, null]);
    expect(statSync(path).mode & 0o777).toBe(0o700);
    const second = await start(variables);
    expect((await second.visit(cookie)).body).toEqual({ visits: 2 });
    expect(await second.end()).toEqual([0, null]);
    expect(second.told()).toBe("");
  });
});

withRedis("type: redis", () => {
  const { path: ready } = container.readinessProbe.httpGet;
  const { path: live } = container.livenessProbe.httpGet;

  test("Kubernetes: unready while the store is stopped, alive throughout, and ended by SIGTERM with code 0", async () => {
    const redis = await startRedis();
    const app = await start(at(redis, mounted(envOfContainer, {})));
    expect([await app.status(ready), await app.status(live)]).toEqual([200, 200]);
    await redis.kill();
    expect([await app.status(ready), await app.status(live)]).toEqual([503, 200]);
    await redis.start();
    await until("the application is ready again", async () => (await app.status(ready)) === 200);
    expect((await app.visit()).body).toEqual({ visits: 1 });
    expect(await app.end()).toEqual([0, null]);
  });

  test("a store that comes up later is waited for", async () => {
    const redis = await startRedis();
    await redis.kill();
    const app = await start(at(redis, mounted(envOfContainer, {})));
    expect([await app.status(ready), await app.status(live)]).toEqual([503, 200]);
    expect(app.told()).toContain("cannot be reached");
    await redis.start();
    await until("the application is ready", async () => (await app.status(ready)) === 200);
    expect(await app.end()).toEqual([0, null]);
  });

  test("compose: Redis takes the flags, asks for the password, and the application has it", async () => {
    const [, flags = ""] = /redis-server (.*?)\s+--requirepass/s.exec(compose.services.redis.command) ?? [];
    const password = "a password of Redis";
    const login = { password };
    const redis = await startRedis({ args: [...flags.split(/\s+/), "--requirepass", password], login });
    const env = mounted(compose.services.app.environment, { TOKENIZER_PASSWORD_FILE: password });
    const app = await start(at(redis, env));
    expect(await app.status(ready)).toBe(200);
    expect((await app.visit()).body).toEqual({ visits: 1 });
    expect(await app.end()).toEqual([0, null]);
    // Neither of the password nor of maxmemory-policy.
    expect(app.told()).toBe("");
    expect(await redis.command("CONFIG", "GET", "maxmemory-policy")).toEqual(["maxmemory-policy", "noeviction"]);
  });

  test("the password is rotated in three steps, and the visitor stays", async () => {
    const redis = await startRedis();
    const [old, fresh] = [`${PASSWORD}1`, `${PASSWORD}2`];
    const lists = [old, JSON.stringify([old, fresh]), JSON.stringify([fresh, old]), JSON.stringify([fresh])];
    let cookie: string | undefined;
    for (const [index, list] of lists.entries()) {
      rmSync(join(folder, "_run_secrets_my-app_safe_password"), { force: true });
      const app = await start(at(redis, mounted(envOfContainer, { TOKENIZER_SAFE_PASSWORD_FILE: list })));
      const visit = await app.visit(cookie);
      expect(visit.body).toEqual({ visits: index + 1 });
      cookie = visit.cookie ?? cookie;
      expect(await app.end()).toEqual([0, null]);
    }
    expect(TEXT).toContain('1. `["old", "new"]`');
  });

  /** The server of the manifest is this one. */
  function at({ port }: RedisServer, env: Readonly<Record<string, string>>) {
    return { ...env, TOKENIZER_HOST: "127.0.0.1", TOKENIZER_PORT: String(port) };
  }
});
