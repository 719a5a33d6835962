/** Plain data: told apart from live objects, copied, frozen. */

/** Keys and values, not yet looked at. */
export type Section = Readonly<Record<string, unknown>>;

/** Whether a value holds keys and values, rather than a list or a single value. */
export function isSection(value: unknown): value is Section {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The section, or an empty one for what is none. */
export function sectionOf(value: unknown): Section {
  return isSection(value) ? value : {};
}

/**
 * A copy that may be changed and frozen. What is not plain data (a client or a function among a module's `options`)
 * stays the caller's own object. Keys that are `undefined` count as not set, and are left out.
 */
export function copyPlain(value: unknown, copies = new Map<unknown, unknown>()): unknown {
  if (!isPlain(value)) {
    return value;
  }
  const known = copies.get(value);
  if (known !== undefined) {
    return known;
  }
  const copy: object = Array.isArray(value) ? [] : {};
  copies.set(value, copy);
  for (const [key, child] of Object.entries(value)) {
    if (child !== undefined) {
      define(copy, key, copyPlain(child, copies));
    }
  }
  return copy;
}

/** Freezes plain data all the way down, and nothing else. */
export function deepFreeze<T>(value: T): T {
  if (isPlain(value) && !Object.isFrozen(value)) {
    Object.freeze(value);
    for (const child of Object.values(value)) {
      deepFreeze(child);
    }
  }
  return value;
}

/** Assigning to `__proto__` would change what the copy is, instead of giving it a key. */
function define(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** By the prototype's own prototype: plain objects of another realm (a worker, a test's sandbox) are plain, too. */
export function isPlain(value: unknown): value is object {
  if (typeof value !== "object" || value === null) {
    return false;
  }
  const prototype: unknown = Object.getPrototypeOf(value);
  return Array.isArray(value) || prototype === null || Object.getPrototypeOf(prototype) === null;
}
