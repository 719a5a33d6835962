/** One schedule of a simulation, from its seed to its faults. */
import { jest } from "@jest/globals";
import { Browsers } from "./browsers.js";
import type { Fault, Ledger } from "./ledger.js";
import { TOUCH_INTERVAL } from "./process.js";
import { judgeEnd, judgeLastRevoke } from "./rules.js";
import { MINUTE, SCENARIOS, type Scenario, type ScenarioName } from "./scenarios.js";
import { Trace } from "./trace.js";
import { World, type WorldOptions } from "./world.js";

export interface Outcome {
  readonly faults: readonly Fault[];
  readonly trace: readonly string[];
}

interface SimulationOptions {
  readonly isTraced?: boolean;
  /** In place of one that keeps its promises. */
  readonly Store?: WorldOptions["Store"];
}

/** The same for the same seed. */
export async function simulate(
  name: ScenarioName,
  seed: number,
  { isTraced = false, Store }: SimulationOptions = {},
): Promise<Outcome> {
  jest.clearAllTimers();
  const trace = isTraced ? new Trace() : undefined;
  const faults = await new Schedule(SCENARIOS[name], seed, { trace, Store }).run();
  return { faults, trace: trace?.lines ?? [] };
}

class Schedule {
  readonly #world: World;
  readonly #ledger: Ledger;
  readonly #browsers: Browsers;

  constructor(scenario: Scenario, seed: number, options: WorldOptions) {
    this.#world = new World(scenario, seed, options);
    this.#ledger = this.#world.ledger;
    this.#browsers = new Browsers(this.#world, this.#ledger);
  }

  async run(): Promise<readonly Fault[]> {
    const { scenario, random } = this.#world;
    if (scenario.anonymous) await this.#everybody("anonymous");
    if (scenario.often) await this.#often();
    let acts = 5 + random.below(scenario.length ?? 12);
    for (let turns = 0; turns < 600 && (acts > 0 || this.#world.isBusy); turns++) {
      const chance = random.next();
      if (acts > 0 && (!this.#world.isBusy || chance < 0.12)) {
        acts--;
        await this.#browsers.act();
      } else await this.#trouble(chance);
    }
    await this.#settle();
    await judgeEnd(this.#ledger, this.#world, this.#browsers.all);
    await judgeLastRevoke(this.#ledger, this.#world, this.#browsers.all);
    return this.#ledger.faults;
  }

  /** Something happens from outside, or else a call goes on. */
  async #trouble(chance: number): Promise<void> {
    const { scenario, random } = this.#world;
    const { jumps, evictions, rotation, crashes } = scenario;
    const isBetween = (from: number, to: number) => chance >= from && chance < to;
    if (jumps && isBetween(0.12, 0.16)) return this.#world.advance(random.pick(jumps));
    if (isBetween(0.16, 0.18) && this.#world.hasLate) return this.#world.takeLate();
    if (evictions && isBetween(0.18, 0.19)) return this.#world.evict();
    if (rotation && isBetween(0.19, 0.2)) return this.#world.rotate();
    if (crashes && isBetween(0.2, 0.21)) return this.#world.crash();
    if (this.#world.isBusy) return this.#world.turn();
  }

  /** Changed at every request, for an hour. */
  async #often(): Promise<void> {
    const { random } = this.#world;
    await this.#everybody("signIn");
    for (let time = 0; time < 110; time++) {
      await this.#world.advance(25_000 + random.below(15_000));
      await this.#everybody("save");
    }
  }

  async #everybody(kind: "anonymous" | "signIn" | "save"): Promise<void> {
    for (const browser of this.#browsers.all) {
      await this.#browsers.do(kind, browser, this.#world.random.pick(this.#world.processes));
      await this.#finish();
    }
  }

  /** No more troubles. Everybody comes by until each session was due; with a rotation, by the new password alone at last. */
  async #settle(): Promise<void> {
    const { scenario } = this.#world;
    if (!(await this.#world.calmDown())) this.#stuck();
    const rounds = scenario.rotation ? 5 : 3;
    for (let round = 0; round < rounds; round++) {
      if (scenario.rotation && round === 2) this.#world.rotateAll(false);
      if (scenario.rotation && round === 4) this.#world.rotateAll(true);
      await this.#world.advance(TOUCH_INTERVAL + 1000 + (scenario.skew ? 10 * MINUTE : 0));
      const { processes } = this.#world;
      for (const browser of this.#browsers.all) {
        const process = processes[(browser.id + round) % processes.length];
        if (process) await this.#browsers.do("request", browser, process);
        await this.#finish();
      }
    }
  }

  async #finish(): Promise<void> {
    if (!(await this.#world.finish())) this.#stuck();
  }

  #stuck(): void {
    this.#ledger.fail("6 stuck", "something waits for ever");
  }
}
