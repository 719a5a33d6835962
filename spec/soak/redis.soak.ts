/** Minutes of mixed load on a Redis that has a fault every few seconds. Not among the specs: `npm run soak`. */
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { expect, test } from "@jest/globals";
import { type AppProcess, startApp } from "../support/app-process.js";
import { type RedisServer, startRedis } from "../support/redis-server.js";
import { TcpProxy } from "../support/tcp-proxy.js";

const MINUTES = Number(process.env.SOAK_MINUTES ?? 10);
const VISITORS = 20;
const STORE_TIMEOUT = 1;
/** An answer that takes longer than the store may shows a deadline that does not hold. A busy machine is slow, but not so slow. Milliseconds. */
const PATIENCE = 5 * STORE_TIMEOUT * 1000;
/** Between two faults, with as much again at random. Milliseconds. */
const CALM = 2000;
const MEGABYTE = 1024 * 1024;

/** What befalls the server, and how it ends. */
const faultsOf = (server: RedisServer, proxy: TcpProxy): Record<string, () => Promise<unknown>> => ({
  async frozen() {
    server.freeze();
    await sleep(1500);
    server.thaw();
  },
  async killed() {
    await server.kill();
    await sleep(500);
    await server.start();
  },
  async "cut off"() {
    proxy.cut();
  },
  async slow() {
    proxy.delay = 1500;
    await sleep(2000);
    proxy.delay = 0;
  },
  async "answers lost"() {
    proxy.loses = true;
    await sleep(1000);
    proxy.loses = false;
    proxy.cut();
  },
  async "out of memory"() {
    await server.command("CONFIG", "SET", "maxmemory", "1");
    await sleep(1000);
    await server.command("CONFIG", "SET", "maxmemory", "0");
  },
  async "a replica for a while"() {
    await server.command("REPLICAOF", "127.0.0.1", "1");
    await sleep(1000);
    await server.command("REPLICAOF", "NO", "ONE");
  },
});

const counts = { answers: 0, refused: 0, signIns: 0, signOuts: 0, saved: 0, slowest: 0 };

/** Signs in, changes the session, reads it, signs out; and compares with what it was told. */
class SoakVisitor {
  readonly #app: AppProcess;
  readonly #username: string;

  constructor(app: AppProcess, name: string) {
    this.#app = app;
    this.#username = name;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      const cookie = await this.#signIn();
      if (cookie === undefined) continue;
      const saved = new Set<string>();
      for (let step = 0; step < 10 && !isOver(); step++) {
        if (await this.#ask(`/put/key${step}`, cookie)) saved.add(`key${step}`);
        await this.#expectAll(saved, cookie);
        await sleep(Math.random() * 40);
      }
      await this.#signOut(cookie);
    }
  }

  async #signIn(): Promise<string | undefined> {
    const answer = await this.#ask(`/in?username=${this.#username}`);
    if (answer) counts.signIns++;
    return answer?.cookie;
  }

  /** What was told to be saved is there, whenever the store answers. */
  async #expectAll(saved: ReadonlySet<string>, cookie: string): Promise<void> {
    const answer = await this.#ask("/session", cookie);
    if (!answer) return;
    const { fields, password } = JSON.parse(answer.text);
    expect(Object.keys(fields)).toEqual(expect.arrayContaining([...saved, "username"]));
    expect(password).toBe(`a secret of ${this.#username}'s`);
    counts.saved += saved.size;
  }

  async #signOut(cookie: string): Promise<void> {
    if (!(await this.#ask("/out", cookie))) return;
    counts.signOuts++;
    const answer = await this.#ask("/session", cookie);
    if (answer) expect(JSON.parse(answer.text)).toEqual({ fields: {}, ended: true });
  }

  /** Nothing where the store failed; any other answer than 200 is a failure. */
  async #ask(path: string, cookie?: string) {
    const start = performance.now();
    const answer = await this.#app.get(path, cookie);
    const took = performance.now() - start;
    counts.answers++;
    counts.slowest = Math.max(counts.slowest, took);
    if (answer.status === 503) {
      counts.refused++;
      expect(answer.cookie).toBeUndefined();
      return undefined;
    }
    expect([path, answer.status]).toEqual([path, 200]);
    return answer;
  }
}

test(
  `${MINUTES} minutes: only 200 and 503, in time; nothing told to be saved is missing; the heap stays flat`,
  async () => {
    const server = await startRedis({ args: ["--appendonly", "yes", "--appendfsync", "always"] });
    const proxy = await TcpProxy.start(server.port);
    const app = await startApp({ type: "redis", host: "127.0.0.1", port: proxy.port, store_timeout: STORE_TIMEOUT });
    const heapUsed = async () => JSON.parse((await app.get("/process")).text).heap / MEGABYTE;
    const end = performance.now() + MINUTES * 60_000;
    let failure: unknown;
    const isOver = () => failure !== undefined || performance.now() > end;
    const visitors = Array.from({ length: VISITORS }, (_, n) => new SoakVisitor(app, `visitor${n}`));
    const fail = (error: unknown) => {
      failure ??= error;
    };
    const load = Promise.all(visitors.map((visitor) => visitor.run(isOver).catch(fail)));

    const faults = faultsOf(server, proxy);
    const befallen: Record<string, number> = {};
    const heaps: number[] = [];
    for (let told = performance.now(); !isOver(); ) {
      await sleep(CALM * (1 + Math.random()));
      const names = Object.keys(faults);
      const name = names[Math.floor(Math.random() * names.length)] as string;
      await faults[name]?.();
      befallen[name] = (befallen[name] ?? 0) + 1;
      if (performance.now() - told < 30_000) continue;
      told = performance.now();
      heaps.push(await heapUsed());
      const left = Math.max(0, (end - told) / 60_000).toFixed(1);
      process.stderr.write(`${left} minutes left: heap ${heaps.at(-1)?.toFixed(1)} MB, ${JSON.stringify(counts)}\n`);
    }
    await load;
    if (failure !== undefined) throw failure;
    expect(counts.slowest).toBeLessThan(PATIENCE);
    heaps.push(await heapUsed());
    const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
    process.stderr.write(
      `heap ${first.toFixed(1)} MB, at the end ${last.toFixed(1)} MB; faults ${JSON.stringify(befallen)}\n`,
    );
    expect(last - first).toBeLessThan(10);

    // Nothing is left that would keep it from ending.
    const exited = once(app.child, "exit");
    await app.get("/end");
    expect(await exited).toEqual([0, null]);
    await proxy.stop();
  },
  (MINUTES + 5) * 60_000,
);
