/** A time as people say it, with the exact one on hover and for programs. */
import { useNow } from "../clock.ts";
import { duration, exact, relative } from "../words.ts";
import { useZone } from "../zone.ts";

/** Plain, not styled by a class: a page may have hundreds. */
const STYLE = { whiteSpace: "nowrap" } as const;

type Props = {
  /** ISO; nothing is shown as `–`. */
  at: string | null | undefined;
  /** `ago`: "3 min ago"; `for`: "3 min", what has passed since. */
  as?: "ago" | "for";
  /** With `for`: until then instead of until now. */
  until?: string | null | undefined;
};

export function Time({ at, as = "ago", until }: Props) {
  const now = useNow();
  const zone = useZone();
  if (!at) return <>–</>;
  const time = Date.parse(at);
  const said = as === "ago" ? relative(time, now) : duration((until ? Date.parse(until) : now) - time);
  return (
    <time dateTime={at} title={exact(time, zone)} style={STYLE}>
      {said}
    </time>
  );
}
