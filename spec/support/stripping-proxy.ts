/** A proxy that serves an application below a path, of which the application does not know. */
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { pipeline } from "node:stream";

export async function startProxy(port: number, prefix: string) {
  const server = createServer((req, res) => {
    const { method, headers, url = "" } = req;
    if (!url.startsWith(prefix)) {
      res.writeHead(404).end();
      return;
    }
    const path = url.slice(prefix.length) || "/";
    const asked = request({ host: "127.0.0.1", port, method, path, headers }, (answer) => {
      res.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
      pipeline(answer, res, () => {});
    });
    pipeline(req, asked, () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port: own } = server.address() as AddressInfo;
  const close = async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  };
  return { port: own, url: `http://127.0.0.1:${own}`, close };
}
