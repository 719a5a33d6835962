// Loads a server: its sessions, and then as many requests as it answers.
import { Agent, get } from "node:http";
import { createHistogram } from "node:perf_hooks";
import autocannon from "autocannon";

const CONNECTIONS = 20;
const agent = new Agent({ keepAlive: true, maxSockets: CONNECTIONS });

export function ask(url) {
  return new Promise((resolve, reject) => {
    get(url, { agent }, (res) => {
      let text = "";
      res.setEncoding("utf8").on("data", (chunk) => {
        text += chunk;
      });
      res.on("end", () => resolve({ text, cookie: res.headers["set-cookie"]?.[0]?.split(";")[0] }));
    }).on("error", reject);
  });
}

/** Cookies of as many new sessions. */
export async function makeSessions(url, count) {
  const cookies = [];
  const make = async () => {
    while (cookies.length < count) {
      const place = cookies.push(undefined) - 1;
      cookies[place] = (await ask(`${url}/new`)).cookie;
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, make));
  return cookies;
}

/** Each connection has sessions of its own, one after the other. */
export function inTurn(cookies) {
  return shares((connection) => cookies.filter((_, index) => index % CONNECTIONS === connection));
}

/** Each connection takes of all sessions, at random: sometimes two ask for the same at once. */
export function mixed(cookies) {
  const any = () => cookies[Math.floor(Math.random() * cookies.length)];
  return shares(() => Array.from({ length: Math.ceil(cookies.length / CONNECTIONS) }, any));
}

const shares = (shareOf) => Array.from({ length: CONNECTIONS }, (_, connection) => shareOf(connection));

/** `requests` are the cookies that each connection sends. Times are milliseconds. */
export async function drive(url, { path, requests, seconds }) {
  const times = createHistogram();
  let connections = 0;
  const result = await autocannon({
    url,
    connections: CONNECTIONS,
    duration: seconds,
    setupClient(client) {
      client.setRequests(requests[connections++].map((cookie) => ({ path, headers: cookie ? { cookie } : {} })));
      client.on("response", (_status, _bytes, milliseconds) =>
        times.record(Math.max(1, Math.round(milliseconds * 1000))),
      );
    },
  });
  if (result.non2xx > 0 || result.errors > 0) {
    throw new Error(`${url}${path}: ${result.non2xx} refused, ${result.errors} failed`);
  }
  return {
    requests: times.count,
    perSecond: times.count / result.duration,
    p50: times.percentile(50) / 1000,
    p99: times.percentile(99) / 1000,
  };
}
