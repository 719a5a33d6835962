/** What a terminal of 80×24 shows: the program on a real one, drawn by an emulator, beside the screens in `screens/`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, test } from "@jest/globals";
import xterm from "@xterm/headless";
import type { App } from "../support/app.js";
import { lastingFolder } from "../support/lasting-folder.js";
import { withPostgres } from "../support/postgres-server.js";
import { startRedis, withRedis } from "../support/redis-server.js";
import { appAt } from "./command-line.js";
import { startServer, type TestDatabase } from "./postgres-command.js";
import { atTerminal, SIZE, withTerminal } from "./real-terminal.js";

const SCREENS = fileURLToPath(new URL("screens/", import.meta.url));
/** `SCREENS=write npm run spec -- spec/cli/screens.spec.ts` draws them anew: look at each before you commit it. */
const isWriting = process.env.SCREENS === "write";

withTerminal("a screen of 80×24", () => {
  let places: Places;

  beforeAll(async () => {
    const { app, file } = await appAt({ type: "local", path: join(lastingFolder(), "tokens") });
    places = { settings: file, folder: app.path };
    await signInAll(app);
  });

  test.each([
    ["help", "--help"],
    ["help-check", "check", "--help"],
    ["help-sessions", "sessions", "--help"],
    ["help-revoke", "revoke", "--help"],
    ["help-prune", "prune", "--help"],
    ["help-new-password", "new-password", "--help"],
    ["help-create-table", "create-table", "--help"],
    ["help-grants", "grants", "--help"],
    ["help-iam-policy", "iam-policy", "--help"],
    ["misspelt", "sesions"],
    ["misspelt-option", "revoke", "--usr", "ada"],
    ["sessions", "sessions"],
    ["sessions-of-one", "sessions", "--user", "ada"],
    ["no-settings", "check", "--settings", "nowhere.yml"],
  ])("%s", async (name, ...argv) => {
    const screen = await screenOf(argv, places);
    expectScreen(name, screen);
    // The prompt of the shell needs the last row.
    expect(screen.split("\n").length).toBeLessThanOrEqual(SIZE.rows);
  });

  test("check goes beyond it, and ends with what counts", async () => {
    expectScreen("check", await screenOf(["check"], places));
  });
});

/** There, the place has a name of the same length on every machine. */
withRedis("a screen of 80×24, with Redis", () => {
  withTerminal("asked", () => {
    test.each([
      ["revoke-nobody", "", "--user", "nobody"],
      ["revoke-no", "n", "--user", "ada"],
      ["revoke-yes", "y", "--user", "ada"],
    ])("%s", async (name, answer, ...argv) => {
      const { app, file } = await appAt({ type: "redis", host: "127.0.0.1", port: (await startRedis()).port });
      await signInAll(app);
      expectScreen(name, await screenOf(["revoke", ...argv], { settings: file, folder: app.path }, answer));
    });
  });
});

withPostgres("a screen of 80×24, with PostgreSQL", () => {
  withTerminal("of its table", () => {
    let database: TestDatabase;
    beforeAll(async () => {
      database = await (await startServer()).newDatabase();
    });

    test.each([
      ["create-table-refused", "app", "create-table"],
      ["create-table", "ada", "create-table"],
      ["grants", "ada", "grants", "--user", "app"],
      ["create-table-again", "ada", "create-table"],
      ["check-denied", "app", "check"],
    ] as const)("%s", async (name, user, ...argv) => {
      expectScreen(name, await screenOf(argv, { settings: database.settings(user), folder: "/none" }));
    });
  });
});

interface Places {
  readonly settings: string;
  readonly folder: string;
}

async function signInAll(app: App): Promise<void> {
  for (const username of ["ada", "grace.hopper@navy.example.org", "山田太郎さん", "eve\u001b[2J"]) {
    await app.visitor().post("/sign-in-labelled", { username, password: "p", label: "the old laptop, at home" });
  }
}

function expectScreen(name: string, screen: string): void {
  const path = `${SCREENS}${name}.txt`;
  if (isWriting) writeFileSync(path, screen);
  expect(screen).toBe(readFileSync(path, "utf8"));
}

/** What the terminal shows when the program has ended, without the spaces at the ends of lines. */
async function screenOf(argv: readonly string[], places: Places, answer = ""): Promise<string> {
  const { screen } = await atTerminal(argv, {
    ...{ typed: `${answer}\n`, echo: false },
    // In a folder whose name is as long everywhere; colours draw nothing of their own.
    ...{ cwd: "/", env: { TOKENIZER_SETTINGS: places.settings, NO_COLOR: "1" } },
  });
  const terminal = new xterm.Terminal({ ...SIZE, allowProposedApi: true });
  await new Promise<void>((drawn) => terminal.write(alike(screen, places), drawn));
  const { active } = terminal.buffer;
  const lines = Array.from({ length: active.length }, (_, at) => active.getLine(at)?.translateToString(true) ?? "");
  return `${lines.join("\n").trimEnd()}\n`;
}

/** Times, ids, folders and the order of sessions are others each time. */
function alike(shown: string, { settings, folder }: Places): string {
  return shown
    .replaceAll(folder, "/srv/my-app/.tokens")
    .replaceAll(settings, "/srv/my-app/settings.yml")
    .replaceAll(/[A-Z][a-z]{2} [ \d]\d \d\d:\d\d/g, "Jan 31 09:21")
    .replaceAll(/ +\d+\.\d\d ms/g, (found) => "0.10 ms".padStart(found.length))
    .replaceAll(/127\.0\.0\.1:\d{5}/g, "127.0.0.1:16379")
    .replaceAll(/^[\w-]{10}(?= {2}\S)/gm, "fKMZpUDJUA")
    .replace(/(^fKMZ.*\r?\n)+/m, (rows) =>
      rows
        .split(/(?<=\n)/)
        .sort()
        .join(""),
    );
}
