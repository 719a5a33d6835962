import { execFile } from "node:child_process";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";

// The package as its users get it: packed, laid into a project of its own, and imported from there.
// Those projects hold copies of exactly what our package.json declares, so an undeclared dependency is missing there.
// With TEST_FULL=1 npm itself installs the tarball instead, from the registry.

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
const run = promisify(execFile);

interface Manifest {
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

let folder: string;
let tarball: string;
let packed: string[];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "express-tokenizer-package-"));
  // dist is there already: `npm test` builds before the specs, which must not build while others read it.
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: ROOT,
  });
  // An array, or in newer releases of npm an object by package.
  const [report] = Object.values(JSON.parse(stdout)) as [{ filename: string; files: { path: string }[] }];
  tarball = join(folder, report.filename);
  packed = report.files.map(({ path }) => path).sort();
}, 60_000);

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the tarball", () => {
  test("holds what is needed beside dist, and nothing else", () => {
    expect(packed.filter((path) => !path.startsWith("dist/"))).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "package.json",
      "settings.example.yml",
      "settings.schema.json",
    ]);
  });

  test("holds one .js and one .d.ts for each source in lib", () => {
    const sources = readdirSync(join(ROOT, "lib"), { recursive: true, encoding: "utf8" })
      .filter((path) => path.endsWith(".ts"))
      .map((path) => path.replaceAll("\\", "/").replace(/\.ts$/, ""));
    const expected = sources.flatMap((path) => [`dist/${path}.d.ts`, `dist/${path}.js`]).sort();
    expect(packed.filter((path) => path.startsWith("dist/"))).toEqual(expected);
  });
});

describe.each([
  { release: "4", express: "express4", types: "@types/express4" },
  { release: "5", express: "express", types: "@types/express" },
])("on Express $release", ({ release, express, types }) => {
  let project: string;

  beforeAll(async () => {
    project = join(folder, `express-${release}`);
    mkdirSync(project);
    writeFileSync(join(project, "package.json"), JSON.stringify({ name: "project", private: true, type: "module" }));
    if (process.env.TEST_FULL === "1") await installWithNpm(project, release);
    else await layOut(project, express, types);
    writeFileSync(join(project, "serve.cjs"), SERVE);
  }, 120_000);

  async function answersOf(file: string, text: string): Promise<unknown> {
    writeFileSync(join(project, file), text);
    const env = { ...process.env, NODE_ENV: "test", TOKENS: join(project, `tokens-${file}`) };
    const { stdout } = await run(process.execPath, ["--disable-warning=ExperimentalWarning", file], {
      cwd: project,
      env,
    });
    return JSON.parse(stdout);
  }

  const served = { release, statuses: [200, 200], bodies: ["1", "2"] };

  test("an ES module imports it", async () => {
    const text = `import express from "express";\nimport { tokenizer } from "express-tokenizer";\n${IMPORT_SERVE}${CALL_SERVE}`;
    expect(await answersOf("app.mjs", text)).toEqual(served);
  });

  test("CommonJS requires it", async () => {
    const text = `const express = require("express");\nconst { tokenizer } = require("express-tokenizer");\n${REQUIRE_SERVE}${CALL_SERVE}`;
    expect(await answersOf("app.cjs", text)).toEqual(served);
  });

  test.each([
    ["app.mts", () => TYPED],
    ["app.cts", () => TYPED],
    ["readme.mts", () => README],
  ])("strict TypeScript compiles against it: %s", async (file, text) => {
    writeFileSync(join(project, file), text());
    const flags = ["--strict", "--exactOptionalPropertyTypes", "--noEmit", "--module", "nodenext", "--types", "node"];
    const outcome = await run(process.execPath, [TSC, ...flags, file], { cwd: project }).catch(
      (failure: { stdout: string }) => failure,
    );
    expect(outcome.stdout).toBe("");
  });

  test("its types are there: a wrong use does not compile", async () => {
    writeFileSync(join(project, "wrong.mts"), WRONG);
    const flags = ["--strict", "--noEmit", "--pretty", "false", "--module", "nodenext", "--types", "node"];
    const outcome = await run(process.execPath, [TSC, ...flags, "wrong.mts"], { cwd: project }).catch(
      (failure: { stdout: string }) => failure,
    );
    expect(outcome.stdout).toMatch(/wrong\.mts\(2,\d+\): error/);
  });

  test("a package of somebody else's is its backend, also one that only import may load", async () => {
    const own = join(project, "node_modules", "only-import");
    mkdirSync(own);
    const manifest = { name: "only-import", type: "module", exports: { import: "./index.js" } };
    writeFileSync(join(own, "package.json"), JSON.stringify(manifest));
    writeFileSync(join(own, "index.js"), 'export default () => { throw new Error("this is it"); };');
    const text = `
      import { tokenizer } from "express-tokenizer";
      const section = { type: "module", module: "only-import", safe_password: "only for the package spec" };
      const sessions = tokenizer({ tokenizer: section });
      const { message } = await sessions.ready.catch((error) => error);
      console.log(JSON.stringify(message));`;
    expect(await answersOf("module.mjs", text)).toMatch(/this is it$/);
  });

  test("the backend contract can be imported and required, and brings no test runner", async () => {
    const count = "console.log(JSON.stringify(backendContract.length > 50));";
    const imported = `import { backendContract } from "express-tokenizer/backend-contract"; ${count}`;
    expect(await answersOf("contract.mjs", imported)).toBe(true);
    const required = `const { backendContract } = require("express-tokenizer/backend-contract"); ${count}`;
    expect(await answersOf("contract.cjs", required)).toBe(true);
  });

  test("the schema and package.json can be imported", async () => {
    const text = `
      const require = (await import("node:module")).createRequire(import.meta.url);
      const { name } = require("express-tokenizer/package.json");
      console.log(JSON.stringify([name, typeof require("express-tokenizer/settings.schema.json")]));`;
    expect(await answersOf("files.mjs", text)).toEqual(["express-tokenizer", "object"]);
  });
});

