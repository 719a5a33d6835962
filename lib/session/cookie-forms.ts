/** The forms that one cookie has for browsers: they are several to them, and each is taken back by itself. */
import type { CookieOptions, Response } from "express";

/**
 * The forms in which the cookie may be there from before the settings were changed: without the domain, and with the other
 * `partitioned`. One of another domain or path is not known.
 *
 * @param isPartitionKnown whether the settings say anything of `partitioned`
 */
export function otherForms(form: CookieOptions, isPartitionKnown: boolean): CookieOptions[] {
  const { domain, partitioned = false, ...others } = form;
  const domains = domain === undefined ? [{}] : [{ domain }, {}];
  // What is not secure was never kept as a partitioned one.
  const isEither = isPartitionKnown && (partitioned || form.secure === true);
  const partitions = isEither ? [partitioned, !partitioned] : [partitioned];
  const forms = partitions.flatMap((one) =>
    domains.map((of) => ({ ...others, ...of, ...(one && { partitioned: true }) })),
  );
  return forms.slice(1);
}

/** Completes the last `Set-Cookie`, which is a partitioned cookie's: Express before 4.19 leaves that out. */
export function completePartitioned(res: Response): void {
  const lines = [res.getHeader("Set-Cookie") ?? []].flat().map(String);
  const last = lines.at(-1);
  if (last === undefined || /; *Partitioned/i.test(last)) return;
  res.setHeader("Set-Cookie", [...lines.slice(0, -1), `${last}; Partitioned`]);
}
