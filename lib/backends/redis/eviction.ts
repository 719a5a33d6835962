/** Whether servers drop sessions before they end, to make room for others. */
import type { Owner } from "./servers.js";

/** What a server does when its memory is full. */
interface Eviction {
  readonly server: string;
  readonly policy: string;
  /** Whether there is a limit at which it is full. */
  readonly isLimited: boolean;
}

/** One warning for all servers whose `maxmemory-policy` is another than `noeviction`. Those that may not be asked are passed over. */
export async function evictionWarning(connections: Iterable<Owner>, giveUpAt: number): Promise<string | undefined> {
  const asked = [...connections].map((connection) => askOne(connection, giveUpAt).catch(() => undefined));
  const evicting = (await Promise.all(asked)).filter((one) => one !== undefined);
  const worst = evicting.find(({ isLimited }) => isLimited) ?? evicting[0];
  if (!worst) return undefined;
  const servers = evicting.map(({ server }) => server).join(", ");
  const consequence = worst.isLimited
    ? "when its memory is full it drops sessions, and the lists of users' sessions, before they end"
    : "as soon as it has a maxmemory, too, it drops sessions, and the lists of users' sessions, before they end";
  return `Redis at ${servers} has maxmemory-policy ${worst.policy}: ${consequence}. Set maxmemory-policy noeviction there.`;
}

/** `undefined` for one that drops nothing, or does not say. */
async function askOne(connection: Owner, giveUpAt: number): Promise<Eviction | undefined> {
  const memory = String(await connection.send(["INFO", "memory"], giveUpAt));
  const policy = /^maxmemory_policy:([\w-]+)/m.exec(memory)?.[1];
  if (policy === undefined || policy === "noeviction") return undefined;
  return { server: connection.server, policy, isLimited: !/^maxmemory:0\b/m.test(memory) };
}
