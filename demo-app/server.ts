/** `npm start`: settings, the demo, and the signals that end it. */

import { join } from "node:path";
import { TokenizerError } from "express-tokenizer";
import { certificateIn } from "./certificate.js";
import { writeFirstSettings } from "./first-start.js";
import { ROOT } from "./root.js";
import { CannotStart, portFrom, type Running, serve } from "./serve.js";
import { welcome } from "./welcome.js";

async function main(): Promise<void> {
  const { TOKENIZER_SETTINGS, PORT, HOST } = process.env;
  const settings = TOKENIZER_SETTINGS || join(ROOT, "settings.yml");
  if (!TOKENIZER_SETTINGS && writeFirstSettings(settings, join(ROOT, "settings.example.yml"))) {
    console.log("First start: wrote settings.yml, with a safe_password of its own.");
  }
  const certificate = process.argv.includes("--tls") ? certificateIn(join(ROOT, ".tls")) : undefined;
  const running = await serve({ settings, port: portFrom(PORT), host: HOST || undefined, certificate });
  stopOnSignals(running);
  console.log(welcome(HOST || "localhost", running, certificate));
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
