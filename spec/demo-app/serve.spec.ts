import { readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { Agent, get, Server } from "node:http";
import { join } from "node:path";
import { describe, expect, jest, test } from "@jest/globals";
import { TokenizerError } from "express-tokenizer";
import { writeFirstSettings } from "../../demo-app/first-start.js";
import { ROOT } from "../../demo-app/root.js";
import { CannotStart, portFrom, serve } from "../../demo-app/serve.js";
import { DEMO_ACCOUNTS } from "../../demo-app/upstream.js";
import { welcome } from "../../demo-app/welcome.js";
import { temporaryFolder } from "./demo.js";

function settings() {
  const path = join(temporaryFolder(), "tokens");
  return { tokenizer: { type: "local", cloud: false, path, safe_password: "a safe password for specs" } } as const;
}

describe("the first start", () => {
  const example = join(ROOT, "settings.example.yml");

  test("writes the example with a safe_password of its own, for its owner alone", () => {
    const file = join(temporaryFolder(), "settings.yml");
    expect(writeFirstSettings(file, example)).toBe(true);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    const [own, sample] = [file, example].map((each) => readFileSync(each, "utf8").split("\n"));
    const changed = own?.filter((line, index) => line !== sample?.[index]);
    expect(changed?.shift()).toBe("# yaml-language-server: $schema=./settings.schema.json");
    expect(changed?.[0]).toMatch(/^ {2}safe_password: "[\w-]{43}"$/);
    // Taken instead, a section that is a comment has it, too.
    expect(new Set(changed?.map((line) => line.replace("#", "")))).toEqual(new Set(changed?.slice(0, 1)));
    expect(own?.join("\n")).not.toContain("replace-this-sample");
  });

  test("makes another safe_password every time", () => {
    const file = join(temporaryFolder(), "settings.yml");
    writeFirstSettings(file, example);
    const first = readFileSync(file, "utf8");
    rmSync(file);
    writeFirstSettings(file, example);
    expect(readFileSync(file, "utf8")).not.toBe(first);
  });

  test("touches no settings that are there", () => {
    const file = join(temporaryFolder(), "settings.yml");
    writeFileSync(file, "mine");
    expect(writeFirstSettings(file, example)).toBe(false);
    expect(readFileSync(file, "utf8")).toBe("mine");
  });
});

describe("serving", () => {
  test("answers on both loopback addresses, or on the one that the machine has", async () => {
    const { port, stop } = await serve({ settings: settings(), port: 0 });
    expect((await fetch(`http://127.0.0.1:${port}/sign-in`)).status).toBe(200);
    expect((await fetch(`http://localhost:${port}/sign-in`)).status).toBe(200);
    await stop();
  });

  test("says which port is taken, and leaves nothing running", async () => {
    const running = await serve({ settings: settings(), port: 0 });
    const second = serve({ settings: settings(), port: running.port });
    await expect(second).rejects.toThrow(CannotStart);
    await expect(second).rejects.toThrow(`Port ${running.port} is taken by another program`);
    await running.stop();
  });

  test("says that an address is not this machine's", async () => {
    const elsewhere = serve({ settings: settings(), port: 0, host: "203.0.113.1" });
    await expect(elsewhere).rejects.toThrow('HOST is "203.0.113.1", which is no address of this machine.');
  });

  test("stops although a browser keeps its connection open", async () => {
    const { port, stop } = await serve({ settings: settings(), port: 0 });
    const agent = new Agent({ keepAlive: true });
    await new Promise((resolve) => {
      get({ port, host: "127.0.0.1", path: "/sign-in", agent }, (res) => res.resume().on("end", resolve));
    });
    const cut = jest.spyOn(Server.prototype, "closeAllConnections");
    await stop();
    // Only the notes service's, which nobody is connected to: the demo's own were not waited for until they had to be cut.
    expect(cut).toHaveBeenCalledTimes(1);
    cut.mockRestore();
    await expect(fetch(`http://127.0.0.1:${port}/`)).rejects.toThrow("fetch failed");
    agent.destroy();
  });

  test("leaves a fault of the settings as it is", async () => {
    const wrong = { tokenizer: { ...settings().tokenizer, timeout: -1 } };
    await expect(serve({ settings: wrong, port: 0 })).rejects.toThrow(TokenizerError);
  });
});

describe("the terminal", () => {
  async function said(): Promise<string> {
    const running = await serve({ settings: settings(), port: 0 });
    await running.stop();
    return welcome("localhost", running);
  }

  test("names the accounts with their passwords, and the page of the trials", async () => {
    const text = await said();
    for (const { username, password } of DEMO_ACCOUNTS) expect(text).toMatch(new RegExp(`${username} +${password}\n`));
    expect(text).toMatch(/The demo is at http:\/\/localhost:\d+\n/);
    expect(text).toMatch(/http:\/\/localhost:\d+\/promises\n/);
  });

  test("in production names neither, and says so", async () => {
    const environment = jest.replaceProperty(process.env, "NODE_ENV", "production");
    const text = await said().finally(() => environment.restore());
    for (const { password } of DEMO_ACCOUNTS) expect(text).not.toContain(password);
    expect(text).not.toContain("/promises");
    expect(text).toMatch(/The demo is at http:\/\/localhost:\d+\n/);
    expect(text).toContain(
      "With NODE_ENV=production it shows nobody the passwords of its accounts, and leaves out the trials.",
    );
  });

  test("puts an address of IPv6 into brackets", () => {
    expect(welcome("::1", { port: 80, accounts: [] })).toContain("http://[::1]:80\n");
  });
});

describe("PORT", () => {
  test.each([
    [undefined, 3000],
    ["", 3000],
    ["0", 0],
    ["65535", 65_535],
  ])("%j is port %i", (text, port) => {
    expect(portFrom(text)).toBe(port);
  });

  test.each(["65536", "-1", "80a", "1e3", " 80"])("%j is refused", (text) => {
    expect(() => portFrom(text)).toThrow("has to be a number from 0 to 65535");
  });
});
