import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { type IncomingMessage, request } from "node:http";
import { type AddressInfo, connect } from "node:net";
import { dirname, join } from "node:path";
import { text } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "@jest/globals";
import express from "express";
import { main } from "../lib/cli/main.js";
import { loadSettings } from "../lib/settings/load.js";
import { settingSections } from "../lib/settings/schema.js";
import { type Tokenizer, tokenizer } from "../lib/tokenizer.js";
import { freePort } from "./support/free-port.mjs";
import { lastingFolder } from "./support/lasting-folder.js";

const ROOT = fileURLToPath(new URL("../", import.meta.url));
const README = readFileSync(join(ROOT, "README.md"), "utf8");

/** Inside of the project, where the package's own name means the built package. */
mkdirSync(join(ROOT, ".cache"), { recursive: true });
const folder = mkdtempSync(join(ROOT, ".cache", "readme-"));
let child: ChildProcess | undefined;

afterAll(() => {
  child?.kill("SIGKILL");
  rmSync(folder, { recursive: true, force: true });
});

/** The n-th code block of a language. */
function block(language: string, index = 0): string {
  const blocks = [...README.matchAll(/```(\w+)\n([\s\S]*?)```/g)].filter(([, name]) => name === language);
  return blocks[index]?.[2] ?? "";
}

/** The first code block of a document in a language, and with that beginning. */
function blockOf(file: string, language: string, beginning = ""): string {
  const blocks = [...readFileSync(join(ROOT, file), "utf8").matchAll(/```(\w+)\n([\s\S]*?)```/g)];
  return blocks.find(([, name, text = ""]) => name === language && text.startsWith(beginning))?.[2] ?? "";
}

/** The first cells of the table whose first heading that is. */
function rowsOf(file: string, heading: string): string[] {
  const lines = readFileSync(join(ROOT, file), "utf8").split("\n");
  const first = lines.findIndex((line) => line.startsWith(`| ${heading} `));
  const end = lines.findIndex((line, at) => at > first && !line.startsWith("|"));
  if (first === -1) throw new Error(`${file} has no table with ${heading}`);
  return lines.slice(first + 2, end).map((line) => line.split("|")[1]?.trim() ?? "");
}

async function refusesConnections(port: number): Promise<void> {
  const socket = connect(port, "127.0.0.1");
  const error = await once(socket, "connect").catch((error) => error);
  socket.destroy();
  if (error.code !== "ECONNREFUSED") throw new Error("It accepts connections.");
}

