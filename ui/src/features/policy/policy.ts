/** What a policy says, in words, and what tells two of them apart. */
import type { Schemas } from "../../api/client.ts";
import { count } from "../../words.ts";

export type Rule = Schemas["PolicyRuleDocument"];
export type Said = Pick<Schemas["ShownPolicyDocument"], "modes" | "granting">;
export type Use = Schemas["PolicyUseDocument"];

/** What can be granted, by the API's names, in the order in which a policy is read. */
export const GRANTS = [
  "connections",
  "variables",
  "set_variables",
  "xcoms",
  "set_xcoms",
  "trigger",
  "clear",
  "states",
  "assets",
  "set_assets",
  "defer",
] as const satisfies readonly Schemas["Grant"][];

const WHOSE: readonly (readonly [keyof Rule["who"], string])[] = [
  ["teams", "team"],
  ["queues", "queue"],
  ["workers", "worker"],
  ["dags", "Dag"],
  ["tasks", "task"],
];

/** Give what a rule is about, kind by kind: `["Dag", ["press"]]`; nothing for everybody. */
export function whose({ who }: Pick<Rule, "who">): (readonly [string, readonly string[]])[] {
  return WHOSE.filter(([kind]) => who[kind].length).map(([kind, word]) => [word, who[kind]]);
}

export type Difference = {
  /** Queues and what holds for them: `plc: off → enforce`. */
  modes: { queue: string; before: string; after: string }[];
  added: Rule[];
  removed: Rule[];
};

/** Say what another policy would change. The order of rules means nothing, nor do their notes: any rule grants. */
export function difference(before: Said, after: Said): Difference {
  const queues = [...new Set([...Object.keys(before.modes), ...Object.keys(after.modes)])];
  return {
    modes: queues
      .map((queue) => ({ queue, before: modeOf(before, queue), after: modeOf(after, queue) }))
      .filter((mode) => mode.before !== mode.after),
    added: without(after.granting, before.granting),
    removed: without(before.granting, after.granting),
  };
}

// A queue may be called like what every object has.
function modeOf({ modes }: Said, queue: string): string {
  return Object.hasOwn(modes, queue) ? String(modes[queue]) : "not named";
}

function without(rules: readonly Rule[], others: readonly Rule[]): Rule[] {
  const known = new Set(others.map(meaning));
  return rules.filter((rule) => !known.has(meaning(rule)));
}

function meaning({ who, may }: Rule): string {
  const sorted = (given: Record<string, readonly string[]>) =>
    Object.entries(given)
      .map(([name, globs]) => [name, [...globs].sort()] as const)
      .sort(([one], [other]) => (one < other ? -1 : 1));
  return JSON.stringify([sorted(who), sorted(may)]);
}

/** Whether the order of the queues' globs is another, of which the first that matches counts. */
export function reordered(before: Said, after: Said): boolean {
  const [one, other] = [Object.keys(before.modes), Object.keys(after.modes)];
  return one.length === other.length && one.some((queue, at) => queue !== other[at]);
}

/** Say what a suggestion was made of. */
export function madeOf({ uses, unknown, left_out }: Omit<Schemas["SuggestionDocument"], "text">, days: number): string {
  if (!uses) {
    return `Nothing was asked for in the last ${days} days on queues whose mode is report or enforce: begin with the mode report, and come back.`;
  }
  const missing = unknown.length
    ? ` ${count(unknown.length, "call is", "calls are")} not in it, since no rule can grant what this version does not know: ${unknown.join(", ")}.`
    : "";
  const denied = left_out
    ? ` ${count(left_out, "use that was", "uses that were")} denied, or would be now, ${left_out === 1 ? "is" : "are"} not in it.`
    : "";
  return `It was made of ${count(uses, "use", "uses")} in the last ${days} days, and grants nothing else.${denied}${missing}`;
}
