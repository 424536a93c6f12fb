/** What another policy would change, before it is set. */
import { Code, List, Stack, Text } from "@chakra-ui/react";
import { count } from "../../words.ts";
import { difference, type Rule, reordered, type Said, whose } from "./policy.ts";

/** So many rules are told one by one. */
const MOST = 10;

export function Changes({ before, after }: { before: Said; after: Said }) {
  const { modes, added, removed } = difference(before, after);
  const otherOrder = reordered(before, after);
  if (!modes.length && !added.length && !removed.length && !otherOrder) {
    return <Text>It means the same as the one in force: only words, notes or their order change.</Text>;
  }
  return (
    <Stack gap={3}>
      {modes.length > 0 && (
        <List.Root variant="plain" role="list" aria-label="Modes that change">
          {modes.slice(0, MOST).map((mode) => (
            <List.Item key={mode.queue}>
              Queue <bdi>{mode.queue}</bdi>: {mode.before} → <b>{mode.after}</b>
            </List.Item>
          ))}
          {modes.length > MOST && <List.Item>and {count(modes.length - MOST, "other queue")}</List.Item>}
        </List.Root>
      )}
      {otherOrder && <Text>The order of the queues changes; the first glob that matches a queue counts.</Text>}
      <Some title="grants more" one="rule" rules={added} />
      <Some title="is gone" one="rule" many="are gone" rules={removed} />
      <Text color="fg.muted" fontSize="sm">
        It holds at every API server within seconds, for tasks that run, too.
      </Text>
    </Stack>
  );
}

type SomeProps = { title: string; one: string; many?: string; rules: readonly Rule[] };

function Some({ title, one, many = "grant more", rules }: SomeProps) {
  if (!rules.length) return null;
  const heading = `${count(rules.length, one)} ${rules.length === 1 ? title : many}`;
  return (
    <div>
      <Text fontWeight="medium">{heading}</Text>
      <List.Root variant="plain" role="list" aria-label={heading}>
        {rules.slice(0, MOST).map((rule, at) => (
          // biome-ignore lint/suspicious/noArrayIndexKey: two of them may read the same
          <List.Item key={at}>
            <Code size="sm" whiteSpace="pre-wrap" overflowWrap="anywhere">
              <bdi>{lineOf(rule)}</bdi>
            </Code>
          </List.Item>
        ))}
        {rules.length > MOST && <List.Item>and {count(rules.length - MOST, "other rule")}</List.Item>}
      </List.Root>
    </div>
  );
}

function lineOf(rule: Rule): string {
  const about = whose(rule).map(([kind, globs]) => `${kind} ${globs.join(", ")}`);
  const may = Object.entries(rule.may).map(([grant, globs]) => `${grant} ${globs.join(", ")}`);
  return `${about.join("; ") || "every task"}: ${may.join("; ")}`;
}
