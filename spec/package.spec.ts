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
const PUBLINT = join(ROOT, "node_modules/publint/src/cli.js");
const ATTW = join(ROOT, "node_modules/@arethetypeswrong/cli/dist/index.js");
/** Kilobytes, with little room above what it is: what was not meant to be packed is larger than that. */
const LARGEST = { packed: 150, unpacked: 500 };
const run = promisify(execFile);

interface Manifest {
  dependencies?: Record<string, string>;
  optionalDependencies?: Record<string, string>;
}

interface PackReport {
  filename: string;
  size: number;
  unpackedSize: number;
  files: { path: string }[];
}

let folder: string;
let tarball: string;
let packed: string[];
let size: typeof LARGEST;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "express-tokenizer-package-"));
  // dist is there already: `npm test` builds before the specs, which must not build while others read it.
  const { stdout } = await run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", folder], {
    cwd: ROOT,
  });
  // An array, or in newer releases of npm an object by package.
  const [report] = Object.values(JSON.parse(stdout)) as [PackReport];
  tarball = join(folder, report.filename);
  size = { packed: report.size / 1000, unpacked: report.unpackedSize / 1000 };
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

  test("is small", () => {
    process.stderr.write(
      `The tarball: ${size.packed} kB packed, ${size.unpacked} kB unpacked, ${packed.length} files\n`,
    );
    expect(size.packed).toBeLessThan(LARGEST.packed);
    expect(size.unpacked).toBeLessThan(LARGEST.unpacked);
  });

  test("publint has nothing to say about it", async () => {
    expect(await outputIn(folder, PUBLINT, tarball, "--strict")).toMatch(/All good!\s*$/);
  });

  // Each Node that `engines` allows can require an ES module (and "CommonJS requires it" below shows it), so a second build
  // for CommonJS would only add a second TokenizerError that `instanceof` does not know. No other rule is left out.
  test("attw finds no way to import it without its types, or with wrong ones", async () => {
    const output = await outputIn(folder, ATTW, tarball, "--ignore-rules", "cjs-resolves-to-esm", "--format", "ascii");
    expect(output).toContain("No problems found");
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

  // A wrong use is among them, expected not to compile: without types it would. From CommonJS, TypeScript takes `require`
  // of an ES module with `nodenext` or `node20` only: node16 is the Node of that number, which could not.
  test.each([
    { resolution: "nodenext", module: "nodenext", files: ["app.mts", "app.cts", "readme.mts", "wrong.mts"] },
    { resolution: "node16", module: "node16", files: ["app.mts", "readme.mts", "wrong.mts"] },
    { resolution: "bundler", module: "preserve", files: ["app.ts", "readme.mts", "wrong.mts"] },
  ])("strict TypeScript compiles against it: moduleResolution $resolution", async ({ resolution, module, files }) => {
    for (const file of files) {
      const text = file.startsWith("app") ? TYPED : file.startsWith("readme") ? README : WRONG;
      writeFileSync(join(project, file), text);
    }
    const flags = ["--strict", "--exactOptionalPropertyTypes", "--noEmit", "--pretty", "false", "--types", "node"];
    const modules = ["--module", module, "--moduleResolution", resolution];
    expect(await outputIn(project, TSC, ...flags, ...modules, ...files)).toBe("");
  });

  test("neither redis nor the AWS SDK is there, and who names one in the settings is told what to install", async () => {
    expect(await answersOf("missing.mjs", MISSING)).toEqual([
      { type: "redis", code: "PACKAGE_MISSING", advice: "npm install redis" },
      { type: "dynamodb", code: "PACKAGE_MISSING", advice: "npm install @aws-sdk/client-dynamodb" },
    ]);
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

/** What a program prints, whether it is content or not. */
async function outputIn(cwd: string, program: string, ...args: string[]): Promise<string> {
  // Some colour what they say where there is no terminal but CI is set.
  const env = { ...process.env, NO_COLOR: "1" };
  const { stdout } = await run(process.execPath, [program, ...args], { cwd, env }).catch(
    (failure: { stdout: string }) => failure,
  );
  return stdout;
}

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
// @ts-expect-error There is no such type.
tokenizer({ tokenizer: { type: "no such type" } });
`;
const MISSING = `
import { tokenizer } from "express-tokenizer";
const told = [];
for (const place of [{ type: "redis" }, { type: "dynamodb", table: "sessions", aws_region_name: "us-east-1" }]) {
  const sessions = tokenizer({ tokenizer: { ...place, safe_password: "only for the package spec" } });
  const { code, message } = await sessions.ready.then(() => "ready", (error) => error);
  told.push({ type: place.type, code, advice: /npm install [^\\s.,;:)]+/.exec(message)?.[0] });
  await sessions.close();
}
console.log(JSON.stringify(told));
`;