describe("README", () => {
  /** Starts the application of the README; a second time on the sessions of the first. */
  async function startApplication(express = "express") {
    const port = await freePort();
    const settings = block("yaml").replace("…", "x".repeat(32));
    writeFileSync(join(folder, "settings.yml"), settings, { mode: 0o600 });
    writeFileSync(
      join(folder, "app.mjs"),
      block("ts").replace("3000", String(port)).replace('from "express"', `from "${express}"`),
    );
    child = spawn(process.execPath, ["--disable-warning=ExperimentalWarning", "app.mjs"], {
      cwd: folder,
      stdio: "inherit",
    });
    const exited = once(child, "exit");
    const url = `http://127.0.0.1:${port}`;
    const greeting = async (cookie?: string) => (await fetch(url, { headers: cookie ? { cookie } : {} })).text();
    await until(() => greeting());
    return { child, exited, port, url, greeting };
  }

  const SIGN_IN = "username=ada&password=a+secret+of+ada%27s";
  const FORM = { "content-type": "application/x-www-form-urlencoded" };

  test("its application and its settings run: sign in, be greeted, sign out, be told; SIGTERM ends it", async () => {
    const { child, exited, url, greeting } = await startApplication();
    expect(await greeting()).toMatch(/^Please sign in\.\s+<form /);
    const signedIn = await fetch(`${url}/sign-in`, {
      method: "POST",
      headers: FORM,
      body: SIGN_IN,
      redirect: "manual",
    });
    const cookie = signedIn.headers.get("set-cookie")?.split(";")[0] ?? "";
    expect(signedIn.status).toBe(302);
    expect(await greeting(cookie)).toMatch(/^Hello ada\s+<form /);
    await fetch(`${url}/sign-out`, { method: "POST", headers: { cookie }, redirect: "manual" });
    expect(await greeting(cookie)).toMatch(/^Your session has ended\.\s+<form /);

    child.kill("SIGTERM");
    expect(await exited).toEqual([0, null]);
  });

  test.each(["express", "express4"])(
    "on %s, an empty user name is asked again, and the process goes on",
    async (express) => {
      const { child, exited, url, greeting } = await startApplication(express);
      for (const body of ["username=&password=x", ""]) {
        const answer = await fetch(`${url}/sign-in`, { method: "POST", headers: FORM, body });
        expect([answer.status, await answer.text()]).toEqual([200, expect.stringMatching(/^Please sign in\./)]);
      }
      expect(await greeting()).toMatch(/^Please sign in\./);
      child.kill("SIGTERM");
      expect(await exited).toEqual([0, null]);
    },
  );

  test("a store that is not there ends it with a line that says so", async () => {
    const settings = block("yaml").replace("…", "x".repeat(32)).replace("type: local", "type: redis\n  port: 1");
    const place = mkdtempSync(join(ROOT, ".cache", "readme-"));
    writeFileSync(join(place, "settings.yml"), settings, { mode: 0o600 });
    writeFileSync(join(place, "app.mjs"), block("ts").replace("3000", "0"));
    const failing = spawn(process.execPath, ["app.mjs"], { cwd: place });
    const [said, [code]] = await Promise.all([text(failing.stderr), once(failing, "exit")]);
    rmSync(place, { recursive: true, force: true });
    expect(code).toBe(1);
    expect(said).toBe("Redis at localhost:1 cannot be reached: nothing listens there.\n");
  });

  test("68: SIGTERM in the middle of a sign-in: it is answered, the store is closed, and the sign-in is kept", async () => {
    const { child, exited, port } = await startApplication();
    const headers = { ...FORM, "content-length": SIGN_IN.length, expect: "100-continue" };
    const signingIn = request({ port, host: "127.0.0.1", path: "/sign-in", method: "POST", headers, agent: false });
    const answered = once(signingIn, "response");
    signingIn.flushHeaders();
    await once(signingIn, "continue");
    child.kill("SIGTERM");
    await until(() => refusesConnections(port));
    signingIn.end(SIGN_IN);
    const [answer] = (await answered) as [IncomingMessage];
    expect(answer.statusCode).toBe(302);
    expect(await exited).toEqual([0, null]);
    // Closed by its last process, the database has no log beside it.
    expect(readdirSync(join(folder, ".tokens")).filter((name) => name.endsWith("-wal"))).toEqual([]);

    const again = await startApplication();
    expect(await again.greeting(answer.headers["set-cookie"]?.[0]?.split(";")[0])).toMatch(/^Hello ada/);
    again.child.kill("SIGTERM");
    expect(await again.exited).toEqual([0, null]);
  });

  test("is at most 200 lines long", () => {
    expect(README.trimEnd().split("\n").length).toBeLessThanOrEqual(200);
  });

  test("its codes are those that the type has", () => {
    const type = readFileSync(join(ROOT, "lib/errors.ts"), "utf8");
    const [, union = ""] = /TokenizerErrorCode =([\s\S]*?);\n/.exec(type) ?? [];
    const named = rowsOf("README.md", "code").flatMap((names) =>
      [...names.matchAll(/`(\w+)`/g)].map(([, code]) => code),
    );
    expect(named.sort()).toEqual([...union.matchAll(/\| "(\w+)"/g)].map(([, code]) => code).sort());
  });
});

