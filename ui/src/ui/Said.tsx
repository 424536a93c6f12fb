/** What the centre says, in the reader's terms: its times as people tell them, and what people wrote standing by itself. */
import { Fragment } from "react";
import { Time } from "./Time.tsx";

/** A moment as the centre writes it, and what it quotes: a name, a comment. */
const PART = /(\d{4}-\d{2}-\d{2} \d{2}:\d{2}(?::\d{2})? UTC)|('[^']*')/;

export function Said({ children }: { children: string }) {
  // With two groups, each third is what stands between: text, moment, quotation.
  const parts = children.split(PART);
  return (
    <>
      {parts.map((part, at) => {
        const key = `${at} ${part}`;
        if (!part) return null;
        if (at % 3 === 1) return <Time key={key} at={part.replace(" UTC", "Z").replace(" ", "T")} />;
        // Its letters may run the other way: then what follows it would change places with it.
        return at % 3 === 2 ? <bdi key={key}>{part}</bdi> : <Fragment key={key}>{part}</Fragment>;
      })}
    </>
  );
}

/** Begin with a capital, unless with a name such as `airflow-edge`, and end with a full stop. */
export function sentenceOf(text: string): string {
  const begun = text.replace(/^[a-z]+(?=[\s,;:.']|$)/, (word) => word.charAt(0).toUpperCase() + word.slice(1));
  return begun && `${begun}${/[.!?…:]$/.test(begun) ? "" : "."}`;
}
