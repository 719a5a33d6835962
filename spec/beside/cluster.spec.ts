/** Beside node:cluster: two workers on one port and one folder, which know nothing of each other but what is stored. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { get, type IncomingMessage } from "node:http";
import { text as textOf } from "node:stream/consumers";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "@jest/globals";
import { temporaryFolder } from "../support/app.js";

const SCRIPT = fileURLToPath(new URL("../support/cluster-main.mjs", import.meta.url));
const FLAGS = ["--disable-warning=ExperimentalWarning"];

const primary = spawn(process.execPath, [...FLAGS, SCRIPT, temporaryFolder()], {
  stdio: ["ignore", "pipe", "inherit"],
});
/** Of the cluster, and of each worker alone. */
let ports: { shared: number; own: [number, number] };

beforeAll(async () => {
  const exited = once(primary, "exit").then(() => Promise.reject(new Error("The cluster did not start.")));
  const [line] = await Promise.race([once(primary.stdout, "data"), exited]);
  exited.catch(() => {});
  ports = JSON.parse(String(line));
});

// Its workers end with it.
afterAll(() => {
  primary.kill("SIGKILL");
});

interface Answer {
  readonly status: number | undefined;
  readonly cookie: string | undefined;
  readonly text: string;
}

/** By a connection of its own, since connections are what is dealt out among the workers. */
async function ask(path: string, { port = ports.shared, cookie = "", begun = () => {} } = {}): Promise<Answer> {
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    get({ host: "127.0.0.1", port, path, headers: { cookie }, agent: false }, resolve)
      .on("information", begun)
      .on("error", reject);
  });
  const setCookie = answer.headers["set-cookie"]?.[0]?.split(";")[0];
  return { status: answer.statusCode, cookie: setCookie, text: await textOf(answer) };
}

async function signIn(): Promise<string> {
  const { cookie } = await ask("/sign-in");
  expect(cookie).toMatch(/^token=/);
  return cookie ?? "";
}

test("50 parallel requests, dealt out among the workers, each setting its own key: 50 kept", async () => {
  const cookie = await signIn();
  const keys = Array.from({ length: 50 }, (_, n) => `key${n}`);
  const answers = await Promise.all(keys.map((key) => ask(`/set/${key}/with/50`, { cookie })));
  expect(answers.map(({ status }) => status)).toEqual(keys.map(() => 200));
  expect(new Set(answers.map(({ text }) => text)).size).toBe(2);
  for (const port of ports.own) {
    const { values, password } = JSON.parse((await ask("/session", { port, cookie })).text);
    expect(values).toEqual({ username: "ada", ...Object.fromEntries(keys.map((key) => [key, true])) });
    expect(password).toBe("a secret of ada's");
  }
});

test("signed out at one worker during a slow request at the other: signed out at both, for good", async () => {
  const [one, other] = ports.own;
  const cookie = await signIn();
  let slow: Promise<Answer> | undefined;
  await new Promise<void>((begun) => {
    slow = ask("/set/late/with/2", { port: other, cookie, begun });
  });
  const signedOut = await ask("/sign-out", { port: one, cookie });
  expect(signedOut.cookie).toBe("token=");
  // The second of the two that wait for each other lets the slow one go.
  await ask("/set/late/with/2", { port: one });
  expect(await slow).toMatchObject({ status: 200, cookie: undefined });
  for (const port of ports.own) {
    expect(JSON.parse((await ask("/session", { port, cookie })).text)).toEqual({ values: {}, ended: true });
  }
});
