/** A state as a mark and a word: each tone has its own shape too, for whoever does not tell the colours apart. */
import { chakra, HStack, Span } from "@chakra-ui/react";
import type { ReactNode } from "react";

/**
 * `good`: as it should be; `busy`: at work; `paused`: held by somebody; `warning`: somebody should look; `bad`: broken;
 * `quiet`: switched off or gone.
 */
export type Tone = "good" | "busy" | "paused" | "warning" | "bad" | "quiet";

const COLOUR: Record<Tone, string> = {
  good: "green.fg",
  busy: "blue.fg",
  paused: "gray.fg",
  warning: "warning.fg",
  bad: "red.fg",
  quiet: "gray.fg",
};

function Shape({ tone }: { tone: Tone }) {
  if (tone === "bad") return <path d="M1.8 1.8 8.2 8.2M8.2 1.8 1.8 8.2" stroke="currentColor" strokeWidth="2.2" />;
  if (tone === "warning") return <path d="M5 .6 9.7 9H.3z" fill="currentColor" />;
  if (tone === "quiet") return <circle cx="5" cy="5" r="3.4" fill="none" stroke="currentColor" strokeWidth="1.6" />;
  if (tone === "paused") return <path d="M1.5 1h2.6v8H1.5zM5.9 1h2.6v8H5.9z" fill="currentColor" />;
  if (tone === "busy") return <rect x="1" y="1" width="8" height="8" rx="1.5" fill="currentColor" />;
  return <circle cx="5" cy="5" r="4.4" fill="currentColor" />;
}

export function Mark({ tone }: { tone: Tone }) {
  return (
    <chakra.svg viewBox="0 0 10 10" boxSize="0.65em" flexShrink={0} color={COLOUR[tone]} aria-hidden>
      <Shape tone={tone} />
    </chakra.svg>
  );
}

export function Status({ tone, title, children }: { tone: Tone; title?: string; children: ReactNode }) {
  return (
    <HStack
      as="span"
      display="inline-flex"
      gap={1.5}
      align="center"
      verticalAlign="middle"
      {...(title ? { title } : {})}
    >
      <Mark tone={tone} />
      <Span>{children}</Span>
    </HStack>
  );
}
