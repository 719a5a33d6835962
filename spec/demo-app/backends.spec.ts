import { beforeAll, expect, test } from "@jest/globals";
import { onEveryBackend } from "../support/places.js";
import { ADA, type Demo, FIREFOX, MINUTE, notesOf, SAFARI, startDemo } from "./demo.js";

onEveryBackend((places) => {
  let demo: Demo;

  beforeAll(async () => {
    demo = await startDemo({ place: await places.next() });
  });

  test("signs in, acts as the user, and signs out", async () => {
    const visitor = demo.visitor();
    await visitor.post("/sign-in", { ...ADA, password: "a guess" });
    expect((await visitor.open("/sign-in")).text).toContain("do not belong together");
    const page = await visitor.signIn();
    expect(page.text).toContain("Ask Charles about the carry mechanism");
    await visitor.addNote(page, `kept by ${places.name}`);
    expect((await visitor.get("/notes")).text).toContain(`kept by ${places.name}`);
    expect(await notesOf(demo.upstream)).toContain(`kept by ${places.name}`);
    await visitor.post("/sign-out");
    expect((await visitor.get("/notes")).headers.location).toBe("/sign-in");
    expect(await demo.sessions.store.length()).toBe(0);
  });

  test("lists a user's sessions, and ends another browser's, which is told", async () => {
    const [laptop, phone] = [demo.visitor(FIREFOX), demo.visitor(SAFARI)];
    await laptop.signIn();
    await phone.signIn();
    const page = await laptop.get("/sessions");
    for (const name of ["Firefox on Linux", "Safari on iPhone"]) expect(page.text).toContain(name);
    await laptop.post("/sessions/end-others");
    expect((await laptop.get("/sessions")).text).toContain("1 other session was ended");
    expect((await phone.open("/notes")).text).toContain("Your session has ended");
    expect((await laptop.get("/notes")).status).toBe(200);
  });

  test("says that a session has expired", async () => {
    const visitor = demo.visitor();
    await visitor.signIn();
    demo.forward(21 * MINUTE);
    expect((await visitor.open("/notes")).text).toContain("Your session has ended");
  });

  test("has no password in its store", async () => {
    await demo.visitor().signIn();
    const kept = JSON.stringify(await demo.sessions.store.all());
    expect(kept).toContain('"username":"ada"');
    for (const secret of [ADA.password, Buffer.from(ADA.password).toString("base64")])
      expect(kept).not.toContain(secret);
  });
});
