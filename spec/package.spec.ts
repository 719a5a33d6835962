import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, posix } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "@jest/globals";
import { layOut, outputIn, pack, ROOT, run, type Tarball } from "./support/packed.js";

// The package as its users get it: packed, laid into a project of its own, and imported from there.
// Those projects hold copies of exactly what our package.json declares, so an undeclared dependency is missing there.
// With TEST_FULL=1 npm itself installs the tarball instead, from the registry.

const TSC = join(ROOT, "node_modules/typescript/bin/tsc");
const PUBLINT = join(ROOT, "node_modules/publint/src/cli.js");
const ATTW = join(ROOT, "node_modules/@arethetypeswrong/cli/dist/index.js");
/** Kilobytes, with little room above what it is: what was not meant to be packed is larger than that. */
const LARGEST = { packed: 440, unpacked: 1600 };

let folder: string;
let tarball: Tarball;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "express-tokenizer-package-"));
  tarball = await pack(folder);
});

afterAll(() => {
  rmSync(folder, { recursive: true, force: true });
});

describe("the tarball", () => {
  test("holds what is needed beside dist, and nothing else", () => {
    const documents = readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`);
    expect(tarball.paths.filter((path) => !path.startsWith("dist/"))).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "SECURITY.md",
      "bench/PROMISES.md",
      "bench/RESULTS.md",
      "bench/SCALE.md",
      "bench/SEALING.md",
      "bench/results.svg",
      ...documents.sort(),
      "package.json",
      "settings.example.yml",
      "settings.schema.json",
    ]);
  });

  test("no link and no picture of its documents is dead where it is installed", () => {
    const documents = tarball.paths.filter((path) => path.endsWith(".md") && path !== "CHANGELOG.md");
    const dead = documents.flatMap((document) => {
      const text = readFileSync(join(ROOT, document), "utf8");
      const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target = ""]) => target);
      return targets
        .map((target) => posix.join(posix.dirname(document), target))
        .filter((target) => !tarball.paths.includes(target))
        .map((target) => `${document}: ${target}`);
    });
    expect(documents.length).toBeGreaterThan(15);
    expect(dead).toEqual([]);
  });

  test("holds one script and one declaration for each source in lib, and says that they are CommonJS", () => {
    const sources = readdirSync(join(ROOT, "lib"), { recursive: true, encoding: "utf8" })
      .filter((path) => /\.m?ts$/.test(path))
      .map((path) => path.replaceAll("\\", "/"));
    const built = sources.flatMap((path) => [path.replace(/ts$/, "js"), path.replace(/(m?ts)$/, "d.$1")]);
    const expected = [...built, "package.json"].map((path) => `dist/${path}`).sort();
    expect(tarball.paths.filter((path) => path.startsWith("dist/"))).toEqual(expected);
  });

  test("is small", () => {
    const { size, paths } = tarball;
    process.stderr.write(
      `The tarball: ${size.packed} kB packed, ${size.unpacked} kB unpacked, ${paths.length} files\n`,
    );
    expect(size.packed).toBeLessThan(LARGEST.packed);
    expect(size.unpacked).toBeLessThan(LARGEST.unpacked);
  });

  test("its declarations compile also without esModuleInterop: none has a default import", () => {
    const declarations = tarball.paths.filter((path) => /\.d\.m?ts$/.test(path));
    const having = declarations.filter((path) =>
      /^import (?!type \{)\w+[, ]/m.test(readFileSync(join(ROOT, path), "utf8")),
    );
    expect(declarations.length).toBeGreaterThan(50);
    expect(having).toEqual([]);
  });

  test("publint has nothing to say about it", async () => {
    expect(await outputIn(folder, PUBLINT, tarball.file, "--strict")).toMatch(/All good!\s*$/);
  });

  test("attw finds no way to import it without its types, or with wrong ones", async () => {
    expect(await outputIn(folder, ATTW, tarball.file, "--format", "ascii")).toContain("No problems found");
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
    else await layOut(project, tarball, { express, "@types/express": types, "@types/node": "@types/node" });
    writeFileSync(join(project, "serve.cjs"), SERVE);
  });

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

  test("import and require answer the same objects, however often", async () => {
    const text = `
      import { createRequire } from "node:module";
      import { pathToFileURL } from "node:url";
      import * as imported from "express-tokenizer";
      import * as contract from "express-tokenizer/backend-contract";
      const require = createRequire(import.meta.url);
      const again = await import(pathToFileURL("node_modules/express-tokenizer/dist/index.mjs").href + "?again");
      const required = require("express-tokenizer");
      const isSame = (one, other) => Object.keys(one).every((name) => one[name] === other[name]);
      console.log(JSON.stringify({
        imported: Object.keys(imported),
        required: Object.keys(required).sort(),
        same: [isSame(required, imported), isSame(required, again)],
        contract: isSame(require("express-tokenizer/backend-contract"), contract),
      }));`;
    const names = ["TokenStore", "TokenizerError", "tokenizer"];
    const expected = { imported: names, required: names, same: [true, true], contract: true };
    expect(await answersOf("same.mjs", text)).toEqual(expected);
  });

  // A wrong use is among them, expected not to compile: without types it would.
  test.each([
    {
      resolution: "nodenext",
      module: "nodenext",
      files: ["app.mts", "app.cts", "readme.mts", "wrong.mts", "wrong.cts"],
    },
    { resolution: "node16", module: "node16", files: ["app.mts", "app.cts", "readme.mts", "wrong.mts", "wrong.cts"] },
    { resolution: "bundler", module: "preserve", files: ["app.ts", "readme.mts", "wrong.mts"] },
    { resolution: "bundler", module: "commonjs", files: ["app.cts", "wrong.cts"] },
  ])("strict TypeScript compiles against it: $module by $resolution", async ({ resolution, module, files }) => {
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

  test("from CommonJS, its backend may be CommonJS, an ES module, or what a hook of require compiles", async () => {
    const telling = (name: string) => `() => { throw new Error("this is ${name}"); }`;
    writeFileSync(join(project, "one.cjs"), `module.exports = ${telling("CommonJS")};`);
    writeFileSync(join(project, "two.mjs"), `export default ${telling("an ES module")};`);
    writeFileSync(join(project, "three.mjs"), `await 0; export default ${telling("one that awaits")};`);
    writeFileSync(join(project, "four.compiled"), telling("compiled"));
    const text = `
      const { readFileSync } = require("node:fs");
      const { tokenizer } = require("express-tokenizer");
      require.extensions[".compiled"] = (module, file) =>
        module._compile("module.exports = " + readFileSync(file, "utf8"), file);
      (async () => {
        const told = [];
        for (const module of ["./one.cjs", "./two.mjs", "./three.mjs", "./four.compiled"]) {
          const section = { type: "module", module, safe_password: "only for the package spec", store_timeout: 30 };
          const sessions = tokenizer({ tokenizer: section });
          told.push(await sessions.ready.catch(({ message }) => message.replace(/.*: /, "")));
        }
        console.log(JSON.stringify(told));
      })();`;
    const expected = ["this is CommonJS", "this is an ES module", "this is one that awaits", "this is compiled"];
    expect(await answersOf("modules.cjs", text)).toEqual(expected);
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

async function installWithNpm(project: string, release: string): Promise<void> {
  const packages = [tarball.file, `express@${release}`, `@types/express@${release}`, "@types/node@22"];
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
/** Its application, what docs/settings.md declares for an application of one's own, and a use of that. */
const README = [
  ...["README.md", "docs/settings.md"].flatMap((file) =>
    [...readFileSync(join(ROOT, file), "utf8").matchAll(/```ts\n([\s\S]*?)```/g)].map(([, code]) => code),
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
