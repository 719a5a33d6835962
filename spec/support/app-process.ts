/** Starts applications in processes of their own, and ends them. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll } from "@jest/globals";
import type { SettingsInput } from "../../lib/settings/settings.js";

export interface AppProcess {
  readonly url: string;
  readonly child: ChildProcess;
  /** Requests a path with a cookie; the answer's body is read. */
  get(path: string, cookie?: string): Promise<{ status: number; cookie: string | undefined; text: string }>;
  stop(): Promise<void>;
}

const SCRIPT = fileURLToPath(new URL("./app-process-main.mjs", import.meta.url));

const running = new Set<ChildProcess>();

// Also of those that never came up: a process left behind would keep the specs from ending.
afterAll(() => {
  for (const child of running) child.kill("SIGKILL");
});

/** An application on a place that other processes may share, as the settings name it. Ended after the file's last spec. */
export async function startApp(
  settings: Partial<SettingsInput["tokenizer"]>,
  authenticator: "local" | "ldap" = "local",
): Promise<AppProcess> {
  const flags = ["--disable-warning=ExperimentalWarning", "--expose-gc"];
  const args = [...flags, SCRIPT, JSON.stringify(settings), authenticator];
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  running.add(child);
  child.once("exit", () => running.delete(child));
  const failed = once(child, "exit").then(() => Promise.reject(new Error("The application did not start.")));
  const [line] = (await Promise.race([once(child.stdout, "data"), failed])) as [Buffer];
  failed.catch(() => {});
  const url = `http://127.0.0.1:${Number(line)}`;
  return {
    url,
    child,
    async get(path, cookie) {
      const answer = await fetch(url + path, { headers: cookie ? { cookie } : {}, redirect: "manual" });
      return {
        status: answer.status,
        cookie: answer.headers.get("set-cookie")?.split(";")[0],
        text: await answer.text(),
      };
    },
    async stop() {
      if (!running.has(child)) return;
      const exited = once(child, "exit");
      child.kill("SIGKILL");
      await exited;
    },
  };
}
