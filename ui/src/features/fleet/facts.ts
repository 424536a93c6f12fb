/** The tone of each fact; its word always stands beside it. */
import type { Tone } from "../../ui/Status.tsx";
import type { Link, Severity, Stance } from "./documents.ts";

export const LINK_TONE: Record<Link, Tone> = {
  linked: "good",
  "out of reach": "bad",
  offline: "quiet",
  "never linked": "quiet",
  revoked: "quiet",
};
export const STANCE_TONE: Record<Stance, Tone> = {
  "taking jobs": "good",
  maintenance: "paused",
  draining: "warning",
  "held back": "warning",
  starting: "busy",
  away: "quiet",
};
export const SEVERITY_TONE: Record<Severity, Tone> = { error: "bad", warning: "warning", info: "busy" };
export const SEVERITY_WORD: Record<Severity, string> = { error: "Error", warning: "Warning", info: "Note" };
/** Of lines and frames. */
export const SEVERITY_COLOUR: Record<Severity, string> = {
  error: "red.solid",
  warning: "warning.solid",
  info: "blue.solid",
};

/** Begin with a capital. */
export function capital(word: string): string {
  return word.charAt(0).toUpperCase() + word.slice(1);
}

export function percent(value: number): string {
  return `${Math.round(value)} %`;
}

export function number(amount: number): string {
  return amount.toLocaleString("en");
}
