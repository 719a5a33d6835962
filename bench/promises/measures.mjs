// What is asked of each, over HTTP, as browsers ask.
import { randomUUID } from "node:crypto";
import { mock } from "node:test";

export const PARALLEL = 50;
export const LOGOUTS = 20;
export const UNCHANGED = 20;
export const SIGN_INS = 3;
const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
/** Between two requests of a busy session; idle sessions end after twice as long. */
const PAUSE = 10 * MINUTE;
export const BUSY_HOURS = 24;

/** Stands in every session that is begun; other contenders' may be in the same store. */
export const TEXT = `what nobody else should read, ${randomUUID()}`;
export const USER = "ada";

/** Lets requests wait within their handlers. */
export function makeGates() {
  return { reached() {}, opened: Promise.resolve() };
}

/** All of it, of one server. The store refuses writes from the last one on. */
export async function measure({ url, gates, place, at = () => {} }) {
  const browser = () => makeBrowser(url);
  const steps = {
    kept: () => keptKeys(browser(), gates),
    back: () => sessionsBack(browser, gates, "/put?key=late"),
    backUnchanged: () => sessionsBack(browser, gates, "/look"),
    writes: () => place && requestsThatWrote(browser(), place),
    ends: () => endOfBusy(browser()),
    users: () => listedAndEnded(browser),
    stored: () => whatIsStored(browser(), place),
    refused: () => place && statusOfRefused(browser(), place),
  };
  const result = {};
  for (const [name, step] of Object.entries(steps)) {
    at(name);
    result[name] = await step();
  }
  return result;
}

/** Requests of one session, each with a key of its own; none is answered before all of them have loaded it. */
async function keptKeys(browser, gates) {
  await browser.get("/new");
  gates.opened = new Promise((resolve) => {
    let waiting = 0;
    gates.reached = () => {
      if (++waiting === PARALLEL) resolve();
    };
  });
  const keys = Array.from({ length: PARALLEL }, (_, index) => `key${index}`);
  await Promise.all(keys.map((key) => browser.get(`/put?key=${key}`)));
  Object.assign(gates, makeGates());
  const { keys: stored } = await browser.session();
  return keys.filter((key) => stored.includes(key)).length;
}

/** Each time a request is under way, its session is logged out, and then the request is answered. */
async function sessionsBack(browserOf, gates, path) {
  let back = 0;
  for (let round = 0; round < LOGOUTS; round++) {
    const browser = browserOf();
    await browser.get("/new");
    const underWay = new Promise((resolve) => {
      gates.reached = resolve;
    });
    let answerIt;
    gates.opened = new Promise((resolve) => {
      answerIt = resolve;
    });
    const slow = browser.get(path, [200, 401]);
    await underWay;
    const before = browser.copy();
    await browser.get("/logout");
    answerIt();
    await slow;
    // The browser has what the last answer gave it; another one, or a thief, what it had before.
    const sessions = [await browser.session(), await before.session()];
    if (sessions.some(({ user }) => user === USER)) back++;
    Object.assign(gates, makeGates());
  }
  return back;
}

/** How many of the requests of a session that change nothing, one each second, wrote to the store. */
async function requestsThatWrote(browser, place) {
  await browser.get("/new");
  return movingClock(async (move) => {
    let wrote = 0;
    for (let n = 0; n < UNCHANGED; n++) {
      move(SECOND);
      const before = await place.mark();
      await browser.session();
      if ((await place.mark()) !== before) wrote++;
    }
    return wrote;
  });
}

/** After how many hours a session ends that is used and changed all the time; `null`: it does not. */
async function endOfBusy(browser) {
  await browser.get("/new");
  return movingClock(async (move) => {
    for (let time = PAUSE; time <= BUSY_HOURS * HOUR; time += PAUSE) {
      move(PAUSE);
      // Another one each time: what changes nothing may move the session's end a moment after its answer, which a clock
      // that is moved does not wait for.
      await browser.get(`/put?key=key${time / PAUSE}`, [200, 401]);
      if ((await browser.session()).user !== USER) return Number((time / HOUR).toFixed(1));
    }
    return null;
  });
}

/** How many sign-ins of one user are both listed, and over when all of them are to be ended; `null`: there is no way. */
async function listedAndEnded(browserOf) {
  const user = "bob";
  const browsers = Array.from({ length: SIGN_INS }, browserOf);
  for (const browser of browsers) await browser.get(`/new?user=${user}`);
  const listed = await browsers[0].get("/list", [200, 404]);
  if (listed.status === 404) return null;
  await browsers[0].get("/end-all");
  const sessions = await Promise.all(browsers.map((browser) => browser.session()));
  const over = sessions.filter(({ user: name }) => name !== user).length;
  return Math.min(Number(listed.text), over);
}

/** Whether the id and the contents can be read in the store; of a session that is all in its cookie, in that. */
async function whatIsStored(browser, place) {
  const { text: id } = await browser.get("/new");
  const stored = place ? await place.text() : browser.cookies();
  return { ...(id && { id: stored.includes(id) }), text: stored.includes(TEXT) };
}

/** What a request is answered whose change cannot be saved. */
async function statusOfRefused(browser, place) {
  await browser.get("/new");
  await place.refuse();
  return (await browser.get("/put?key=key0", "any")).status;
}

async function movingClock(work) {
  mock.timers.enable({ apis: ["Date"], now: Date.now() });
  try {
    return await work((milliseconds) => mock.timers.setTime(Date.now() + milliseconds));
  } finally {
    mock.timers.reset();
  }
}

/** Keeps cookies by their names, the last answer's. */
function makeBrowser(url, jar = new Map()) {
  const cookies = () => [...jar].map(([name, value]) => `${name}=${value}`).join("; ");
  return {
    cookies,
    copy: () => makeBrowser(url, new Map(jar)),
    async session() {
      const { text } = await this.get("/session");
      return JSON.parse(text);
    },
    async get(path, expected = [200]) {
      const answer = await fetch(url + path, { headers: jar.size ? { cookie: cookies() } : {} });
      // To the end: express-session sends the headers first, saves then, and keeps back the last byte until it has.
      const text = await answer.text();
      for (const line of answer.headers.getSetCookie()) keep(line);
      // A store that refuses must not look as if it had kept a promise.
      if (expected !== "any" && !expected.includes(answer.status)) {
        throw new Error(`${path}: ${answer.status} ${text}`);
      }
      return { status: answer.status, text };
    },
  };

  function keep(line) {
    const [, name, value] = /^([^=]+)=([^;]*)/.exec(line);
    if (/max-age=0|expires=Thu, 01 Jan 1970/i.test(line)) jar.delete(name);
    else jar.set(name, value);
  }
}
