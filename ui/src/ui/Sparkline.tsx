/** A measurement's last minutes in the size of a word. */
import { chakra, HStack, Span } from "@chakra-ui/react";

const WIDTH = 64;
const HEIGHT = 18;

type Props = {
  /** What is measured: "CPU". */
  label: string;
  /** The oldest first; nothing where nothing was measured, which leaves a gap. */
  values: readonly (number | null)[];
  /** How a value is said: `34 %`. */
  format: (value: number) => string;
  /** What is at the top; the highest value where it is not given. */
  max?: number;
};

/** Give the line as a path, with a gap where there is no value. */
export function lineOf(values: readonly (number | null)[], max: number): string {
  const step = WIDTH / Math.max(1, values.length - 1);
  let drawing = false;
  return values
    .map((value, at) => {
      if (value === null) {
        drawing = false;
        return "";
      }
      const y = HEIGHT - 1 - (Math.min(value, max) / (max || 1)) * (HEIGHT - 2);
      const part = `${drawing ? "L" : "M"}${(at * step).toFixed(1)} ${y.toFixed(1)}`;
      // A value alone is a dot.
      const alone = !drawing && (values[at + 1] ?? null) === null;
      drawing = true;
      return alone ? `${part}h.01` : part;
    })
    .join("");
}

export function Sparkline({ label, values, format, max }: Props) {
  const known = values.filter((value) => value !== null);
  const last = known.at(-1);
  if (last === undefined) return <Span color="fg.muted">–</Span>;
  const [low, high] = [Math.min(...known), Math.max(...known)];
  return (
    <HStack as="span" display="inline-flex" gap={2} verticalAlign="middle">
      <chakra.svg
        role="img"
        aria-label={`${label}: now ${format(last)}, lately between ${format(low)} and ${format(high)}`}
        viewBox={`0 0 ${WIDTH} ${HEIGHT}`}
        w={`${WIDTH}px`}
        h={`${HEIGHT}px`}
        color="blue.fg"
        fill="none"
        stroke="currentColor"
        strokeWidth="1.5"
        strokeLinecap="round"
        strokeLinejoin="round"
      >
        <path d={lineOf(values, max ?? high)} />
      </chakra.svg>
      <Span fontVariantNumeric="tabular-nums" whiteSpace="nowrap" aria-hidden>
        {format(last)}
      </Span>
    </HStack>
  );
}
