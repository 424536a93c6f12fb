/** Something to take along: a button that copies it, and says that it did. */
import { Box, Button, Code } from "@chakra-ui/react";
import { useEffect, useState } from "react";

/** Copy, also where the browser offers it not: over plain HTTP. */
async function copy(text: string): Promise<void> {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = document.createElement("textarea");
  field.value = text;
  field.style.position = "fixed";
  // Beside what has the focus, or a dialog takes it back at once.
  (document.activeElement?.parentElement ?? document.body).append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  if (!done) throw new Error("not copied");
}

type Props = {
  text: string;
  /** What is copied, for whoever does not see where the button stands: "the command". */
  what: string;
};

export function Copy({ text, what }: Props) {
  const [said, setSaid] = useState("");
  useEffect(() => {
    if (!said) return;
    const timer = setTimeout(() => setSaid(""), 2500);
    return () => clearTimeout(timer);
  }, [said]);
  const act = () =>
    copy(text).then(
      () => setSaid("Copied"),
      () => setSaid("Select it and copy by hand"),
    );
  return (
    <Button size="xs" variant="outline" flexShrink={0} aria-label={said || `Copy ${what}`} onClick={act}>
      <span aria-live="polite">{said || "Copy"}</span>
    </Button>
  );
}

/** Words whole: a line ends between them, and not after the hyphens of an option, unless one is longer than a line. */
function Unbroken({ children }: { children: string }) {
  return children.split(/(\s+)/).map((part, at) =>
    at % 2 ? (
      part
    ) : (
      // biome-ignore lint/suspicious/noArrayIndexKey: they have no other identity, and no state
      <Box as="span" key={at} display="inline-block" maxW="100%">
        {part}
      </Box>
    ),
  );
}

/** A command to type elsewhere, with its button. */
export function Command({ text, what = "the command" }: { text: string; what?: string }) {
  return (
    <Box display="flex" gap={2} alignItems="start" bg="bg.muted" colorPalette="gray" rounded="md" p={2} minW={0}>
      <Code
        display="block"
        flex="1"
        minW={0}
        bg="transparent"
        color="fg"
        whiteSpace="pre-wrap"
        overflowWrap="anywhere"
        py={1.5}
      >
        <Unbroken>{text}</Unbroken>
      </Code>
      <Copy text={text} what={what} />
    </Box>
  );
}
