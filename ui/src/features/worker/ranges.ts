/** The times over which charts go. */

export type Range = {
  id: string;
  label: string;
  /** Seconds. */
  length: number;
  /** Seconds between two values. */
  resolution: number;
};

const HOUR = 3600;

export const RANGES: readonly [Range, ...Range[]] = [
  { id: "1h", label: "1 hour", length: HOUR, resolution: 60 },
  { id: "6h", label: "6 hours", length: 6 * HOUR, resolution: 120 },
  { id: "24h", label: "24 hours", length: 24 * HOUR, resolution: 600 },
  { id: "7d", label: "7 days", length: 7 * 24 * HOUR, resolution: HOUR },
];

/** Give the range of this name, or the shortest. */
export function rangeOf(id: string): Range {
  return RANGES.find((range) => range.id === id) ?? RANGES[0];
}

/** Give where a range begins now; it stays the same for a while, as what is asked for does. */
export function sinceOf({ length, resolution }: Range, now: number): string {
  const step = Math.max(60, resolution);
  return new Date((Math.floor(now / 1000 / step) * step - length) * 1000).toISOString();
}

type Values = readonly (number | null)[];

/** Say a series in a sentence, for whoever does not see its line. */
export function sentenceOf(label: string, values: Values, format: (value: number) => string): string {
  const known = values.filter((value) => value !== null);
  const last = known.at(-1);
  if (last === undefined) return `${label}: nothing was measured`;
  return `${label}: last ${format(last)}, between ${format(Math.min(...known))} and ${format(Math.max(...known))}`;
}

/** Give the places of values without a neighbour: a line through them has no length, so they are drawn as points. */
export function alone(values: ArrayLike<number | null | undefined>): number[] {
  const known = (at: number) => values[at] !== null && values[at] !== undefined;
  return Array.from({ length: values.length }, (_, at) => at).filter(
    (at) => known(at) && !known(at - 1) && !known(at + 1),
  );
}
