import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "@jest/globals";
import { makeBackend } from "../../../lib/backends/open.js";
import { loadSettings } from "../../../lib/settings/load.js";
import type { SettingsInput } from "../../../lib/settings/settings.js";
import { commandLine, settingsFile } from "../../cli/command-line.js";
import { temporaryFolder } from "../../support/app.js";
import { failureOf } from "../../support/redis-backend.js";
import { makeCertificates, startRedis, withRedis, withTls } from "../../support/redis-server.js";

/** Opens what the settings name, and asks it for a record. */
async function reach(section: SettingsInput["tokenizer"]): Promise<void> {
  const log = { warn() {} };
  const settings = loadSettings({ tokenizer: { type: "redis", safe_password: "x".repeat(20), ...section } }, { log });
  const backend = makeBackend(settings, { now: Date.now, timeout: 15_000, ...log });
  try {
    await backend.open();
    expect(await backend.read("key")).toBeUndefined();
  } finally {
    await backend.close();
  }
}

const PASSWORD = "p@ss/w#rd:100%";

withRedis("a url of Redis", () => {
  test.each([
    ["encoded", encodeURIComponent(PASSWORD)],
    ["as far as it must be", PASSWORD.replace("%", "%25")],
  ])("with a password of any characters, %s", async (_name, password) => {
    const server = await startRedis();
    await server.command("ACL", "SETUSER", "app", "on", `>${PASSWORD}`, "~*", "+@all");
    await server.command("ACL", "SETUSER", "default", "off");
    await reach({ url: `redis://app:${password}@127.0.0.1:${server.port}/1` });
  });

  test("of a socket", async () => {
    const socket = join(temporaryFolder(), "redis.sock");
    const server = await startRedis({ args: ["--unixsocket", socket, "--unixsocketperm", "700"] });
    await reach({ url: `unix://${socket}` });
    const { code, stdout, stderr } = await commandLine([
      ...["check", "--settings", settingsFile({ type: "redis", url: `unix://${socket}` })],
    ]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(new RegExp(`^place +Redis at ${socket}, keys beginning with tokenizer:$`, "m"));
    await server.kill();
    expect(await failureOf(reach({ url: `unix://${socket}` }))).toEqual({
      code: "STORE_UNAVAILABLE",
      message: `Redis at ${socket} cannot be reached: nothing listens there.`,
    });
  });

  test.each([
    ["that is not there", (file: string) => `${file}.sock`, "there is no such socket"],
    ["that is a file", (file: string) => file, "(nothing listens there|it is no socket)"],
  ])("of a socket %s", async (_name, pathOf, reason) => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "");
    const { code, message } = await failureOf(reach({ url: `unix://${pathOf(file)}` }));
    expect(code).toBe("STORE_UNAVAILABLE");
    expect(message).toMatch(new RegExp(`^Redis at ${pathOf(file)} cannot be reached: ${reason}\\.$`));
  });
});

withTls("a url of Redis by TLS", () => {
  test("is verified as options.ssl is", async () => {
    const certificates = makeCertificates();
    const { ca, client } = certificates;
    const { port } = await startRedis({ tls: certificates });
    await reach({ url: `rediss://localhost:${port}`, options: { ca, ...client } });
    expect(await failureOf(reach({ url: `rediss://localhost:${port}` }))).toEqual({
      code: "STORE_UNUSABLE",
      message: expect.stringMatching(
        /its certificate is not trusted .* Where there is none to be had, tokenizer\.options\.verify: false is left: then/,
      ),
    });
    await reach({ url: `rediss://localhost:${port}`, options: { verify: false, ...client } });
    expect((await failureOf(reach({ url: `redis://localhost:${port}` }))).message).toMatch(
      / If it expects TLS, set tokenizer\.options\.ssl: true, or rediss:\/\/ in tokenizer\.url\.$/,
    );
  });
});
