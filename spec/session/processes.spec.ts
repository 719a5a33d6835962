import { beforeAll, expect, test } from "@jest/globals";
import { type AppProcess, startApp } from "../support/app-process.js";
import { everyBackend, onEveryBackend, type Place, redisCluster, sealedSomewhere } from "../support/places.js";
import { isFull } from "../support/redis-server.js";

const ROUNDS = isFull ? 20 : 1;

onEveryBackend(
  (places) => {
    let place: Place;
    let one: AppProcess;
    let other: AppProcess;

    beforeAll(async () => {
      place = await places.next();
      [one, other] = await Promise.all([startApp(place), startApp(place)]);
    });

    async function signIn(): Promise<string> {
      const { status, cookie } = await one.get("/in");
      expect([status, cookie]).toEqual([200, expect.stringMatching(/^token=/)]);
      return cookie as string;
    }

    test("50 parallel requests of one session, by two processes, each setting its own key: 50 kept", async () => {
      for (let round = 0; round < ROUNDS; round++) {
        const cookie = await signIn();
        const requests = Array.from({ length: 50 }, (_, n) => (n % 2 ? one : other).get(`/set/key${n}`, cookie));
        await Promise.all([one.get("/waiting/25"), other.get("/waiting/25")]);
        await Promise.all([one.get("/go"), other.get("/go")]);
        const answers = await Promise.all(requests);
        expect(answers.map(({ status }) => status)).toEqual(Array(50).fill(200));
        const { fields, password } = JSON.parse((await one.get("/session", cookie)).text);
        expect(Object.keys(fields).filter((key) => key.startsWith("key"))).toHaveLength(50);
        expect(password).toBe("a secret of ann's");
      }
    });

    test("20 logouts on one process during slow requests on the other: no session comes back, and those answer 200", async () => {
      const cookies = await Promise.all(Array.from({ length: 20 }, signIn));
      const slow = cookies.map((cookie) => one.get("/set/late", cookie));
      await one.get("/waiting/20");
      const logouts = await Promise.all(cookies.map((cookie) => other.get("/out", cookie)));
      await one.get("/go");
      const answers = await Promise.all(slow);
      expect(logouts.map(({ status }) => status)).toEqual(Array(20).fill(200));
      expect(answers.map(({ status, cookie }) => [status, cookie])).toEqual(Array(20).fill([200, undefined]));
      const after = await Promise.all(cookies.map((cookie) => other.get("/session", cookie)));
      expect(after.map(({ text }) => JSON.parse(text))).toEqual(Array(20).fill({ fields: {}, ended: true }));
    });

    test("what one process wrote, the other finds after its death", async () => {
      const cookie = await signIn();
      const setting = other.get("/set/before-death", cookie);
      await other.get("/waiting/1");
      await other.get("/go");
      expect((await setting).status).toBe(200);
      // The last spec of this place: it is not started again.
      await other.stop();
      expect(JSON.parse((await one.get("/session", cookie)).text).fields).toMatchObject({ "before-death": true });
    });
  },
  [...everyBackend, redisCluster, ...sealedSomewhere],
);
