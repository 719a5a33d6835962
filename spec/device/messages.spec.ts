import { expect, test } from "@jest/globals";
import fc from "fast-check";
import { broughtBy, challengeFor, ending, instructions, registration } from "../../lib/device/messages.js";

const ID = "47DEQpj8HBSa-_TImW-5JCeuQeRkm5NMpJWZG3hSuFU";

test("the headers are what Chromium reads", () => {
  expect(registration("/device-bound/token", "c.h.a")).toBe(
    '(ES256 RS256);path="/device-bound/token";challenge="c.h.a"',
  );
  expect(challengeFor(ID, "c.h.a")).toBe(`"c.h.a";id="${ID}"`);
});

test("the instructions name the cookie with the attributes that it is sent with", () => {
  expect(instructions(ID, "/device-bound/token", { name: "token-bound", path: "/shop", sameSite: "strict" })).toEqual({
    session_identifier: ID,
    refresh_url: "/device-bound/token",
    scope: { include_site: false },
    credentials: [{ type: "cookie", name: "token-bound", attributes: "Path=/shop; Secure; HttpOnly; SameSite=Strict" }],
    allowed_refresh_initiators: ["*"],
  });
  expect(ending(ID)).toEqual({ session_identifier: ID, continue: false });
});

test("what a browser brings is the same with the draft's quotes and without", () => {
  for (const quote of ["", '"']) {
    const headers = {
      "sec-secure-session-id": `${quote}${ID}${quote}`,
      "secure-session-response": ` ${quote}a.b.c${quote} `,
    };
    expect(broughtBy(headers)).toEqual({ id: ID, response: "a.b.c" });
  }
  expect(broughtBy({})).toEqual({ id: undefined, response: undefined });
});

test("any header is read without a fault", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), (value) => {
      const { id } = broughtBy({ "sec-secure-session-id": value });
      expect(value).toContain(id);
    }),
  );
});
