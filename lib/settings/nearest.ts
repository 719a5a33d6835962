/** Names the right key for a wrong one. */
import { closestMatch } from "leven";

const plain = (name: string): string => name.toLowerCase().replaceAll("-", "_");

/** How many letters two names may differ by to be taken for the same one misspelt: a third, and no fewer than two. */
const allowance = (name: string): number => Math.max(2, Math.floor(name.length / 3));

/** Shorter ones are part of too much. */
const SHORTEST_PART = 4;

/** What was probably meant by a name, or `undefined` when nothing is that near. */
export function misspelt(name: string, names: readonly string[]): string | undefined {
  return nearest(name, names, { maxDistance: allowance(name) }) ?? oneWith(name, names);
}

/** Ends the sentence about an unknown name: what was meant, or, where that would be a guess, which one is nearest. */
export function didYouMean(name: string, names: readonly string[]): string {
  const meant = misspelt(name, names);
  return meant === undefined ? `the nearest is ${nearest(name, names)}` : `did you mean ${meant}?`;
}

/** The one name that has this in it: `region` is `aws_region_name`. */
function oneWith(name: string, names: readonly string[]): string | undefined {
  if (name.length < SHORTEST_PART) return undefined;
  const having = names.filter((candidate) => plain(candidate).includes(plain(name)));
  return having.length === 1 ? having[0] : undefined;
}

function nearest(name: string, names: readonly string[], options?: { maxDistance: number }): string | undefined {
  const match = closestMatch(plain(name), names.map(plain), options);
  return names.find((candidate) => plain(candidate) === match);
}
