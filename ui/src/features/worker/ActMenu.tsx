/** Actions behind one button; those that lose something stand apart. */
import { Button, Menu, Portal } from "@chakra-ui/react";
import type { RefObject } from "react";
import type { Act } from "./acts.ts";

type Props = {
  label: string;
  acts: readonly Act[];
  onAct: (act: Act) => void;
  button?: RefObject<HTMLButtonElement | null>;
};

export function ActMenu({ label, acts, onAct, button }: Props) {
  const calm = acts.filter((act) => !act.danger);
  const danger = acts.filter((act) => act.danger);
  return (
    <Menu.Root
      onSelect={({ value }) => acts.filter((act) => act.id === value).forEach(onAct)}
      positioning={{ placement: "bottom-end" }}
    >
      <Menu.Trigger asChild>
        <Button ref={button} size="sm" variant="outline" disabled={acts.length === 0}>
          {label} <span aria-hidden>▾</span>
        </Button>
      </Menu.Trigger>
      <Portal>
        <Menu.Positioner>
          <Menu.Content>
            {calm.map((act) => (
              <Menu.Item key={act.id} value={act.id}>
                {act.label}…
              </Menu.Item>
            ))}
            {calm.length > 0 && danger.length > 0 && <Menu.Separator />}
            {danger.map((act) => (
              <Menu.Item key={act.id} value={act.id} color="fg.error" _hover={{ bg: "bg.error", color: "fg.error" }}>
                {act.label}…
              </Menu.Item>
            ))}
          </Menu.Content>
        </Menu.Positioner>
      </Portal>
    </Menu.Root>
  );
}
