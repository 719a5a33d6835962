// Starts the demo: installs what is missing, builds what has changed, serves it on http://localhost:$PORT (3000). With
// --tls (npm run start:tls) over TLS, and its sessions are bound to the device.
import { spawn } from "node:child_process";
import { ensureBuilt } from "./build.mjs";
import { ensureInstalled } from "./install.mjs";
import { ROOT } from "./run.mjs";

if (!ensureInstalled() || !ensureBuilt()) process.exit(1);

const demo = spawn(
  process.execPath,
  ["--disable-warning=ExperimentalWarning", "dist-demo/server.js", ...process.argv.slice(2)],
  {
    cwd: ROOT,
    stdio: "inherit",
  },
);
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => demo.kill(signal));
demo.on("exit", (code) => {
  process.exitCode = code ?? 1;
});
