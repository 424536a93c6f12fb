/** What became of a token, from who has enrolled lately. */
import type { Attempt, Token } from "../documents.ts";

/** The API remembers that many attempts. */
export const REMEMBERED = 200;

/** Give the names that enrolled with a token, the newest first; undefined if some may be forgotten by now. */
export function enrolledWith(
  token: Pick<Token, "id" | "created_at">,
  attempts: readonly Attempt[] | undefined,
): string[] | undefined {
  if (!attempts) return undefined;
  const oldest = attempts.at(-1);
  const all = attempts.length < REMEMBERED || (oldest && Date.parse(oldest.at) < Date.parse(token.created_at));
  if (!all) return undefined;
  return attempts
    .filter(({ result, token_id }) => result === "enrolled" && token_id === token.id)
    .map(({ name }) => name);
}

/** Say how many have enrolled with a token, of how many; of an old one only how many still may. */
export function usesOf({ uses, uses_left }: Pick<Token, "uses" | "uses_left">): string {
  return uses === null ? `${uses_left} left` : `${uses - uses_left} of ${uses}`;
}

/** Give a token's state as a word: a valid one that nobody has used so far is called so. */
export function stateOf(
  token: Pick<Token, "state" | "uses" | "uses_left">,
  names: readonly string[] | undefined,
): string {
  const unused = token.uses === null ? names?.length === 0 : token.uses === token.uses_left;
  const word = token.state === "valid" && unused ? "never used" : token.state;
  return word.charAt(0).toUpperCase() + word.slice(1);
}
