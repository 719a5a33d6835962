import { afterAll, beforeAll, describe, expect, jest, test } from "@jest/globals";
import type { Expected, StoredRecord } from "../../../lib/backends/backend.js";
import { isFull } from "../../support/redis-server.js";
import type { ScenarioName } from "./simulation/scenarios.js";

// Pauses are no time: what comes between two steps is the schedule's to say.
jest.unstable_mockModule("node:timers/promises", () => ({
  setTimeout: async () => {},
  setImmediate: async () => {},
}));
const { SCENARIOS } = await import("./simulation/scenarios.js");
const { simulate } = await import("./simulation/simulate.js");
const { SimulatedStore } = await import("./simulation/store.js");

const NAMES = Object.keys(SCENARIOS) as ScenarioName[];
/** `SIMULATION=limit:42 npm run spec -- spec/session/users/simulation.spec.ts` runs one schedule again, and tells all of it. */
const [ONLY, SEED] = process.env.SIMULATION?.split(":") ?? [];
/** `SIMULATION_SEEDS=1:20000` runs these seeds of every scenario. */
const [FIRST = 1, LAST = Math.ceil((isFull ? 100_000 : 1000) / NAMES.length)] =
  process.env.SIMULATION_SEEDS?.split(":").map(Number) ?? [];
const PATIENCE = 3_600_000;

class StoreOfTheLastWriter extends SimulatedStore {
  override write(key: string, record: StoredRecord, _expected: Expected, now: number): boolean {
    return super.write(key, record, "any", now);
  }
}

class StoreOfNoRemovals extends SimulatedStore {
  override remove(key: string, now: number): boolean {
    return this.read(key, now) !== undefined;
  }
}

describe("a user's sessions, whatever is delayed, fails, dies, vanishes or is told another time", () => {
  beforeAll(() => {
    jest.useFakeTimers({
      doNotFake: ["Date", "hrtime", "nextTick", "performance", "queueMicrotask", "setImmediate", "clearImmediate"],
    });
  });
  afterAll(() => {
    jest.useRealTimers();
  });

  test.each(NAMES.filter((name) => ONLY === undefined || ONLY === name))(
    `%s: seeds ${FIRST} to ${LAST}`,
    async (name) => {
      if (SEED !== undefined) {
        const { trace, faults } = await simulate(name, Number(SEED), { isTraced: true });
        process.stdout.write(`${trace.join("\n")}\n`);
        expect(faults).toEqual([]);
        return;
      }
      for (let seed = FIRST; seed <= LAST; seed++) {
        if ((await simulate(name, seed)).faults.length === 0) continue;
        const { trace, faults } = await simulate(name, seed, { isTraced: true });
        const broken = faults.map(({ rule, text }) => `${rule}: ${text}`).join("\n");
        throw new Error(`SIMULATION=${name}:${seed} runs this again\n${broken}\n\n${trace.join("\n")}`);
      }
    },
    PATIENCE,
  );

  // What the simulation is for: it finds out what breaks a promise, and the same each time.
  test.each([
    ["that writes whatever is there", StoreOfTheLastWriter],
    ["whose removals are lost", StoreOfNoRemovals],
  ])("a store %s is found out", async (_, Store) => {
    let found: { name: ScenarioName; seed: number; faults: unknown } | undefined;
    for (let seed = 1; seed <= 1000 && !found; seed++) {
      for (const name of ["limitRevoke", "remember"] as const) {
        const { faults } = await simulate(name, seed, { Store });
        if (faults.length > 0) found ??= { name, seed, faults };
      }
    }
    const { name, seed, faults } = found ?? { name: "calm", seed: 1, faults: "none" };
    expect(faults).not.toBe("none");
    expect(await simulate(name, seed, { Store })).toMatchObject({ faults });
  });
});
