import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { nameOf } from "../../lib/device/proof.js";
import { COOKIE_LIFE, DeviceTickets, GRACE } from "../../lib/device/tickets.js";
import { Clock, MINUTE } from "../support/app.js";
import { isFull } from "../support/redis-server.js";

const RUNS = isFull ? 10_000 : 1000;
const ID = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";
const KEY = nameOf({
  ...{ kty: "EC", crv: "P-256" },
  x: "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
  y: "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
});

// Reckoned apart from this package, with HMAC alone. Browsers hold such when a server is updated: never to be changed.
const FROZEN = {
  cookie: "1800000600000.ga4kq2WxP5rliG0_-u-XqL3Eu49Qla2AtBatsgCJfKQ",
  register:
    "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU.1800000120000.OUM-THWh1bdrux6vAcy8uQ.4ygJJRGVuYWK_LvKG2-kezcbDpRQwNncgPaqFey_bk0",
  refresh:
    "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU.1800000120000.NoRFB1cv_7lLJQMyZMWezw._VhVs1laMA_G-SGQE9M6q1W59cH7578y3wpl7XhNWRA",
};

const clock = new Clock();
const ticketsOf = (...secrets: [string, ...string[]]) => new DeviceTickets({ secrets, now: clock.now });
const tickets = ticketsOf("a secret");

test("a challenge is good for two minutes, for its purpose and its session", () => {
  const challenge = tickets.challenge("register", ID);
  expect(tickets.sessionOf(challenge, "register")).toBe(ID);
  expect(tickets.sessionOf(challenge, "refresh")).toBeUndefined();
  expect(tickets.challenge("register", ID)).not.toBe(challenge);
  clock.forward(2 * MINUTE - 1);
  expect(tickets.sessionOf(challenge, "register")).toBe(ID);
  clock.forward(1);
  expect(tickets.sessionOf(challenge, "register")).toBeUndefined();
});

test("a cookie is good for its life and the grace, for its session and its key", () => {
  const cookie = tickets.cookie(ID, KEY);
  expect(tickets.isCookie(cookie, ID, KEY)).toBe(true);
  expect(tickets.isCookie(cookie, ID.replace("4", "5"), KEY)).toBe(false);
  expect(tickets.isCookie(cookie, ID, KEY.replace("M", "N"))).toBe(false);
  clock.forward(COOKIE_LIFE + GRACE - 1);
  expect(tickets.isCookie(cookie, ID, KEY)).toBe(true);
  clock.forward(1);
  expect(tickets.isCookie(cookie, ID, KEY)).toBe(false);
});

test("a cookie that was seen before is judged by all of it, each time, however many others came", () => {
  const cookies = Array.from({ length: 1500 }, (_, at) => {
    clock.forward(1);
    return { cookie: tickets.cookie(ID, `${KEY}${at}`), key: `${KEY}${at}` };
  });
  for (const _ of "12") {
    expect(cookies.filter(({ cookie, key }) => !tickets.isCookie(cookie, ID, key))).toEqual([]);
    expect(cookies.filter(({ cookie }) => tickets.isCookie(cookie, ID, KEY))).toEqual([]);
    expect(cookies.filter(({ cookie, key }) => tickets.isCookie(`${cookie.slice(0, -1)}!`, ID, key))).toEqual([]);
  }
  clock.forward(COOKIE_LIFE + GRACE);
  expect(cookies.filter(({ cookie, key }) => tickets.isCookie(cookie, ID, key))).toEqual([]);
});

test("neither passes for the other", () => {
  const [challenge, cookie] = [tickets.challenge("refresh", ID), tickets.cookie(ID, KEY)];
  expect(tickets.isCookie(challenge, ID, KEY)).toBe(false);
  expect(tickets.sessionOf(cookie, "refresh")).toBeUndefined();
});

test("every secret verifies, the first signs; one that is not listed does not", () => {
  const [before, after] = [ticketsOf("old"), ticketsOf("new", "old")];
  expect(after.sessionOf(before.challenge("refresh", ID), "refresh")).toBe(ID);
  expect(after.isCookie(before.cookie(ID, KEY), ID, KEY)).toBe(true);
  expect(before.sessionOf(after.challenge("refresh", ID), "refresh")).toBeUndefined();
  expect(before.isCookie(after.cookie(ID, KEY), ID, KEY)).toBe(false);
});

test("what is out there today is good tomorrow: the frozen vectors", () => {
  const then = new DeviceTickets({ secrets: ["a secret"], now: () => 1_800_000_000_000 });
  expect(then.cookie(ID, KEY)).toBe(FROZEN.cookie);
  expect(then.isCookie(FROZEN.cookie, ID, KEY)).toBe(true);
  expect(then.sessionOf(FROZEN.register, "register")).toBe(ID);
  expect(then.sessionOf(FROZEN.refresh, "refresh")).toBe(ID);
});

test(`any text is no challenge and no cookie, ${3 * RUNS} times`, () => {
  const isNothing = (text: string) => {
    expect(tickets.sessionOf(text, "register")).toBeUndefined();
    expect(tickets.sessionOf(text, "refresh")).toBeUndefined();
    expect(tickets.isCookie(text, ID, KEY)).toBe(false);
  };
  fc.assert(fc.property(fc.string({ unit: "binary" }), isNothing), { numRuns: RUNS });
  for (const good of [tickets.challenge("refresh", ID), tickets.cookie(ID, KEY)]) {
    const changed = fc
      .tuple(fc.nat(good.length - 1), fc.constantFrom(..."AZaz09-_."))
      .filter(([at, other]) => good[at] !== other);
    const other = changed.map(([at, other]) => good.slice(0, at) + other + good.slice(at + 1));
    fc.assert(fc.property(other, isNothing), { numRuns: RUNS });
  }
});