describe("what the documents say of settings and commands", () => {
  test("its settings faults are what is told", () => {
    const file = join(folder, "faulty.yml");
    writeFileSync(
      file,
      'tokenizer:\n  timeout: "20"\n  saef_password: secret\n  safe_password: a long enough password\n',
    );
    const [heading, ...lines] = blockOf("docs/settings.md", "text").trim().split("\n");
    try {
      loadSettings(file, { log: { warn: () => {} }, env: {} });
      throw new Error("the settings were taken");
    } catch (error) {
      const told = (error as Error).message.split("\n");
      expect(told[0]).toBe(heading?.replace("settings.yml", file));
      expect(told.slice(1).map((line) => line.trim())).toEqual(lines.map((line) => line.trim()));
    }
  });

  test("what its commands print is what they print", async () => {
    const place = lastingFolder();
    const file = join(place, "settings.yml");
    const settings = block("yaml").replace("…", "x".repeat(32));
    writeFileSync(file, settings, { mode: 0o600 });
    const sessions = tokenizer(file);
    await signInOnce(sessions);
    for (const example of ["check", "sessions"].map((name) =>
      blockOf("docs/command-line.md", "text", `$ npx express-tokenizer ${name}`),
    )) {
      const [command = "", ...expected] = example.trim().split("\n");
      const printed: string[] = [];
      const argv = command.replace("$ npx express-tokenizer ", "").split(" ");
      const env = { TOKENIZER_SETTINGS: file };
      expect(await main(argv, { print: (line) => printed.push(line), tell: () => {}, env, width: 80 })).toBe(0);
      expect(printed.map((line) => alike(line.replace(place, "/srv/my-app")))).toEqual(expected.map(alike));
    }
    await sessions.close();
  });

  test("its list of commands is that of --help", async () => {
    const named = rowsOf("docs/command-line.md", "`npx express-tokenizer …`").flatMap((names) => names.split(", "));
    const printed: string[] = [];
    await main(["--help"], { print: (line) => printed.push(line), tell: () => {}, env: {} });
    const [, list = ""] = /Commands:\n(.*?)\n\n/s.exec(printed.join("\n")) ?? [];
    expect(named).toEqual(list.split("\n").map((line) => `\`${line.trim().split(" ")[0]}\``));
  });

  test("every key that the tables name is a setting, and no key of all types is left out", () => {
    const keys = Object.keys(settingSections.tokenizer ?? {});
    const few = rowsOf("README.md", "key");
    const all = rowsOf("docs/settings.md", "key");
    for (const key of [...few, ...all]) expect(keys.map((key) => `\`${key}\``)).toContain(key);
    expect(few.filter((key) => !all.includes(key))).toEqual([]);
    expect(all).toContain("`salt`");
  });
});

const DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md"];

test("docs/README.md lists every document", () => {
  const index = readFileSync(join(ROOT, "docs/README.md"), "utf8");
  const named = [...index.matchAll(/\| \[([\w-]+\.md)\]/g)].map(([, name]) => name);
  const documents = readdirSync(join(ROOT, "docs")).filter((name) => name !== "README.md");
  expect(named.sort()).toEqual(documents.sort());
});

describe.each([...DOCUMENTS, ...readdirSync(join(ROOT, "docs")).map((name) => `docs/${name}`)])("%s", (file) => {
  test("every file of this repository that it names is there", () => {
    const text = readFileSync(join(ROOT, file), "utf8");
    const named = [...text.matchAll(/`((?:spec|bench)\/[\w/.-]+\.\w+)`/g)].map(([, path = ""]) => path);
    expect(named.filter((path) => !existsSync(join(ROOT, path)))).toEqual([]);
  });

  test("every file and heading that it links to is there", () => {
    const text = readFileSync(join(ROOT, file), "utf8");
    const links = [...text.matchAll(/\]\((?!http)([^)#]*)(?:#([^)]+))?\)/g)];
    for (const [, path = "", anchor] of links) {
      const target = path === "" ? text : readFileSync(join(ROOT, dirname(file), path), "utf8");
      if (anchor !== undefined) expect(anchorsOf(target)).toContain(anchor);
    }
  });
});

/** As they are made of headings where the project is read. */
function anchorsOf(text: string): string[] {
  return [...text.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) =>
    heading
      .toLowerCase()
      .replace(/[^\w\s-]/g, "")
      .replaceAll(" ", "-"),
  );
}

/** As of ada's phone. */
async function signInOnce(sessions: Tokenizer): Promise<void> {
  const app = express();
  app.use(sessions);
  app.get("/", (req, res, next) => {
    req.signIn({ username: "ada", password: "a secret" }, { label: "phone" }).then(() => res.sendStatus(204), next);
  });
  const server = app.listen(0, "127.0.0.1");
  await once(server, "listening");
  await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  server.closeAllConnections();
  server.close();
}

/** Times, moments and ids are others each time, but as wide. */
function alike(line: string): string {
  return line
    .replace(/ +\d+\.\d\d ms/g, (found) => "0 ms".padStart(found.length))
    .replace(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d/g, "at a moment")
    .replace(/^[\w-]{10} /, "handle ");
}

/** Until the application listens. */
async function until<T>(work: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await work();
    } catch (error) {
      if (tries === 600) throw error;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }
}
