/** Keys that a listing has named. Redis names one twice only when a table shrinks, and then soon after. */

const REMEMBERED = 4096;

/** The last few thousand keys. */
export class RecentKeys {
  #recent = new Set<string>();
  #older = new Set<string>();

  /** Whether the key is not among them. It is from now on. */
  add(key: string): boolean {
    if (this.#recent.has(key) || this.#older.has(key)) return false;
    if (this.#recent.size >= REMEMBERED) [this.#older, this.#recent] = [this.#recent, new Set()];
    this.#recent.add(key);
    return true;
  }
}
