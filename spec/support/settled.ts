/** The touches that go on behind an answer: specs that move the clock by minutes wait for them, which takes next to no time. */
import { DynamodbBackend } from "../../lib/backends/dynamodb/backend.js";
import { PostgresBackend } from "../../lib/backends/postgres/backend.js";
import { RedisBackend } from "../../lib/backends/redis/backend.js";

/** Of backends that are reached by a network, and not answered yet. */
const underWay = new Set<Promise<boolean>>();

for (const prototype of [RedisBackend.prototype, PostgresBackend.prototype, DynamodbBackend.prototype]) {
  const { touch } = prototype;
  prototype.touch = function (...args) {
    const running = Reflect.apply(touch, this, args);
    const over = () => void underWay.delete(running);
    underWay.add(running);
    running.then(over, over);
    return running;
  };
}

/** Resolves when no touch is under way. */
export async function touchesSettled(): Promise<void> {
  while (underWay.size > 0) await Promise.allSettled(underWay);
}
