/** `npm start`: settings, the demo, and the signals that end it. */

import { join } from "node:path";
import { TokenizerError } from "express-tokenizer";
import { type Certificate, certificateIn } from "./certificate.js";
import { writeFirstSettings } from "./first-start.js";
import { ROOT } from "./root.js";
import { CannotStart, portFrom, type Running, serve } from "./serve.js";
import { DEMO_ACCOUNTS } from "./upstream.js";

async function main(): Promise<void> {
  const { TOKENIZER_SETTINGS, PORT, HOST } = process.env;
  const settings = TOKENIZER_SETTINGS || join(ROOT, "settings.yml");
  if (!TOKENIZER_SETTINGS && writeFirstSettings(settings, join(ROOT, "settings.example.yml"))) {
    console.log("First start: wrote settings.yml, with a safe_password of its own.");
  }
  const certificate = process.argv.includes("--tls") ? certificateIn(join(ROOT, ".tls")) : undefined;
  const running = await serve({ settings, port: portFrom(PORT), host: HOST || undefined, certificate });
  stopOnSignals(running);
  console.log(welcome(HOST || "localhost", running.port, certificate));
}

function welcome(host: string, port: number, certificate: Certificate | undefined): string {
  const accounts = DEMO_ACCOUNTS.map(({ username, password }) => `  ${username.padEnd(6)}  ${password}`);
  const address = `${certificate ? "https" : "http"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
  return [
    "",
    `  The demo is at ${address}`,
    `  What it promises can be tried without signing in: ${address}/promises`,
    "",
    "  Sign in with one of its demo accounts:",
    "",
    `  ${"name".padEnd(6)}  password`,
    ...accounts,
    "",
    ...(certificate ? bindingIn(address, certificate) : []),
    "  Ctrl-C stops it.",
    "",
  ].join("\n");
}

/** Where no device keeps the key, Chromium does, for trials; only a certificate that it trusts will do. */
function bindingIn(address: string, { spkiHash }: Certificate): string[] {
  return [
    "  Sessions are bound to the device (docs/device-bound.md). To see it, use this browser, with a profile of its own:",
    "",
    `  chromium --user-data-dir=.tls/profile --ignore-certificate-errors-spki-list=${spkiHash} \\`,
    "    --enable-features=DeviceBoundSessions,EnableBoundSessionCredentialsSoftwareKeysForManualTesting \\",
    `    ${address}/sessions`,
    "",
  ];
}

function stopOnSignals(running: Running): void {
  let stopping = false;
  const stop = async () => {
    // Ctrl-C reaches the whole process group, and `npm start` passes it on as well: one key, several signals.
    if (stopping) return;
    stopping = true;
    try {
      await running.stop();
      process.exit(0);
    } catch (error) {
      fail(error);
    }
  };
  process.on("SIGINT", stop);
  process.on("SIGTERM", stop);
}

function fail(error: unknown): never {
  const mendable = error instanceof TokenizerError || error instanceof CannotStart;
  console.error(mendable ? error.message : error);
  process.exit(1);
}

await main().catch(fail);
