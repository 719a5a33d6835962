/** The one way from a page to an answer. */

import type { Response } from "express";
import type { Html } from "./html.js";

export function show(res: Response, status: number, page: Html): void {
  res.status(status).type("html").send(page.toString());
}
