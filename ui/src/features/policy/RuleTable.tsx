/** Rules as rows: whose calls each is about, and what it grants. */
import { Button, Code, Text } from "@chakra-ui/react";
import { useState } from "react";
import { type Column, Rows } from "../../ui/Rows.tsx";
import { count } from "../../words.ts";
import { type Rule, whose } from "./policy.ts";

/** So many more with each click; a policy may have thousands. */
const STEP = 50;

export function RuleTable({ label, rules }: { label: string; rules: readonly Rule[] }) {
  const [most, setMost] = useState(STEP);
  const left = rules.length - most;
  return (
    <>
      <Rows
        label={label}
        columns={COLUMNS}
        rows={rules.slice(0, most).map((rule, at) => ({ number: at + 1, rule }))}
        keyOf={({ number }) => String(number)}
      />
      {left > 0 && (
        <Button size="xs" variant="outline" mt={2} onClick={() => setMost(most + STEP)}>
          Show more: {count(left, "rule is", "rules are")} left
        </Button>
      )}
    </>
  );
}

type Numbered = { number: number; rule: Rule };

const COLUMNS: readonly Column<Numbered>[] = [
  { name: "Rule", short: true, cell: ({ number }) => number },
  {
    name: "Who",
    cell: ({ rule }) => {
      const about = whose(rule);
      if (!about.length) return "every task";
      return about.map(([kind, globs]) => <Globs key={kind} kind={kind} globs={globs} />);
    },
  },
  {
    name: "May",
    cell: ({ rule }) =>
      Object.entries(rule.may).map(([grant, globs]) => <Globs key={grant} kind={grant} globs={globs} />),
  },
  {
    name: "Note",
    cell: ({ rule }) => (
      <Text overflowWrap="anywhere">
        <bdi>{rule.note}</bdi>
      </Text>
    ),
  },
];

function Globs({ kind, globs }: { kind: string; globs: readonly string[] }) {
  return (
    <Text overflowWrap="anywhere">
      {kind}{" "}
      {[...new Set(globs)].map((glob, at) => (
        <span key={glob}>
          {at > 0 && ", "}
          <Code size="sm" whiteSpace="pre-wrap" overflowWrap="anywhere">
            <bdi>{glob}</bdi>
          </Code>
        </span>
      ))}
    </Text>
  );
}
