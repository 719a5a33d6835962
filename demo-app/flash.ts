/** What one request leaves in the session for the page after it: a message, and a note that could not be added yet. */

import type { Request } from "express";

export interface Flash {
  readonly tone: "good" | "bad" | "plain";
  readonly text: string;
  /** Saves the visitor from typing it again. Never anything else of what was typed into the sign-in form. */
  readonly username?: string;
}

export interface Draft {
  readonly id: string;
  readonly text: string;
  /** The next person at the same browser is not shown it. */
  readonly author: string;
}

declare module "express-session" {
  interface SessionData {
    flash?: Flash;
    draft?: Draft;
  }
}

export function leaveFlash(req: Request, flash: Flash): void {
  req.session.flash = flash;
}

export function takeFlash(req: Request): Flash | undefined {
  const { flash } = req.session;
  if (flash !== undefined) delete req.session.flash;
  return flash;
}