/** A project's node_modules out of copies from ours: the package, its declared dependencies, an Express and its types. */
async function layOut(project: string, express: string, types: string): Promise<void> {
  const modules = join(project, "node_modules");
  const own = join(modules, "express-tokenizer");
  mkdirSync(own, { recursive: true });
  await run("tar", ["-xzf", tarball, "-C", own, "--strip-components=1"]);
  copy(modules, ROOT, express, "express");
  copy(modules, ROOT, types, "@types/express");
  copy(modules, ROOT, "@types/node");
  copyDependencies(modules, ROOT, own);
}

/** Copies a package, with all it depends on, from where `from` finds it. */
function copy(modules: string, from: string, name: string, as = name): void {
  const target = join(modules, as);
  if (existsSync(target)) return;
  const source = found(from, name);
  if (!source) return; // optional, and not for this platform
  cpSync(source, target, { recursive: true });
  copyDependencies(modules, source, source);
}

function copyDependencies(modules: string, from: string, manifestIn: string): void {
  const manifest = JSON.parse(readFileSync(join(manifestIn, "package.json"), "utf8")) as Manifest;
  for (const name of Object.keys({ ...manifest.dependencies, ...manifest.optionalDependencies })) {
    const source = found(from, name);
    // What lies inside the package that needs it came along with the copy; what that needs in turn may not have.
    if (source?.startsWith(join(from, "node_modules")) && from !== ROOT) copyDependencies(modules, source, source);
    else copy(modules, from, name);
  }
}

function found(from: string, name: string): string | undefined {
  for (let at = from; ; at = dirname(at)) {
    const candidate = join(at, "node_modules", name);
    if (existsSync(candidate)) return candidate;
    if (at === dirname(at)) return undefined;
  }
}

