import { once } from "node:events";
import { createServer } from "node:net";

/** Below what systems give to outgoing connections: one of those could take a server's port while that is restarted. */
const [FIRST, LAST] = [10_000, 21_999];

/** A port of 127.0.0.1 that nothing listens on; nor 10,000 above, where a Cluster's servers talk to each other. */
export async function freePort() {
  for (;;) {
    const port = FIRST + Math.floor(Math.random() * (LAST - FIRST + 1));
    if ((await isFree(port)) && (await isFree(port + 10_000))) return port;
  }
}

async function isFree(port) {
  const server = createServer().listen(port, "127.0.0.1");
  const isListening = await once(server, "listening").then(
    () => true,
    () => false,
  );
  if (isListening) await new Promise((resolve) => server.close(resolve));
  return isListening;
}
