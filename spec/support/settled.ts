/** What goes on behind an answer: specs that move the clock by minutes wait for it, which takes visitors no time to speak of. */
import { DynamodbBackend } from "../../lib/backends/dynamodb/backend.js";
import { PostgresBackend } from "../../lib/backends/postgres/backend.js";
import { RedisBackend } from "../../lib/backends/redis/backend.js";

const METHODS = ["read", "write", "touch", "remove"] as const;
type Method = (typeof METHODS)[number];

/** Calls of backends that are reached by a network and have not answered yet. */
const underWay = { read: new Set(), write: new Set(), touch: new Set(), remove: new Set() } as Record<
  Method,
  Set<Promise<unknown>>
>;

for (const { prototype } of [RedisBackend, PostgresBackend, DynamodbBackend]) {
  for (const name of METHODS) {
    const method = prototype[name] as (...args: unknown[]) => Promise<unknown>;
    Object.assign(prototype, {
      [name](...args: unknown[]) {
        const running = Reflect.apply(method, this, args);
        const over = () => void underWay[name].delete(running);
        underWay[name].add(running);
        running.then(over, over);
        return running;
      },
    });
  }
}

/** Resolves when no call is under way: all of them, or those of one method. */
export async function settled(...names: readonly Method[]): Promise<void> {
  const sets = (names.length === 0 ? METHODS : names).map((name) => underWay[name]);
  const running = () => sets.flatMap((set) => [...set]);
  while (running().length > 0) await Promise.allSettled(running());
}
