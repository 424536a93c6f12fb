/** How much the API takes, for fields to say so before it is asked; `bounds.test.ts` compares it with the API's document. */

export const BOUNDS = {
  /** Workers that may enrol with a token. */
  uses: { min: 1, max: 999_999 },
  /** Slots of a worker. */
  slots: { min: 1, max: 10_000 },
  /** Characters of a policy. */
  policy: 1_048_576,
} as const;
