/** What narrows a list: words to search for, one of several values. */
import { Field, HStack, Input, NativeSelect } from "@chakra-ui/react";
import { useEffect, useRef, useState } from "react";

/** Milliseconds after the last key before it is asked for. */
const PAUSE = 250;

type SearchProps = {
  value: string;
  onChange: (value: string) => void;
  /** What is searched: "Search workers by name, host or address". */
  label: string;
};

/** A field to search in, which tells what stands in it, without blanks around it, when one has stopped typing. */
export function Search({ value, onChange, label }: SearchProps) {
  const [typed, setTyped] = useState(value);
  const tell = useRef(onChange);
  tell.current = onChange;
  // What was told and has not come back yet as `value`: an echo, which may be late, is no reason to change what is typed.
  const told = useRef<string[]>([]);
  const known = useRef(value);
  useEffect(() => {
    const echo = told.current.indexOf(value);
    told.current = told.current.slice(echo + 1);
    if (echo >= 0 || value === known.current) return;
    // Changed from outside, by the browser's Back: that holds.
    told.current = [];
    known.current = value;
    setTyped(value);
  }, [value]);
  useEffect(() => {
    const wanted = typed.trim();
    if (wanted === known.current) return;
    const timer = setTimeout(() => {
      known.current = wanted;
      told.current.push(wanted);
      tell.current(wanted);
    }, PAUSE);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <Input
      type="search"
      size="sm"
      w={{ base: "full", sm: "20rem" }}
      maxW="100%"
      aria-label={label}
      placeholder={label}
      value={typed}
      onChange={(event) => setTyped(event.target.value)}
    />
  );
}

type ChoiceProps = {
  /** What is chosen: "State". */
  label: string;
  value: string;
  onChange: (value: string) => void;
  options: readonly (string | { value: string; label: string })[];
  /** What stands there where nothing is chosen; without it there is always a choice. */
  any?: string;
};

/** One of several values. */
export function Choice({ label, value, onChange, options, any }: ChoiceProps) {
  return (
    <Field.Root w="auto">
      <HStack gap={2}>
        <Field.Label fontSize="sm" color="fg.muted" whiteSpace="nowrap">
          {label}
        </Field.Label>
        <NativeSelect.Root size="sm" w="auto" minW="8rem">
          <NativeSelect.Field value={value} onChange={(event) => onChange(event.currentTarget.value)}>
            {any !== undefined && <option value="">{any}</option>}
            {options.map((option) => {
              const { value: own, label: shown } =
                typeof option === "string" ? { value: option, label: option } : option;
              return (
                <option key={own} value={own}>
                  {shown}
                </option>
              );
            })}
          </NativeSelect.Field>
          <NativeSelect.Indicator />
        </NativeSelect.Root>
      </HStack>
    </Field.Root>
  );
}
