/** What the package leaves to the application's process. */
import { expect, test } from "@jest/globals";
import { startApp } from "../support/app-process.js";
import { onEveryBackend } from "../support/places.js";

const NODES_OWN = new Set(["newListener", "removeListener", "warning"]);

onEveryBackend((places) => {
  test("72: no handler of signals, of stray errors or of the end is installed; a signal ends the process at once", async () => {
    const app = await startApp(await places.next());
    expect((await app.get("/in")).status).toBe(200);
    const { handlers } = JSON.parse((await app.get("/process")).text);
    expect(handlers.filter((name: string) => !NODES_OWN.has(name))).toEqual([]);
    const ended = new Promise((resolve) => app.child.once("exit", (code, signal) => resolve([code, signal])));
    app.child.kill("SIGTERM");
    expect(await ended).toEqual([null, "SIGTERM"]);
  });
});
