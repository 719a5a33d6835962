/** What is warned of while requests are served: surroundings in which the package does not do what somebody expects. */
import type { Request } from "express";

/**
 * A proxy speaks TLS, and Express, which does not trust it, takes the request for plain HTTP.
 *
 * @param secure the setting `cookie.secure`
 */
export function proxyWarning(secure: boolean | "auto", warn: (message: string) => void): (req: Request) => void {
  let isWarned = false;
  return (req) => {
    // Of an upgrade Express was not asked. A cookie that is never Secure is what it is said to be.
    if (isWarned || req.secure !== false || secure === false) return;
    if (!/^\s*https\b/i.test(String(req.headers["x-forwarded-proto"]))) return;
    isWarned = true;
    warn(
      "A request came over HTTPS to a proxy (X-Forwarded-Proto), but Express takes it for HTTP: the session's cookie is " +
        `${secure === true ? "not sent" : "sent without Secure"}. Say which proxy to trust: app.set("trust proxy", 1).`,
    );
  };
}

/** Two middlewares serve one request, and their cookies may be one to the browser. */
export function sameNameWarning(name: string, warn: (message: string) => void): (other: string) => void {
  let isWarned = false;
  return (other) => {
    if (isWarned || other !== name) return;
    isWarned = true;
    warn(
      `A request goes through two session middlewares whose cookies are both called ${name}: each takes the other's for ` +
        "its own, so that a sign-in with one may sign out of the other. Give each a name: tokenizer.cookie.name.",
    );
  };
}

/** With its debug output on, express-session prints session ids and cookies. */
export function warnOfDebugOutput(warn: (message: string) => void): void {
  const names = (process.env.DEBUG ?? "").split(/[\s,]+/).filter(Boolean);
  const isOn = names.some((name) => matchesGlob("express-session", name));
  if (isOn && process.env.NODE_ENV === "production") {
    warn(`DEBUG=${process.env.DEBUG} makes express-session print session ids and cookies. Leave it out in production.`);
  }
}

/** As the package debug reads its names: `*` stands for any text. */
function matchesGlob(text: string, glob: string): boolean {
  const [start = "", ...rest] = glob.split("*");
  const end = rest.at(-1);
  return end === undefined ? text === start : text.startsWith(start) && text.endsWith(end);
}
