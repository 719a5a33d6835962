/** That work goes on, told on stderr. */
import type { Io } from "./command.js";

/** How often it is told, in milliseconds. */
const INTERVAL = { terminal: 1000, log: 10_000 };

/**
 * Works, and tells how far it is when that takes a while.
 *
 * @param text what is being done, and how much of it is
 */
export async function withProgress<T>({ terminal, tell }: Io, text: () => string, work: () => Promise<T>): Promise<T> {
  const started = performance.now();
  const show = () => (terminal?.rewrite ?? tell)(`${text()} … ${Math.round((performance.now() - started) / 1000)} s`);
  const timer = setInterval(show, terminal ? INTERVAL.terminal : INTERVAL.log);
  try {
    return await work();
  } finally {
    clearInterval(timer);
    terminal?.rewrite("");
  }
}