async function installWithNpm(project: string, release: string): Promise<void> {
  const packages = [tarball, `express@${release}`, `@types/express@${release}`, "@types/node@22"];
  await run("npm", ["install", "--prefer-offline", "--no-audit", "--no-fund", ...packages], { cwd: project });
}

/** Serves two requests of one visitor, and prints what came back. */
const SERVE = `
module.exports = async (express, tokenizer) => {
  const sessions = tokenizer({
    tokenizer: { type: "local", path: process.env.TOKENS, safe_password: "only for the package spec" },
  });
  const app = express();
  app.use(sessions);
  app.get("/", (req, res) => {
    req.session.count = (req.session.count ?? 0) + 1;
    res.send(String(req.session.count));
  });
  await sessions.ready;
  const server = await new Promise((listening) => {
    const made = app.listen(0, "127.0.0.1", () => listening(made));
  });
  const at = "http://127.0.0.1:" + server.address().port;
  const first = await fetch(at);
  const second = await fetch(at, { headers: { cookie: first.headers.getSetCookie()[0].split(";")[0] } });
  const bodies = [await first.text(), await second.text()];
  server.closeAllConnections();
  server.close();
  await sessions.close();
  const release = require("express/package.json").version.split(".")[0];
  console.log(JSON.stringify({ release, statuses: [first.status, second.status], bodies }));
};
`;
const IMPORT_SERVE = `import serve from "./serve.cjs";\n`;
const REQUIRE_SERVE = `const serve = require("./serve.cjs");\n`;
const CALL_SERVE = `serve(express, tokenizer);\n`;

/** Every name of the contract, used as its type allows. */
const TYPED = `
import express = require("express");
import { type Backend, type BackendFactory, TokenizerError, TokenStore, tokenizer } from "express-tokenizer";
import { backendContract, type ContractSubject, type MakeSubject } from "express-tokenizer/backend-contract";

const makeBackend: BackendFactory<{ url: string }> = ({ url }, { now, timeout, warn }) => {
  warn(url + now() + timeout);
  return {} as Backend;
};
const makeSubject: MakeSubject = async (context): Promise<ContractSubject> => {
  const backend = await makeBackend({ url: "…" }, context);
  return { backend, other: backend, expiryGranularity: 1000 };
};
export const cases: [string, () => Promise<void>][] = backendContract.map(({ name, run }) => [name, () => run(makeSubject)]);

const sessions = tokenizer({ tokenizer: { type: "local", path: "tokens", safe_password: "only for the package spec" } });
tokenizer();
tokenizer("config/settings.yml");
const app = express();
app.use(sessions);
app.get("/", async (req, res) => {
  await req.signIn({ username: "ada", password: "…" }, { keep: ["basket"], label: "phone" });
  const username: string | undefined = req.session.username;
  const password: unknown = req.credentials?.password;
  await req.signOut();
  const ended: boolean = req.sessionEnded;
  res.json({ username, known: password !== undefined, ended });
});
export async function end(): Promise<string | undefined> {
  await sessions.ready;
  const store: TokenStore = sessions.store;
  await sessions.close();
  try {
    tokenizer({ tokenizer: { type: "local", safe_password: "only for the package spec" } });
  } catch (error) {
    if (error instanceof TokenizerError && error.code === "SETTINGS_INVALID") return error.faults[0]?.message;
  }
  return store ? undefined : "none";
}
`;
/** Its application, what it declares for an application of one's own, and a use of that. */
const README = [
  ...[...readFileSync(join(ROOT, "README.md"), "utf8").matchAll(/```ts\n((?:import|declare)[\s\S]*?)```/g)].map(
    ([, code]) => code,
  ),
  `app.get("/tenant", (req, res) => {
    req.signIn({ username: "ada", password: "…", tenant: "acme" }).then(() => res.redirect("/"), console.error);
    const cart: string[] | undefined = req.session.cart;
    res.json([req.credentials?.tenant.length, cart]);
  });`,
].join("\n");
const WRONG = `import { tokenizer } from "express-tokenizer";
tokenizer({ tokenizer: { type: "no such type" } });
`;
