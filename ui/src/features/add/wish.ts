/** What is wanted of the next worker, and what is sent for it. */

export type Wish = {
  /** As typed: names with commas between. */
  queues: string;
  team: string;
  name_pattern: string;
  uses: number;
  /** Of each worker; nothing for what holds without it. */
  max_slots: number | undefined;
  seconds: number;
  /** Seconds, empty for what the settings say. */
  disconnect_grace: string;
  api_url: string;
};

export const HOUR = 3600;
const DAY = 24 * HOUR;

export const LIVES: readonly (readonly [number, string])[] = [
  [HOUR, "1 hour"],
  [8 * HOUR, "8 hours"],
  [DAY, "1 day"],
  [7 * DAY, "7 days"],
  [30 * DAY, "30 days"],
];

export const GRACES: readonly (readonly [string, string])[] = [
  ["", "As the settings say"],
  ["300", "5 minutes"],
  ["900", "15 minutes"],
  [String(HOUR), "1 hour"],
  [String(8 * HOUR), "8 hours"],
  [String(DAY), "1 day"],
];

export function firstWish(asked: Partial<Wish>): Wish {
  return {
    queues: "",
    team: "",
    name_pattern: "",
    uses: 1,
    max_slots: undefined,
    seconds: HOUR,
    disconnect_grace: "",
    api_url: "",
    ...asked,
  };
}

/** Read what was typed: each name once, in the order in which it came. */
export function namesIn(typed: string): string[] {
  return [
    ...new Set(
      typed
        .split(",")
        .map((name) => name.trim())
        .filter(Boolean),
    ),
  ];
}

/** Add a name to what was typed, or take it out. */
export function toggled(typed: string, name: string): string {
  const names = namesIn(typed);
  return (names.includes(name) ? names.filter((one) => one !== name) : [...names, name]).join(", ");
}

export function bodyOf(wish: Wish) {
  return {
    queues: namesIn(wish.queues),
    team: wish.team || null,
    name_pattern: wish.name_pattern.trim() || null,
    seconds: wish.seconds,
    uses: wish.uses,
    max_slots: wish.max_slots ?? null,
    disconnect_grace: wish.disconnect_grace === "" ? null : Number(wish.disconnect_grace),
    api_url: wish.api_url.trim() || null,
  };
}

/** Give Airflow's own address, sub-path and all, from that of our API in it. */
export function addressOf(api: string): string {
  return new URL("../../", api).href.replace(/\/$/, "");
}
