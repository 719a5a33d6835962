/** A small OpenID provider on loopback: everybody who comes is whoever the spec says. One client, authorization code, PKCE. */
import { createHash, randomUUID } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { type CryptoKey, exportJWK, generateKeyPair, SignJWT } from "jose";

export const CLIENT = { id: "a client", secret: "a secret of the client's" };

interface Grant {
  readonly challenge: string;
  readonly redirectUri: string;
  readonly nonce: string | null;
}

const LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout";

export class OidcProvider {
  /** Who comes next; nobody refuses. */
  subject: string | undefined = "ada-7301";
  /** Whether it asks on a page of its own, as where nobody is signed in there yet. */
  isAsking = false;
  /** What each asked to sign out with. */
  readonly endings: { hint: string | null }[] = [];
  readonly #grants = new Map<string, Grant>();
  readonly #server = createServer((req, res) => void this.#answer(req, res));
  readonly #privateKey: CryptoKey;
  readonly #jwk: object;

  private constructor(privateKey: CryptoKey, jwk: object) {
    this.#privateKey = privateKey;
    this.#jwk = jwk;
  }

  static async start(): Promise<OidcProvider> {
    const { publicKey, privateKey } = await generateKeyPair("RS256");
    const provider = new OidcProvider(privateKey, { ...(await exportJWK(publicKey)), kid: "1", alg: "RS256" });
    await new Promise<void>((resolve) => provider.#server.listen(0, "127.0.0.1", resolve));
    return provider;
  }

  get issuer(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** What it sends to the client's back channel when it ends somebody's sessions. */
  logoutToken(subject: string, claims: Record<string, unknown> = {}): Promise<string> {
    return this.#signed({ sub: subject, jti: randomUUID(), events: { [LOGOUT_EVENT]: {} }, ...claims }, "logout+jwt");
  }

  close(): Promise<void> {
    this.#server.closeAllConnections();
    return new Promise((resolve) => this.#server.close(() => resolve()));
  }

  async #answer(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const url = new URL(req.url ?? "/", this.issuer);
    const { searchParams: asked } = url;
    if (url.pathname === "/.well-known/openid-configuration") return json(res, 200, this.#metadata());
    if (url.pathname === "/jwks") return json(res, 200, { keys: [this.#jwk] });
    if (url.pathname === "/authorize") {
      const back = this.#authorize(asked);
      return this.isAsking
        ? page(res, `<a href="${back.replaceAll("&", "&amp;")}">Yes, it is me`)
        : redirect(res, back);
    }
    if (url.pathname === "/token") return this.#exchange(new URLSearchParams(await text(req)), res);
    if (url.pathname !== "/end-session") return json(res, 404, {});
    this.endings.push({ hint: asked.get("id_token_hint") });
    redirect(res, asked.get("post_logout_redirect_uri") ?? this.issuer);
  }

  #metadata(): object {
    const { issuer } = this;
    return {
      issuer,
      authorization_endpoint: `${issuer}/authorize`,
      token_endpoint: `${issuer}/token`,
      jwks_uri: `${issuer}/jwks`,
      end_session_endpoint: `${issuer}/end-session`,
      response_types_supported: ["code"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: ["RS256"],
      code_challenge_methods_supported: ["S256"],
    };
  }

  #authorize(asked: URLSearchParams): string {
    const redirectUri = asked.get("redirect_uri") ?? "";
    const back = new URL(redirectUri);
    const state = asked.get("state");
    if (state !== null) back.searchParams.set("state", state);
    if (this.subject === undefined) back.searchParams.set("error", "access_denied");
    else {
      const code = randomUUID();
      const challenge = asked.get("code_challenge") ?? "";
      this.#grants.set(code, { challenge, redirectUri, nonce: asked.get("nonce") });
      back.searchParams.set("code", code);
    }
    return back.href;
  }

  async #exchange(form: URLSearchParams, res: ServerResponse): Promise<void> {
    const code = form.get("code") ?? "";
    const grant = this.#grants.get(code);
    this.#grants.delete(code);
    const isClient = form.get("client_id") === CLIENT.id && form.get("client_secret") === CLIENT.secret;
    const challenge = createHash("sha256")
      .update(form.get("code_verifier") ?? "")
      .digest("base64url");
    const isRight = grant?.challenge === challenge && grant.redirectUri === form.get("redirect_uri");
    if (!isClient || !isRight) return json(res, 400, { error: "invalid_grant" });
    const nonce = grant.nonce === null ? {} : { nonce: grant.nonce };
    const idToken = await this.#signed({ sub: this.subject, name: "Ada Lovelace", ...nonce }, "JWT");
    json(res, 200, { access_token: randomUUID(), token_type: "Bearer", expires_in: 60, id_token: idToken });
  }

  #signed(claims: Record<string, unknown>, typ: string): Promise<string> {
    return new SignJWT(claims)
      .setProtectedHeader({ alg: "RS256", kid: "1", typ })
      .setIssuer(this.issuer)
      .setAudience(CLIENT.id)
      .setIssuedAt()
      .setExpirationTime("2 minutes")
      .sign(this.#privateKey);
  }
}

function json(res: ServerResponse, status: number, body: object): void {
  res.writeHead(status, { "Content-Type": "application/json", "Cache-Control": "no-store" }).end(JSON.stringify(body));
}

function page(res: ServerResponse, html: string): void {
  res.writeHead(200, { "Content-Type": "text/html" }).end(html);
}

function redirect(res: ServerResponse, location: string): void {
  res.writeHead(303, { Location: location }).end();
}
