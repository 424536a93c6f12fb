/** What can be done with the workers that are chosen. */
import { Box, Button, Flex, Text } from "@chakra-ui/react";
import { useRef, useState } from "react";
import { count as many } from "../../words.ts";
import { ActDialog } from "../worker/ActDialog.tsx";
import { ActMenu } from "../worker/ActMenu.tsx";
import { ACTS, type Act } from "../worker/acts.ts";
import { number } from "./facts.ts";
import type { Selection } from "./selection.ts";

const BULK = ACTS.filter((act) => !act.single);
/** Those that are wanted most stand by themselves. */
const FIRST = BULK.filter((act) => act.id === "maintenance" || act.id === "exit");
const OTHERS = BULK.filter((act) => !FIRST.includes(act));

type Props = {
  selection: Selection;
  total: number;
  onPage: number;
  /** Called when something begins to be asked, and when what came of it was read. */
  onAsking: (asking: boolean) => void;
};

/** What is asked, of whom: as it was chosen then, whatever is read meanwhile. */
type Asked = { act: Act } & Pick<Selection, "target" | "count">;

export function SelectionBar({ selection, total, onPage, onAsking }: Props) {
  const [asked, ask] = useState<Asked>();
  const begin = (act: Act) => {
    ask({ act, target: selection.target, count: selection.count });
    onAsking(true);
  };
  const bar = useRef<HTMLDivElement>(null);
  const { count, all } = selection;
  return (
    <Box ref={bar} role="region" aria-label="Chosen workers" position="sticky" bottom={2} zIndex={2} tabIndex={-1}>
      {count > 0 && (
        <Flex
          align="center"
          gap={2}
          wrap="wrap"
          px={3}
          py={2}
          borderWidth={1}
          borderColor="border.emphasized"
          rounded="md"
          bg="bg.panel"
          shadow="md"
        >
          <Text fontWeight="medium" aria-live="polite" me={1}>
            {all ? `All ${many(count, "worker")} that fit` : `${many(count, "worker")} chosen`}
          </Text>
          {!all && count >= onPage && total > count && (
            <Button size="xs" variant="plain" textDecoration="underline" onClick={selection.chooseAll}>
              Choose all {number(total)} that fit
            </Button>
          )}
          <Flex gap={2} wrap="wrap" ms="auto" align="center">
            {FIRST.map((one) => (
              <Button key={one.id} size="sm" variant="outline" onClick={() => begin(one)}>
                {one.label}…
              </Button>
            ))}
            <ActMenu label="More actions" acts={OTHERS} onAct={begin} />
            <Button size="sm" variant="ghost" onClick={selection.clear}>
              Clear
            </Button>
          </Flex>
        </Flex>
      )}
      {asked && (
        <ActDialog
          {...asked}
          onActed={(_, outcomes) => {
            const gone = asked.act.id === "remove" ? outcomes.filter(({ result }) => result === "done") : [];
            selection.togglePage(
              gone.map(({ worker }) => worker),
              false,
            );
          }}
          onClose={() => {
            ask(undefined);
            onAsking(false);
          }}
          focusAfter={() => bar.current?.querySelector("button") ?? bar.current}
        />
      )}
    </Box>
  );
}
