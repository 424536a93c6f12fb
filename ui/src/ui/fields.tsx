/** What a person adds to an action: a comment, a number, an end. */
import { Field, HStack, Input, NativeSelect, Span, Stack, Textarea } from "@chakra-ui/react";
import { useState } from "react";
import { now } from "../clock.ts";
import { instant, useZone } from "../zone.ts";

type Common = {
  name: string;
  label: string;
  help?: string;
  required?: boolean;
  /** Says what is wrong with what was typed, if anything is; not asked about nothing. */
  wrong?: (typed: string) => string | undefined;
};

/** `until`: an instant, as ISO, or nothing for "until somebody ends it". */
export type FieldOf =
  | (Common & { kind: "comment"; initial?: string; placeholder?: string })
  | (Common & { kind: "text"; initial?: string; placeholder?: string })
  | (Common & { kind: "number"; initial?: number; min?: number; max?: number })
  | (Common & { kind: "until" });

export type Values = Record<string, string | number | undefined>;

/** Give what stands there before anything is typed. */
export function initial(fields: readonly FieldOf[]): Values {
  return Object.fromEntries(fields.map((field) => [field.name, "initial" in field ? field.initial : undefined]));
}

/** Whether all that is required is there, and nothing is wrong. */
export function complete(fields: readonly FieldOf[], values: Values): boolean {
  return fields.every((field) => {
    const typed = String(values[field.name] ?? "").trim();
    return typed === "" ? !field.required : !field.wrong?.(typed);
  });
}

type Props<Kind extends FieldOf = FieldOf> = {
  field: Kind;
  value: string | number | undefined;
  onChange: (value: string | number | undefined) => void;
};

export function FormField({ field, value, onChange }: Props) {
  const { label, help, required = false } = field;
  const typed = String(value ?? "").trim();
  const wrong = typed === "" ? undefined : field.wrong?.(typed);
  return (
    <Field.Root required={required} invalid={wrong !== undefined}>
      <Field.Label>
        {label} <Field.RequiredIndicator />
      </Field.Label>
      <Control field={field} value={value} onChange={onChange} />
      {wrong ? <Field.ErrorText>{wrong}</Field.ErrorText> : help && <Field.HelperText>{help}</Field.HelperText>}
    </Field.Root>
  );
}

function Control({ field, value, onChange }: Props) {
  if (field.kind === "until") return <Until field={field} value={value} onChange={onChange} />;
  if (field.kind === "comment") {
    return (
      <Textarea
        rows={2}
        maxLength={1000}
        placeholder={field.placeholder ?? ""}
        value={value ?? ""}
        onChange={(event) => onChange(event.target.value)}
      />
    );
  }
  if (field.kind === "text") {
    return (
      <Input
        placeholder={field.placeholder ?? ""}
        value={value ?? ""}
        onChange={(event) => onChange(event.target.value)}
      />
    );
  }
  return (
    <Input
      type="number"
      {...(field.min !== undefined && { min: field.min })}
      {...(field.max !== undefined && { max: field.max })}
      value={value ?? ""}
      onChange={(event) => onChange(event.target.value === "" ? undefined : event.target.valueAsNumber)}
    />
  );
}

const MINUTE = 60_000;
const SPANS: readonly (readonly [string, number])[] = [
  ["for 30 minutes", 30 * MINUTE],
  ["for 1 hour", 60 * MINUTE],
  ["for 2 hours", 120 * MINUTE],
  ["for 8 hours", 480 * MINUTE],
  ["for 24 hours", 1440 * MINUTE],
];

function Until({ onChange }: Props<Extract<FieldOf, { kind: "until" }>>) {
  const [chosen, setChosen] = useState("");
  const zone = useZone();
  const choose = (choice: string) => {
    setChosen(choice);
    onChange(choice && choice !== "at" ? new Date(now() + Number(choice)).toISOString() : undefined);
  };
  return (
    <Stack w="full" gap={2}>
      <NativeSelect.Root>
        <NativeSelect.Field value={chosen} onChange={(event) => choose(event.currentTarget.value)}>
          <option value="">until somebody ends it</option>
          {SPANS.map(([name, span]) => (
            <option key={name} value={span}>
              {name}
            </option>
          ))}
          <option value="at">until a certain time</option>
        </NativeSelect.Field>
        <NativeSelect.Indicator />
      </NativeSelect.Root>
      {chosen === "at" && (
        <HStack gap={2} wrap="wrap">
          <Input
            type="datetime-local"
            flex="1 1 13rem"
            // Half a date is none, and none would be "until somebody ends it".
            required
            aria-label={`Until, in the time zone ${zone}`}
            onChange={(event) => onChange(instant(event.target.value, zone)?.toISOString())}
          />
          <Span fontSize="sm" color="fg.muted">
            {zone}
          </Span>
        </HStack>
      )}
    </Stack>
  );
}
