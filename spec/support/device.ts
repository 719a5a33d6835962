/** A browser made by hand, that binds sessions to its device: its cookies, over TLS, and a key that proves where it is. */
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { createServer, request } from "node:https";
import { text } from "node:stream/consumers";
import type { Express } from "express";
import { makeCertificate } from "../../demo-app/certificate.js";
import type { App } from "./app.js";

export const certificate = makeCertificate();

/** For `serve` of `startApp`. */
export const overTls = (app: Express) => createServer({ cert: certificate.cert, key: certificate.key }, app);

/** The key that a device keeps to itself. */
export class DeviceKeys {
  readonly alg: "ES256" | "RS256";
  readonly #privateKey: KeyObject;
  readonly publicJwk: Record<string, unknown>;

  constructor(alg: "ES256" | "RS256" = "ES256", modulusLength = 2048, publicExponent = 65537) {
    this.alg = alg;
    const { privateKey, publicKey } =
      alg === "ES256"
        ? generateKeyPairSync("ec", { namedCurve: "P-256" })
        : generateKeyPairSync("rsa", { modulusLength, publicExponent });
    this.#privateKey = privateKey;
    this.publicJwk = publicKey.export({ format: "jwk" }) as Record<string, unknown>;
  }

  registration(challenge: string): string {
    return this.jwt({ alg: this.alg, jwk: this.publicJwk, typ: "dbsc+jwt" }, { jti: challenge });
  }

  refresh(challenge: string): string {
    return this.jwt({ alg: this.alg, typ: "dbsc+jwt" }, { jti: challenge });
  }

  jwt(header: object, claims: object): string {
    const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    const key =
      this.alg === "ES256" ? ({ key: this.#privateKey, dsaEncoding: "ieee-p1363" } as const) : this.#privateKey;
    return `${signed}.${sign("sha256", Buffer.from(signed), key).toString("base64url")}`;
  }
}

export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
}

export interface Asked {
  readonly method?: string;
  readonly headers?: Record<string, string>;
  /** A text goes as it stands, anything else as JSON. */
  readonly body?: object | string;
}

/** One request, with nothing of a browser about it. */
export async function ask(
  port: number,
  path: string,
  { method = "GET", headers = {}, body }: Asked = {},
): Promise<Answer> {
  const isText = typeof body === "string";
  const content = isText ? body : body && JSON.stringify(body);
  const type = isText ? {} : { "content-type": "application/json" };
  const asked = request({
    ...{ host: "127.0.0.1", port, path, method, ca: certificate.cert },
    headers: { ...headers, ...(content && { ...type, "content-length": content.length }) },
  });
  asked.end(content);
  return new Promise((resolve, reject) => {
    asked.on("error", reject);
    asked.on("response", (res) => {
      const { statusCode: status = 0, headers } = res;
      text(res).then((text) => resolve({ status, headers, text }), reject);
    });
  });
}

const NAME = "token";
/** How the names of short-lived cookies begin; the session's hashed id follows. */
export const BOUND = `${NAME}-bound-`;

const ADA = { username: "ada", password: "p" };

/** Keeps its cookies by their names; lets one go when told to, as a browser does when its time is up. */
export class HandBrowser {
  readonly keys: DeviceKeys;
  /** What it asks for when it has a binding. */
  page = "/session";
  readonly cookies = new Map<string, string>();
  /** The session that it is bound to, as the server called it, and where it proves that. */
  session: { readonly id: string; readonly path: string } | undefined;
  #port: number;

  constructor(app: Pick<App, "port">, keys = new DeviceKeys()) {
    this.#port = app.port;
    this.keys = keys;
  }

  /** The name of its short-lived cookie. */
  get bound(): string {
    return [...this.cookies.keys()].find((name) => name.startsWith(BOUND)) ?? "";
  }

  /** Its time is up. */
  dropBound(): void {
    for (const name of this.cookies.keys()) if (name.startsWith(BOUND)) this.cookies.delete(name);
  }

  /** Goes on with another server of the installation. */
  useServer({ port }: Pick<App, "port">): void {
    this.#port = port;
  }

  get cookie(): string {
    return [...this.cookies].map(([name, value]) => `${name}=${value}`).join("; ");
  }

  /** The raw session id. */
  get id(): string {
    return /^s:(.*)\.[^.]*$/.exec(decodeURIComponent(this.cookies.get(NAME) ?? ""))?.[1] ?? "";
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { headers });
  }

  post(path: string, body: object = {}, headers: Record<string, string> = {}): Promise<Answer> {
    return this.#ask(path, { method: "POST", body, headers });
  }

  /** Signs in, registers as the answer asks, and shows with another request what it got. */
  async signIn(path = "/sign-in", body: object = ADA): Promise<Answer> {
    const registered = await this.signInUnshown(path, body);
    if (registered.status === 200) await this.get(this.page);
    return registered;
  }

  /** The same, without that request. */
  async signInUnshown(path = "/sign-in", body: object = ADA): Promise<Answer> {
    return this.register(registrationIn(await this.post(path, body)));
  }

  /** As Chromium does after another site's redirect: without a cookie. */
  async register({ path, challenge }: Registration, keys = this.keys): Promise<Answer> {
    const headers = { "secure-session-response": keys.registration(challenge) };
    const answer = await this.#ask(path, { method: "POST", headers, withCookies: false });
    if (answer.status === 200) {
      const { session_identifier: id, refresh_url: refreshPath } = JSON.parse(answer.text);
      this.session = { id, path: refreshPath };
    }
    return answer;
  }

  /** What is to be signed to refresh the cookie; or the answer that ended the binding. */
  async challenge(): Promise<{ readonly challenge: string; readonly answer: Answer }> {
    const answer = await this.askRoute();
    const [, challenge = ""] = /^"([^"]*)"/.exec(String(answer.headers["secure-session-challenge"])) ?? [];
    return { challenge, answer };
  }

  async refresh(): Promise<Answer> {
    const { challenge, answer } = await this.challenge();
    return answer.status === 403 ? this.askRoute({ "secure-session-response": this.keys.refresh(challenge) }) : answer;
  }

  /** A request of the browser's to the session's route. */
  askRoute(headers: Record<string, string> = {}): Promise<Answer> {
    const { id, path } = this.session ?? { id: "", path: "" };
    const named = { "sec-secure-session-id": id, ...headers };
    return this.#ask(path, { method: "POST", headers: named, withCookies: false });
  }

  async #ask(
    path: string,
    { withCookies = true, ...asked }: Asked & { readonly withCookies?: boolean },
  ): Promise<Answer> {
    const cookie = withCookies && this.cookies.size > 0 ? { cookie: this.cookie } : {};
    const answer = await ask(this.#port, path, { ...asked, headers: { ...cookie, ...asked.headers } });
    for (const line of answer.headers["set-cookie"] ?? []) {
      const [, name = "", value = ""] = /^([^=]*)=([^;]*)/.exec(line) ?? [];
      if (line.includes("Expires=Thu, 01 Jan 1970")) this.cookies.delete(name);
      else this.cookies.set(name, value);
    }
    return answer;
  }
}

export interface Registration {
  readonly path: string;
  readonly challenge: string;
}

export function registrationIn({ headers }: Answer): Registration {
  const header = String(headers["secure-session-registration"]);
  const [, path, challenge] = /^\(ES256 RS256\);path="([^"]*)";challenge="([^"]*)"$/.exec(header) ?? [];
  if (path === undefined || challenge === undefined) throw new Error(`no registration: ${header}`);
  return { path, challenge };
}
