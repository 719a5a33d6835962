import type { Server } from "node:http";

export function makeDynalite(options?: { createTableMs?: number }): Server;
